"""What a process of a cluster writes to its standard error: one JSON object a line, or readable lines on a terminal.

Whatever is said in the process comes here: log records of all libraries, what happens to the job, and in a JobManager
what the job's own code prints and logs. Secrets are taken out. It must not know who says it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import msgspec.structs

from flowjob.cluster.job_history import LogLine
from flowjob.core.redacting import redactor, secrets_of

LONGEST = 16_384
"""Characters of a message, and of a traceback; the rest is cut off."""

MOST_SECRET_BYTES = 65_536
"""Of a file with credentials: what is longer is none."""

FORMATS = ("json", "text")

_FIELDS = {
    "source": "source", "stream": "stream", "task_manager": "taskManager", "slot": "slot", "vertex": "vertex",
    "operator": "operator", "subtask": "subtask", "attempt": "attempt", "checkpoint": "checkpoint",
    "traceback": "traceback",
}  # fmt: skip
"""Of a LogLine, besides time, level, logger and message."""


class PodLog:
    """`common`: fields of every line; `redact`: see core/redacting.py."""

    def __init__(
        self,
        stream: TextIO,
        common: Mapping[str, Any],
        *,
        as_json: bool,
        redact: Callable[[str], str],
    ) -> None:
        self._stream = stream
        self._common = dict(common)
        self._as_json = as_json
        self.redact = redact

    def line(self, line: LogLine) -> None:
        """One of the job."""
        facts = msgspec.structs.asdict(line)
        more = {name: facts[field] for field, name in _FIELDS.items() if facts[field] not in (None, "")}  # fmt: skip
        self.write(line.at, line.level, line.logger, line.message, more)

    def write(
        self, at: str, level: str, logger: str, message: str, more: Mapping[str, Any]
    ) -> None:
        """`at`: RFC 3339. Never raises for a stream that is gone."""
        facts = {"time": at, "level": level, "logger": logger, "message": message}
        facts = {name: value for name, value in facts.items() if value}
        clean = {
            name: self._clean(value) for name, value in {**facts, **self._common, **more}.items()
        }
        text = (
            json.dumps(clean, ensure_ascii=False, default=str) if self._as_json else readable(clean)
        )
        try:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads

    def _clean(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        text = self.redact(value)
        text = text if len(text) <= LONGEST else text[:LONGEST] + "…"
        # Half of a pair of surrogates, as undecodable bytes of names of files have, is no Unicode.
        return text.encode("utf-8", "replace").decode("utf-8")


class RecordHandler(logging.Handler):
    """Brings log records to a PodLog. `left_out(record)`: those that come there on another way."""

    def __init__(
        self, log: PodLog, left_out: Callable[[logging.LogRecord], bool] | None = None
    ) -> None:
        super().__init__()
        self._log = log
        self.left_out = left_out

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self.left_out is not None and self.left_out(record):
                return
            at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
            more = {}
            if record.exc_info:
                more["traceback"] = logging.Formatter().formatException(record.exc_info)
            message = record.getMessage()
            self._log.write(at.replace("+00:00", "Z"), record.levelname, record.name, message, more)
        except Exception:  # noqa: BLE001 - as all handlers do
            self.handleError(record)


def readable(facts: Mapping[str, Any]) -> str:
    """A line for people: time, level, who says it, what."""
    time = str(facts.get("time", ""))[11:19]
    operator = facts.get("operator", facts.get("vertex"))
    subtask = "" if facts.get("subtask") is None else f"[{facts['subtask']}]"
    who = f"{operator}{subtask}" if operator is not None else str(facts.get("logger", ""))
    text = f"{time} {facts.get('level', ''):<7} {who}: {facts.get('message', '')}"
    traceback = facts.get("traceback")
    return f"{text}\n{traceback}" if traceback else text


def wants_json(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """As FLOWJOB_LOG_FORMAT says; else unless a person reads at a terminal."""
    wanted = environment.get("FLOWJOB_LOG_FORMAT", "").lower()
    return wanted == "json" if wanted in FORMATS else not stream.isatty()


def known_secrets(environment: Mapping[str, str], directories: Iterable[str | None]) -> list[str]:
    """Values that no line may show: of variables whose names say so, and of the files in `directories`."""
    found = secrets_of(environment)
    for directory in directories:
        if directory is None:
            continue
        try:
            for path in Path(directory).iterdir():
                if path.is_file() and path.stat().st_size <= MOST_SECRET_BYTES:
                    found.append(path.read_text(errors="replace"))
        except OSError:
            continue  # what cannot be read cannot be shown either
    return found


def begin(
    stream: TextIO, common: Mapping[str, Any], credentials: str | None
) -> tuple[PodLog, RecordHandler]:
    """For the whole process: all log records go there, those of FLOWJOB_LOG and worse. `credentials`: a directory."""
    redact = redactor(known_secrets(os.environ, [credentials]))
    log = PodLog(stream, common, as_json=wants_json(stream, os.environ), redact=redact)
    handler = RecordHandler(log)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(os.environ.get("FLOWJOB_LOG", "WARNING").upper())
    return log, handler
