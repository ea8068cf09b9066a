"""Who says what a worker process prints: marks in its output, by which each line is known to be of a task.

A mark stands before the line in the pipe to the TaskManager, which takes it off again: so lines of a process that dies
are not lost, and come in order. Imported by TaskManagers, so it must stay light; it must not know processes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextvars import ContextVar

import msgspec


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """Of a line. `level` and `logger` of one that was logged; empty: it was printed."""

    vertex: int
    subtask: int
    level: str = ""
    logger: str = ""


SPEAKER: ContextVar[tuple[int, int] | None] = ContextVar("speaker", default=None)
"""Vertex and subtask whose code runs: set once by each task, for all that is called from there."""

_MARK = re.compile(
    r"\x1e(-?\d{1,9})\.(-?\d{1,9})\.(DEBUG|INFO|WARNING|ERROR|CRITICAL|)\.([^\x1f]{0,200})\x1f"
)


def marked(text: str, mark: Mark) -> str:
    """The line as it travels."""
    logger = mark.logger[:200].replace("\x1f", " ").replace("\n", " ")
    return f"\x1e{mark.vertex}.{mark.subtask}.{mark.level}.{logger}\x1f{text}"


def unmarked(lines: Sequence[str]) -> tuple[list[str], list[Mark | None]]:
    """Lines as they were said, and their marks; no marks at all where no line has one."""
    if not any(line.startswith("\x1e") for line in lines):
        return list(lines), []
    texts: list[str] = []
    marks: list[Mark | None] = []
    for line in lines:
        found = _MARK.match(line)
        if found is None:
            texts.append(line)
            marks.append(None)
        else:
            vertex, subtask, level, logger = found.groups()
            texts.append(line[found.end() :])
            marks.append(Mark(int(vertex), int(subtask), level, logger))
    return texts, marks
