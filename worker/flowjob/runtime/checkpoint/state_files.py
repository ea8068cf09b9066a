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
from flowjob.runtime.checkpoint.checksums import crc32_of_both
from flowjob.runtime.checkpoint.manifest import Block, PartEntry
from flowjob.runtime.checkpoint.plain_types import plain_table, plain_type
from flowjob.runtime.checkpoint.sections import HASH_COLUMN, Distribution, Rows, Section

BLOCK_BYTES = 4 << 20
"""About the most a block has."""

LEAST_BLOCK_BYTES = 256 << 10
"""Key groups that are smaller share a block."""

_ALIGNMENT = 64
_MAGIC_BYTES = 8
_MOST_COMBINED = 1 << 30
_SAMPLE = 1024


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows [start, stop) of a section in the order of the file."""

    start: int
    stop: int
    first_group: int = -1
    last_group: int = -1


Batches = Iterator[tuple[_Piece, pa.RecordBatch]]


def write_parts(
    sections: Iterable[Section], max_parallelism: int, groups: range, file: BinaryIO
) -> list[PartEntry]:
    """Appends each section to `file` as a complete Arrow IPC file, and says where; `object` stays empty.

    groups   the key groups of this subtask: OperatorContext.key_groups
    Needs, beyond the sections, about a block, 12 bytes per row of the largest KEYED one, and a copy of each column of a
    table that comes in chunks. Raises ValueError for a section that cannot be stored, with its name."""
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
    keyed = section.distribution is Distribution.KEYED
    if keyed:
        schema, batches = _keyed(section, max_parallelism, groups)
    else:
        table = plain_table(section.table)
        schema, batches = table.schema, _in_pieces(table)
    offset = file.tell()
    written = _write_file(schema, batches, file)
    several = len(written.blocks) > 1
    return PartEntry(
        section=section.name,
        distribution=section.distribution.value,
        rows=_count(section),
        offset=offset,
        length=written.length,
        crc32=written.crc32,
        first_group=groups[0] if keyed else -1,
        last_group=groups[-1] if keyed else -1,
        meta=dict(section.meta),
        blocks=written.blocks if several else [],
        schema=schema.serialize().to_pybytes() if several else b"",
    )


def _count(section: Section) -> int:
    rows = section.rows
    return rows.count if isinstance(rows, Rows) else int(rows.num_rows)


def _keyed(section: Section, max_parallelism: int, groups: range) -> tuple[pa.Schema, Batches]:
    """The rows by key group, with their hashes."""
    assert section.hashes is not None
    hashes = np.ascontiguousarray(section.hashes, np.uint64)
    order, starts = partition(hashes, max_parallelism, max_parallelism)
    _check_groups(section.name, starts, groups)
    rows = section.rows
    if isinstance(rows, Rows) and all(plain_type(t) == t for t in rows.schema.types):
        schema, take, size = rows.schema.remove_metadata(), rows.take, _size(rows, order)
    else:
        table = plain_table(section.table)
        schema, take, size = table.schema, _taking(table), table.nbytes / max(1, table.num_rows)
    schema = schema.append(pa.field(HASH_COLUMN, pa.uint64(), False))

    def batches() -> Batches:
        for piece in _cut(starts, size + 8):
            at = order[piece.start : piece.stop]
            columns = [*take(at).columns, pa.array(hashes[at])]
            yield piece, pa.RecordBatch.from_arrays(columns, schema=schema)

    return schema, batches()


def _size(rows: Rows, order: Int64s) -> float:
    """About how many bytes a row has."""
    some = order[:: max(1, rows.count // _SAMPLE)]
    return float(rows.take(some).nbytes / len(some)) if len(some) else 0.0


def _check(section: Section) -> None:
    where = f"section `{section.name}`"
    keyed = section.distribution is Distribution.KEYED
    if keyed != (section.hashes is not None):
        raise ValueError(f"{where}: a KEYED section has hashes, and no other has")
    if section.hashes is not None and len(section.hashes) != _count(section):
        raise ValueError(f"{where}: {len(section.hashes)} hashes for {_count(section)} rows")
    if HASH_COLUMN in section.rows.schema.names:
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


def _rows_of(size: int, row: float) -> int:
    """How many rows of `row` bytes have about `size` bytes."""
    return max(1, int(size / max(row, 1e-3)))


def _cut(starts: Int64s, row: float) -> Iterator[_Piece]:
    """Blocks begin where a key group does, unless groups are too small or too large for one each."""
    most, least = _rows_of(BLOCK_BYTES, row), _rows_of(LEAST_BLOCK_BYTES, row)
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


def _in_pieces(table: pa.Table) -> Batches:
    start = 0
    size = _rows_of(BLOCK_BYTES, table.nbytes / max(1, table.num_rows))
    for batch in table.to_batches(max_chunksize=size):
        yield _Piece(start, start + batch.num_rows), batch
        start += batch.num_rows


def _taking(table: pa.Table) -> Callable[[Int64s], pa.RecordBatch]:
    whole = _whole_batch(table)
    if whole is not None:
        return lambda at: gather(whole, at)
    return lambda at: table.take(pa.array(at)).combine_chunks().to_batches()[0]


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

    def __init__(self, file: BinaryIO, head: int) -> None:
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
        self._block_crc = zlib.crc32(view, self._block_crc)
        self._file.write(view)
        self.position += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self.position

    def flush(self) -> None:
        """The file is its owner's to flush."""

    def close(self) -> None:
        """And to close."""
