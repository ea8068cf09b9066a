"""Writes the state of a task's operators to memory or files: in line, or in a frozen copy of the process.

Why here: in a copy there are neither threads nor an event loop, so all that runs there is kept in one place. It must
not know stores or what becomes of the bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from flowjob.runtime.checkpoint.manifest import PartEntry
from flowjob.runtime.checkpoint.sections import Section
from flowjob.runtime.checkpoint.state_files import write_objects, write_parts
from flowjob.runtime.storage.paths import section_object

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
    """`separate`: each section becomes an object of its own, as savepoints want it."""

    operators: Sequence[Described]
    max_parallelism: int
    separate: bool

    def write(self, path: Path) -> Written:
        """In line. What is so small is written to memory, unless separate files are wanted."""
        if self.separate:
            return self._write_objects(path)
        file = io.BytesIO()
        parts = {
            o.uid: write_parts(o.sections(), self.max_parallelism, o.groups, file)
            for o in self.operators
        }
        return Written(parts, file.tell(), data=file.getvalue())

    def work(self, path: Path) -> Callable[[Path], bytes]:
        """For a frozen copy: writes to files in `path`, whatever directory it is given. See `unpack`."""

        def write(_: Path) -> bytes:
            written = self._write_objects(path) if self.separate else self._write_file(path)
            return msgspec.msgpack.encode((written.parts, written.size))

        return write

    def _write_file(self, path: Path) -> Written:
        path.mkdir(parents=True)
        with (path / STATE).open("xb") as file:
            parts = {
                o.uid: write_parts(o.sections(), self.max_parallelism, o.groups, file)
                for o in self.operators
            }
            return Written(parts, file.tell(), path)

    def _write_objects(self, path: Path) -> Written:
        path.mkdir(parents=True)
        parts = {}
        for o in self.operators:

            def name(section: str, operator: Described = o) -> str:
                return section_object(operator.uid, section, operator.subtask)

            sections = o.sections()
            parts[o.uid] = write_objects(sections, self.max_parallelism, o.groups, path, name)
        return Written(parts, sum(e.length for entries in parts.values() for e in entries), path)


def unpack(answer: bytes, path: Path) -> Written:
    """What a frozen copy has written to `path`."""
    parts, size = msgspec.msgpack.decode(answer, type=tuple[Parts, int])
    return Written(parts, size, path)
