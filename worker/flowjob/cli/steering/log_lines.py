"""`flowjob logs`: lines of a job's log, its newest and those that come, for people or one JSON object each.

Each line says who said it. It must not know where they come from."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import msgspec
import typer

from flowjob.cli.steering.choosing import one_job
from flowjob.cli.steering.where import Where
from flowjob.cli.terminal_text import harmless
from flowjob.cluster.job_details import LogLine, LogQuery

LEVELS = {"DEBUG": "dim", "INFO": "", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}


@dataclass(frozen=True, slots=True)
class LogChoice:
    """Which lines."""

    tail: int = 100
    level: str | None = None
    vertex: int | None = None
    subtask: int | None = None
    text: str | None = None

    @property
    def query(self) -> LogQuery:
        """Raises a usage error."""
        level = (self.level or "DEBUG").upper()
        if level not in LEVELS:
            raise typer.BadParameter(
                f"`{self.level}` is none of {', '.join(LEVELS)}", param_hint="--level"
            )
        given = {
            "limit": self.tail,
            "level": level,
            "vertex": self.vertex,
            "subtask": self.subtask,
            "text": self.text or "",
        }
        return msgspec.convert(given, LogQuery)


def show_logs(where: Where, name: str, choice: LogChoice, *, follow: bool) -> None:
    """Until the job's end, with `follow`, or Ctrl-C."""
    query = choice.query
    coloured = sys.stdout.isatty()
    with one_job(where, name) as (_, job):
        lines = job.follow_logs(query) if follow else iter(job.logs(query).lines)
        try:
            for line in lines:
                text = _json(line) if where.json else line_text(line, coloured=coloured)
                print(text, flush=follow)
        except KeyboardInterrupt:
            return


def _json(line: LogLine) -> str:
    return msgspec.json.encode(line).decode()


def line_text(line: LogLine, *, coloured: bool = False) -> str:
    """`12:00:00.123 WARNING flights[1] message`: time in UTC, who said it, what; a traceback below."""
    time = line.at.partition("T")[2].removesuffix("Z").removesuffix("+00:00") or line.at
    level = "" if line.stream != "log" else f"{line.level:<7} "
    text = f"{time} {level}{speaker(line)}: {line.message}"
    if line.traceback:
        text += "\n" + line.traceback.rstrip()
    text = harmless(text)
    style = {"yellow": "33", "red": "31", "bold red": "1;31", "dim": "2"}.get(LEVELS[line.level])
    return f"\x1b[{style}m{text}\x1b[0m" if coloured and style else text


def speaker(line: LogLine) -> str:
    """The operator and subtask whose code it was, else the process."""
    if line.operator is not None and line.subtask is not None:
        return f"{line.operator}[{line.subtask}]"
    if line.source != "JobManager" and line.task_manager:
        return line.task_manager + (f"/{line.slot}" if line.slot is not None else "")
    return line.source
