"""Lines of `kubectl logs --prefix --timestamps` as a job's log lines. Pure.

Pods write one JSON object for each line; what user code or a crash has put there besides is taken as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from flowjob.cluster.job_details import LogLine, LogQuery

_PREFIXED = re.compile(r"\[pod/(?P<pod>[^/\]]+)/[^\]]*\] (?P<at>\S+) ?(?P<text>.*)", re.DOTALL)

SEVERITY = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def log_lines(lines: Iterable[str], query: LogQuery) -> Iterator[LogLine]:
    """Those that the query wants, numbered as they come."""
    for sequence, line in enumerate(lines, 1):
        found = _line(line, sequence)
        if _is_wanted(found, query):
            yield found


def _is_wanted(line: LogLine, query: LogQuery) -> bool:
    return (
        SEVERITY.index(line.level) >= SEVERITY.index(query.level)
        and query.vertex in (None, line.vertex)
        and query.subtask in (None, line.subtask)
        and query.source in (None, line.source)
        and query.text.lower() in line.message.lower()
    )


def _line(line: str, sequence: int) -> LogLine:
    match = _PREFIXED.fullmatch(line)
    pod, at, text = ("", "", line) if match is None else (match["pod"], match["at"], match["text"])
    source = "JobManager" if "-jm-" in pod else "TaskManager"
    plain = {"sequence": sequence, "at": at, "source": source, "taskManager": pod or None}
    try:
        given: Any = msgspec.json.decode(text)
    except msgspec.DecodeError:
        given = None
    if not isinstance(given, dict):
        return msgspec.convert({**plain, "message": text, "stream": "stdout"}, LogLine)
    words = {**plain, **_known(given)}
    try:
        return msgspec.convert(words, LogLine)
    except msgspec.ValidationError:
        return msgspec.convert({**plain, "message": text, "stream": "stdout"}, LogLine)


_OTHERS = {
    "event": "message",
    "msg": "message",
    "timestamp": "at",
    "time": "at",
    "exception": "traceback",
}
"""Names that other writers of structured logs use."""

_FIELDS = frozenset(field.encode_name for field in msgspec.structs.fields(LogLine)) - {"sequence"}


def _known(given: dict[str, Any]) -> dict[str, Any]:
    """What of a JSON line has a place in ours. Names may be in snake_case."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        head, *rest = _OTHERS.get(name, name).split("_")
        camel = head + "".join(word.capitalize() for word in rest)
        if camel in _FIELDS and value is not None:
            found[camel] = str(value).upper() if camel == "level" else value
    found.setdefault("message", "")
    return found
