"""Sections in the order of their files: rows by key group, cut into blocks that can be read and checked alone.

Why here: this must be done before the operator goes on; writing it (state_files.py) may come later. Runs in frozen
copies of the process: no threads, no event loop, no I/O. It must not know files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from flowjob.kernels.columns import Int64s, UInt64s
from flowjob.kernels.gather import gather, sorted_by
from flowjob.kernels.partitioning import partition
from flowjob.runtime.checkpoint.manifest import PartEntry
from flowjob.runtime.checkpoint.plain_types import plain_table, plain_type
from flowjob.runtime.checkpoint.sections import HASH_COLUMN, Distribution, Rows, Section

BLOCK_BYTES = 4 << 20
"""About the most a block has."""

LEAST_BLOCK_BYTES = 256 << 10
"""Key groups that are smaller share a block."""

_MOST_COMBINED = 1 << 30
_SAMPLE = 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows [start, stop) of a section in the order of the file."""

    start: int
    stop: int
    first_group: int = -1
    last_group: int = -1


Batches = Iterator[tuple[Piece, pa.RecordBatch]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A section in the order of its file: `entry` without what only writing tells. `batches` may share the operator's
    buffers, and are made as they are asked for.

    at_once   the same batches, made together in memory of their own: in less time, with twice the memory"""

    entry: PartEntry
    schema: pa.Schema
    batches: Batches
    at_once: Callable[[], Batches]

    def detached(self) -> Prepared:
        """With all batches made, in memory of their own: the operator may go on before they are written."""
        return replace(self, batches=self.at_once())


def prepared(
    sections: Iterable[Section], max_parallelism: int, groups: range
) -> Iterator[Prepared]:
    """One after the other. Raises as write_parts does."""
    names: set[str] = set()
    for section in sections:
        if section.name in names:
            raise ValueError(f"section `{section.name}` is given twice")
        names.add(section.name)
        yield _prepare(section, max_parallelism, groups)


def _prepare(section: Section, max_parallelism: int, groups: range) -> Prepared:
    _check(section)
    keyed = section.distribution is Distribution.KEYED
    source = (
        _keyed(section, max_parallelism, groups) if keyed else _Plain(plain_table(section.table))
    )
    entry = PartEntry(
        section=section.name,
        distribution=section.distribution.value,
        rows=_count(section),
        offset=0,
        length=0,
        crc32=0,
        first_group=groups[0] if keyed else -1,
        last_group=groups[-1] if keyed else -1,
        meta=dict(section.meta),
    )
    return Prepared(entry, source.schema, source.batches(), source.at_once)


def _copied(batch: pa.RecordBatch) -> pa.RecordBatch:
    return pa.ipc.read_record_batch(batch.serialize(), batch.schema)


def _count(section: Section) -> int:
    rows = section.rows
    return rows.count if isinstance(rows, Rows) else int(rows.num_rows)


class _Source(Protocol):
    """Where the batches of a file come from; `schema` is the file's."""

    @property
    def schema(self) -> pa.Schema: ...

    def batches(self) -> Batches: ...

    def at_once(self) -> Batches: ...


@dataclass(frozen=True, slots=True)
class _Plain:
    """As they lie, in blocks."""

    table: pa.Table

    @property
    def schema(self) -> pa.Schema:
        return self.table.schema

    def batches(self) -> Batches:
        start = 0
        size = _rows_of(BLOCK_BYTES, self.table.nbytes / max(1, self.table.num_rows))
        for batch in self.table.to_batches(max_chunksize=size):
            yield Piece(start, start + batch.num_rows), batch
            start += batch.num_rows

    def at_once(self) -> Batches:
        return iter([(piece, _copied(batch)) for piece, batch in self.batches()])


@dataclass(frozen=True, slots=True)
class _Keyed:
    """By key group, with their hashes as the last column.

    take    rows by numbers in the operator's order
    whole   all of them in that order, which may be the operator's own
    order   int64[rows]: those numbers in the order of the file, in which group g begins at starts[g]
    row     bytes of one, about"""

    schema: pa.Schema
    take: Callable[[Int64s], pa.RecordBatch]
    whole: Callable[[], pa.RecordBatch]
    hashes: UInt64s
    order: Int64s
    starts: Int64s
    row: float

    def batches(self) -> Batches:
        for piece in _cut(self.starts, self.row):
            at = self.order[piece.start : piece.stop]
            columns = [*self.take(at).columns, pa.array(self.hashes[at])]
            yield piece, pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def at_once(self) -> Batches:
        """Rows that are read as they lie and then sorted cost half of what rows do that are looked for one by one."""
        if not len(self.order):
            return iter(())
        columns = [*self.whole().columns, pa.array(self.hashes)]
        batch = sorted_by(pa.RecordBatch.from_arrays(columns, schema=self.schema), self.order)
        return ((p, batch.slice(p.start, p.stop - p.start)) for p in _cut(self.starts, self.row))


def _keyed(section: Section, max_parallelism: int, groups: range) -> _Keyed:
    assert section.hashes is not None
    hashes = np.ascontiguousarray(section.hashes, np.uint64)
    order, starts = partition(hashes, max_parallelism, max_parallelism)
    _check_groups(section.name, starts, groups)
    rows = section.rows
    if isinstance(rows, Rows) and all(plain_type(t) == t for t in rows.schema.types):
        schema, take, size = rows.schema.remove_metadata(), rows.take, _size(rows, order)
        whole = _all_by(take, rows.count)
    else:
        table = plain_table(section.table)
        schema, size = table.schema, table.nbytes / max(1, table.num_rows)
        take, whole = _taking(table)
    schema = schema.append(pa.field(HASH_COLUMN, pa.uint64(), False))
    return _Keyed(schema, take, whole, hashes, order, starts, size + 8)


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


def _cut(starts: Int64s, row: float) -> Iterator[Piece]:
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
            yield Piece(low, high, int(first), int(last))
        start = stop


def _taking(
    table: pa.Table,
) -> tuple[Callable[[Int64s], pa.RecordBatch], Callable[[], pa.RecordBatch]]:
    """How some rows are taken, and how all."""
    batch = _whole_batch(table)
    if batch is not None:
        return partial(gather, batch), lambda: batch

    def take(at: Int64s) -> pa.RecordBatch:
        return table.take(pa.array(at)).combine_chunks().to_batches()[0]

    return take, _all_by(take, table.num_rows)


def _all_by(take: Callable[[Int64s], pa.RecordBatch], count: int) -> Callable[[], pa.RecordBatch]:
    return lambda: take(np.arange(count))


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
