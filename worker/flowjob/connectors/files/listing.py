"""Which files a source reads: paths, globs and directories to a sorted list. Blocking; called off the loop.

Names that begin with `.` or `_` and names of files in progress are never taken: that is how writers that rename at
the end hide what is unfinished."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from pathlib import Path

from flowjob.errors import PlanError

IN_PROGRESS = ".inprogress"
_UNFINISHED = (IN_PROGRESS, ".tmp", ".part", ".crdownload")


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it was when it was looked at; `changed` is its modification time in µs."""

    path: str
    size: int
    changed: int


def find(patterns: tuple[str, ...], *, may_be_none: bool = False) -> list[Found]:
    """The files that the patterns name, sorted by path, each once. Raises PlanError for a pattern without any."""
    found: dict[str, Found] = {}
    for pattern in patterns:
        matches = [f for p in _expand(pattern) if (f := _look(p)) is not None]
        if not matches and not may_be_none:
            raise PlanError(_nothing(pattern))
        found.update((f.path, f) for f in matches)
    return [found[path] for path in sorted(found)]


def _expand(pattern: str) -> list[str]:
    if os.path.isdir(pattern):
        pattern = os.path.join(glob.escape(pattern), "*")
    elif not glob.has_magic(pattern) or os.path.exists(pattern):
        return [pattern]
    return [p for p in glob.glob(pattern, recursive=True) if not _is_hidden(p)]


def _is_hidden(path: str) -> bool:
    name = Path(path).name
    return name.startswith((".", "_")) or name.endswith(_UNFINISHED)


def _look(path: str) -> Found | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    if os.path.isdir(path):
        return None
    return Found(path, status.st_size, status.st_mtime_ns // 1000)


def _nothing(pattern: str) -> str:
    where = f"looked from {os.getcwd()}"
    if os.path.isdir(pattern):
        return f"the directory {pattern!r} has no files to read ({where})"
    if glob.has_magic(pattern):
        return f"no file matches {pattern!r} ({where})"
    return f"there is no file {pattern!r} ({where})"
