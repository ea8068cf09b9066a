"""Sections as Arrow IPC files, in blocks that can be read and checked alone.

The format is docs/snapshot-format.md. Runs in a frozen copy of the process or in a thread: no event loop, no I/O but to
the file it is given. It must not know stores; reading is restoring.py, the order of rows preparing.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from flowjob.runtime.checkpoint.checksums import crc32, crc32_of_both
from flowjob.runtime.checkpoint.manifest import Block, PartEntry
from flowjob.runtime.checkpoint.preparing import Batches, Prepared, prepared
from flowjob.runtime.checkpoint.sections import Section
from flowjob.runtime.storage.uncached import Appended, UncachedFile

_ALIGNMENT = 64
_MAGIC_BYTES = 8


def write_parts(
    sections: Iterable[Section], max_parallelism: int, groups: range, file: Appended
) -> list[PartEntry]:
    """Appends each section to `file` as a complete Arrow IPC file, and says where; `object` stays empty.

    groups   the key groups of this subtask: OperatorContext.key_groups
    Needs, beyond the sections, about a block, 12 bytes per row of the largest KEYED one, and a copy of each column of a
    table that comes in chunks. Raises ValueError for a section that cannot be stored, with its name."""
    return append_parts(prepared(sections, max_parallelism, groups), file)


def write_objects(
    sections: Iterable[Section],
    max_parallelism: int,
    groups: range,
    directory: Path,
    name: Callable[[str], str],
) -> list[PartEntry]:
    """As write_parts, one object per section: `object` is `name(section name)`, relative to the snapshot, and the file
    is at `directory / object`."""
    return place_objects(prepared(sections, max_parallelism, groups), directory, name)


def append_parts(sections: Iterable[Prepared], file: Appended) -> list[PartEntry]:
    """The second half of write_parts."""
    entries = []
    for section in sections:
        _align(file)
        entries.append(_write(section, file))
    return entries


def new_file(path: Path, *, uncached: bool) -> AbstractContextManager[Appended]:
    """To be written once; `uncached`: past the page cache, for nobody is going to read it soon."""
    return UncachedFile(path) if uncached else path.open("xb")


def place_objects(
    sections: Iterable[Prepared],
    directory: Path,
    name: Callable[[str], str],
    *,
    uncached: bool = False,
) -> list[PartEntry]:
    """The second half of write_objects."""
    entries = []
    for section in sections:
        named = name(section.entry.section)
        path = directory / named
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path, uncached=uncached) as file:
            (entry,) = append_parts([section], file)
        entries.append(msgspec.structs.replace(entry, object=named))
    return entries


def inlined(entries: Sequence[PartEntry], data: bytes) -> list[PartEntry]:
    """The same parts with their bytes in them; `data` is what write_parts wrote."""
    return [
        msgspec.structs.replace(
            e, offset=0, inline=data[e.offset : e.offset + e.length], blocks=[], schema=b""
        )
        for e in entries
    ]


def placed(entries: Sequence[PartEntry], name: str) -> list[PartEntry]:
    """The same parts, as slices of the object `name`."""
    return [msgspec.structs.replace(e, object=name) for e in entries]


def _align(file: Appended) -> None:
    file.write(b"\0" * (-file.tell() % _ALIGNMENT))


def _write(section: Prepared, file: Appended) -> PartEntry:
    offset = file.tell()
    written = _write_file(section.schema, section.batches, file)
    several = len(written.blocks) > 1
    return msgspec.structs.replace(
        section.entry,
        offset=offset,
        length=written.length,
        crc32=written.crc32,
        blocks=written.blocks if several else [],
        schema=section.schema.serialize().to_pybytes() if several else b"",
    )


@dataclass(frozen=True, slots=True)
class _Written:
    length: int
    crc32: int
    blocks: list[Block]


def _write_file(schema: pa.Schema, batches: Batches, file: Appended) -> _Written:
    # The writer gives the head together with the first batch.
    sink = _Sink(file, head=_MAGIC_BYTES + schema.serialize().size)
    blocks: list[Block] = []
    options = pa.ipc.IpcWriteOptions(use_threads=False)
    target = pa.PythonFile(sink, mode="w")
    with pa.ipc.new_file(target, schema, options=options) as writer:
        for piece, batch in batches:
            writer.write_batch(batch)
            start, length, crc = sink.cut()
            blocks.append(
                Block(start, length, crc, batch.num_rows, piece.first_group, piece.last_group)
            )
    sink.cut()
    return _Written(sink.position, sink.crc, blocks)


class _Sink:
    """Counts and checks what passes through it to `file`, where `head` bytes come first; Arrow buffers are not copied.

    crc  of everything up to the last cut"""

    closed = False

    def __init__(self, file: Appended, head: int) -> None:
        self._file = file
        self._head = head
        self.position = 0
        self.crc = 0
        self._start = 0
        self._block_crc = 0

    def cut(self) -> tuple[int, int, int]:
        """(start, length, crc32) of the block that ends here; the next one begins here."""
        start, length, crc = self._start, self.position - self._start, self._block_crc
        self.crc = crc32_of_both(self.crc, crc, length)
        self._start, self._block_crc = self.position, 0
        return start, length, crc

    def write(self, data: Any) -> int:
        view = memoryview(data)
        if self.position == self._head:
            self.cut()
        elif self.position < self._head < self.position + view.nbytes:
            raise AssertionError("Arrow's writer gave head and first batch in one piece")
        self._block_crc = crc32(view, self._block_crc)
        self._file.write(view)
        self.position += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self.position

    def flush(self) -> None:
        """The file is its owner's to flush."""

    def close(self) -> None:
        """And to close."""
