"""Sections as Arrow IPC files: rows in order of key group, cut into blocks that can be read and checked alone.

The format is docs/snapshot-format.md. Runs in a frozen copy of the process: no threads, no event loop, no I/O but to
the file it is given. It must not know stores; reading is restoring.py."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
import pyarrow as pa

from flowjob.kernels.columns import Int64s
from flowjob.kernels.gather import gather
from flowjob.kernels.partitioning import partition
from flowjob.runtime.checkpoint.manifest import Block, PartEntry
from flowjob.runtime.checkpoint.plain_types import plain_table
from flowjob.runtime.checkpoint.sections import Distribution, Section

HASH_COLUMN = "__hash"
"""uint64, the last column of a KEYED section's file: hash64 of the row's key."""

BLOCK_BYTES = 4 << 20
"""About the most a block has."""

LEAST_BLOCK_BYTES = 256 << 10
"""Key groups that are smaller share a block."""

_ALIGNMENT = 64
_MAGIC_BYTES = 8
_MOST_COMBINED = 1 << 30


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows [start, stop) of a section in the order of the file."""

    start: int
    stop: int
    first_group: int = -1
    last_group: int = -1


def write_parts(
    sections: Iterable[Section], max_parallelism: int, groups: range, file: BinaryIO
) -> list[PartEntry]:
    """Appends each section to `file` as a complete Arrow IPC file, and says where; `object` stays empty.

    groups   the key groups of this subtask: OperatorContext.key_groups
    Needs, beyond the sections, about a block, 12 bytes per row of the largest KEYED one, and a copy of each of its
    columns that comes in chunks. Raises ValueError for a section that cannot be stored, with its name."""
    entries = []
    names: set[str] = set()
    for section in sections:
        if section.name in names:
            raise ValueError(f"section `{section.name}` is given twice")
        names.add(section.name)
        _align(file)
        entries.append(_write(section, max_parallelism, groups, file))
    return entries


def write_objects(
    sections: Iterable[Section],
    max_parallelism: int,
    groups: range,
    directory: Path,
    name: Callable[[str], str],
) -> list[PartEntry]:
    """As write_parts, one object per section: `object` is `name(section name)`, relative to the snapshot, and the file
    is at `directory / object`."""
    entries = []
    for section in sections:
        named = name(section.name)
        path = directory / named
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            (entry,) = write_parts([section], max_parallelism, groups, file)
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


def _align(file: BinaryIO) -> None:
    file.write(b"\0" * (-file.tell() % _ALIGNMENT))


def _write(section: Section, max_parallelism: int, groups: range, file: BinaryIO) -> PartEntry:
    _check(section)
    table = plain_table(section.table)
    if section.distribution is not Distribution.KEYED:
        schema = table.schema
        batches = _in_pieces(table)
    else:
        assert section.hashes is not None
        hashes = np.ascontiguousarray(section.hashes, np.uint64)
        table = table.append_column(pa.field(HASH_COLUMN, pa.uint64(), False), [pa.array(hashes)])
        schema = table.schema
        order, starts = partition(hashes, max_parallelism, max_parallelism)
        _check_groups(section.name, starts, groups)
        batches = _by_group(table, order, _cut(starts, table))
    offset = file.tell()
    written = _write_file(schema, batches, file)
    keyed = section.distribution is Distribution.KEYED
    several = len(written.blocks) > 1
    return PartEntry(
        section=section.name,
        distribution=section.distribution.value,
        rows=table.num_rows,
        offset=offset,
        length=written.length,
        crc32=written.crc32,
        first_group=groups[0] if keyed else -1,
        last_group=groups[-1] if keyed else -1,
        meta=dict(section.meta),
        blocks=written.blocks if several else [],
        schema=schema.serialize().to_pybytes() if several else b"",
    )


def _check(section: Section) -> None:
    where = f"section `{section.name}`"
    keyed = section.distribution is Distribution.KEYED
    if keyed != (section.hashes is not None):
        raise ValueError(f"{where}: a KEYED section has hashes, and no other has")
    if section.hashes is not None and len(section.hashes) != section.table.num_rows:
        raise ValueError(f"{where}: {len(section.hashes)} hashes for {section.table.num_rows} rows")
    if HASH_COLUMN in section.table.column_names:
        raise ValueError(f"{where}: the column name {HASH_COLUMN} is taken")
    check_meta(where, section.meta)


def check_meta(where: str, value: Any) -> None:
    """ValueError for what does not come back from JSON as it was."""
    if isinstance(value, Mapping):
        for name, held in value.items():
            if not isinstance(name, str):
                raise ValueError(f"{where}: meta has the key {name!r}, which is not a string")
            check_meta(f"{where}, meta `{name}`", held)
    elif isinstance(value, list | tuple):
        for held in value:
            check_meta(where, held)
    elif not _is_scalar(value):
        raise ValueError(
            f"{where}: {value!r} can't be kept there; meta is made of None, bool, 64-bit int, finite float, str, "
            "lists and dicts"
        )


def _is_scalar(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 63
    return value is None or isinstance(value, str)


def _check_groups(name: str, starts: Int64s, groups: range) -> None:
    """Rows of a key group that another subtask owns would be restored twice or nowhere."""
    if not groups:
        raise ValueError(f"section `{name}` is KEYED, but the subtask owns no key group")
    total = int(starts[-1])
    own = int(starts[groups[-1] + 1] - starts[groups[0]])
    if own != total:
        counts = np.diff(starts)
        counts[groups[0] : groups[-1] + 1] = 0
        raise ValueError(
            f"section `{name}`: {total - own} of {total} rows belong to key groups of other subtasks (group "
            f"{int(np.flatnonzero(counts)[0])}, while this one owns {groups[0]} to {groups[-1]})"
        )


def _rows_of(size: int, table: pa.Table) -> int:
    """How many rows have about `size` bytes."""
    return max(1, size * int(table.num_rows) // max(1, int(table.nbytes)))


def _cut(starts: Int64s, table: pa.Table) -> Iterator[_Piece]:
    """Blocks begin where a key group does, unless groups are too small or too large for one each."""
    most, least = _rows_of(BLOCK_BYTES, table), _rows_of(LEAST_BLOCK_BYTES, table)
    total = int(starts[-1])
    start = 0
    for stop in np.unique(starts[1:]).tolist():
        if stop - start < least and stop < total:
            continue
        count = -(-(stop - start) // most)
        bounds = [start + (stop - start) * i // count for i in range(count + 1)] if count else []
        for low, high in pairwise(bounds):
            first, last = np.searchsorted(starts, [low, high - 1], "right") - 1
            yield _Piece(low, high, int(first), int(last))
        start = stop


Batches = Iterator[tuple[_Piece, pa.RecordBatch]]


def _in_pieces(table: pa.Table) -> Batches:
    start = 0
    for batch in table.to_batches(max_chunksize=_rows_of(BLOCK_BYTES, table)):
        yield _Piece(start, start + batch.num_rows), batch
        start += batch.num_rows


def _by_group(table: pa.Table, order: Int64s, pieces: Iterator[_Piece]) -> Batches:
    whole = _whole_batch(table)
    for piece in pieces:
        rows = order[piece.start : piece.stop]
        if whole is not None:
            yield piece, gather(whole, rows)
        else:
            taken = table.take(pa.array(rows)).combine_chunks()
            yield piece, taken.to_batches()[0]


def _whole_batch(table: pa.Table) -> pa.RecordBatch | None:
    """The table in one piece, for the kernels; None where columns in chunks are too large for that."""
    arrays = []
    for column in table.columns:
        if column.num_chunks != 1 and column.nbytes > _MOST_COMBINED:
            return None
        arrays.append(column.chunk(0) if column.num_chunks == 1 else _combined(column))
    return pa.RecordBatch.from_arrays(arrays, schema=table.schema)


def _combined(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) else combined


@dataclass(frozen=True, slots=True)
class _Written:
    length: int
    crc32: int
    blocks: list[Block]


def _write_file(schema: pa.Schema, batches: Batches, file: BinaryIO) -> _Written:
    sink = _Sink(file)
    blocks: list[Block] = []
    options = pa.ipc.IpcWriteOptions(use_threads=False)
    target = pa.PythonFile(sink, mode="w")
    with pa.ipc.new_file(target, schema, options=options) as writer:
        # The writer gives the head together with the first batch.
        sink.begin_block(at=_MAGIC_BYTES + schema.serialize().size)
        for piece, batch in batches:
            writer.write_batch(batch)
            start, length, crc = sink.end_block()
            blocks.append(
                Block(start, length, crc, batch.num_rows, piece.first_group, piece.last_group)
            )
    return _Written(sink.position, sink.crc, blocks)


class _Sink:
    """Counts and checks what passes through it to `file`; Arrow buffers are not copied."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.position = 0
        self.crc = 0
        self._start = 0
        self._block_crc = 0

    def begin_block(self, at: int) -> None:
        self._start, self._block_crc = at, 0

    def end_block(self) -> tuple[int, int, int]:
        """(start, length, crc32) of the block that ends here; the next one begins here."""
        found = self._start, self.position - self._start, self._block_crc
        self.begin_block(self.position)
        return found

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self.crc = zlib.crc32(view, self.crc)
        if self.position >= self._start:
            self._block_crc = zlib.crc32(view, self._block_crc)
        elif self.position + view.nbytes > self._start:
            raise AssertionError("Arrow's writer gave head and first batch in one piece")
        self._file.write(view)
        self.position += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self.position

    def flush(self) -> None:
        """The file is its owner's to flush."""

    def close(self) -> None:
        """And to close."""
