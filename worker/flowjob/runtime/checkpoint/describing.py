"""Writes the state of a task's operators to memory or files: in line, in a thread, or in a frozen copy of the process.

Why here: in a copy there are neither threads nor an event loop, so all that runs there is kept in one place. It must
not know stores or what becomes of the bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from flowjob.runtime.checkpoint.manifest import PartEntry
from flowjob.runtime.checkpoint.preparing import Prepared, prepared
from flowjob.runtime.checkpoint.sections import Section
from flowjob.runtime.checkpoint.state_files import append_parts, new_file, place_objects
from flowjob.runtime.storage.paths import section_object
from flowjob.runtime.storage.uncached import becomes_the_object

Parts = dict[str, list[PartEntry]]
"""By uid."""

STATE = "state"
"""The one file that a checkpoint's state is spooled to."""


@dataclass(frozen=True, slots=True)
class Described:
    """One operator's part: how to get its sections."""

    uid: str
    subtask: int
    groups: range
    sections: Callable[[], Iterable[Section]]


@dataclass(frozen=True, slots=True)
class Written:
    """Parts and how many bytes they have: in `data`, or in files below `path`."""

    parts: Parts
    size: int
    path: Path = Path()
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """separate  each section becomes an object of its own, as savepoints want it
    location  of the store that files are for: whether they are written past the page cache depends on it"""

    operators: Sequence[Described]
    max_parallelism: int
    separate: bool
    location: str = ""

    def write(self, path: Path) -> Written:
        """In line. What is so small is written to memory, unless separate files are wanted."""
        if self.separate:
            return self._put(self._prepared(), path)
        file = io.BytesIO()
        parts = {o.uid: append_parts(sections, file) for o, sections in self._prepared()}
        return Written(parts, file.tell(), data=file.getvalue())

    def detached(self) -> Callable[[Path], Written]:
        """Makes all tables now, in memory of their own. What it returns writes them to files, in any thread."""
        made = [(o, [s.detached() for s in sections]) for o, sections in self._prepared()]
        return partial(self._put, made)

    def work(self, path: Path, spent: Callable[[], float]) -> Callable[[Path], bytes]:
        """For a frozen copy: writes to files in `path`, whatever directory it is given. See `unpack`.

        spent   the CPU seconds of whoever calls it"""

        def write(_: Path) -> bytes:
            began = spent()
            written = self._put(self._prepared(), path)
            return msgspec.msgpack.encode((written.parts, written.size, spent() - began))

        return write

    def _put(self, operators: _Sections, path: Path) -> Written:
        write = _write_objects if self.separate else _write_file
        path.mkdir(parents=True)
        return write(operators, path, becomes_the_object(self.location, path))

    def _prepared(self) -> Iterator[tuple[Described, Iterator[Prepared]]]:
        for o in self.operators:
            yield o, prepared(o.sections(), self.max_parallelism, o.groups)


_Sections = Iterable[tuple[Described, Iterable[Prepared]]]


def _write_file(operators: _Sections, path: Path, uncached: bool) -> Written:
    with new_file(path / STATE, uncached=uncached) as file:
        parts = {o.uid: append_parts(sections, file) for o, sections in operators}
        return Written(parts, file.tell(), path)


def _write_objects(operators: _Sections, path: Path, uncached: bool) -> Written:
    parts = {}
    for o, sections in operators:

        def name(section: str, operator: Described = o) -> str:
            return section_object(operator.uid, section, operator.subtask)

        parts[o.uid] = place_objects(sections, path, name, uncached=uncached)
    return Written(parts, sum(e.length for entries in parts.values() for e in entries), path)


def unpack(answer: bytes, path: Path) -> tuple[Written, float]:
    """What a frozen copy has written to `path`, and the CPU seconds that it needed."""
    parts, size, spent = msgspec.msgpack.decode(answer, type=tuple[Parts, int, float])
    return Written(parts, size, path), spent
