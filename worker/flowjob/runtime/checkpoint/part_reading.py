"""Parts of a snapshot back from bytes: which blocks hold the wanted rows, whether they are intact, and what is in them.

Pure: bytes in, tables out. Fetching them is ranges.py, deciding who gets which rows is restoring.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flowjob.errors import DamagedSnapshot
from flowjob.runtime.checkpoint.checksums import crc32
from flowjob.runtime.checkpoint.manifest import Block, PartEntry
from flowjob.runtime.checkpoint.ranges import Range
from flowjob.runtime.checkpoint.sections import HASH_COLUMN

Bytes = bytes | memoryview
Int32s = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Some rows of a part: numbers [start, stop) in the order of the file, or those of key `groups`.

    name   of the part's object in the store; for people's eyes only where the bytes are inline"""

    entry: PartEntry
    name: str
    start: int = 0
    stop: int = 0
    groups: range | None = None

    def blocks(self) -> list[tuple[Block, int]]:
        """The blocks that may have such rows, with the number of each one's first row."""
        found = []
        first = 0
        for block in self.entry.blocks:
            if self.groups is None:
                touched = first < self.stop and self.start < first + block.rows
            else:
                touched = (
                    block.first_group < self.groups.stop and self.groups.start <= block.last_group
                )
            if touched:
                found.append((block, first))
            first += block.rows
        return found

    def ranges(self) -> list[Range]:
        """What must be fetched for `read`."""
        entry = self.entry
        if entry.inline is not None:
            return []
        if not entry.blocks:
            return [Range(self.name, entry.offset, entry.length)]
        return [self._range(block) for block, _ in self.blocks()]

    def _range(self, block: Block) -> Range:
        return Range(self.name, self.entry.offset + block.offset, block.length)

    def read(self, found: Mapping[Range, memoryview], max_parallelism: int) -> pa.Table:
        """The rows, without their hashes. DamagedSnapshot when bytes are not those that were written."""
        entry = self.entry
        where = describe(entry, self.name)
        if entry.inline is not None or not entry.blocks:
            data = entry.inline
            table = read_whole(entry, found[self.ranges()[0]] if data is None else data, where)
            first = 0
        else:
            blocks = self.blocks()
            schema = pa.ipc.read_schema(pa.py_buffer(entry.schema))
            batches = [read_block(b, schema, found[self._range(b)], where) for b, _ in blocks]
            table = pa.Table.from_batches(batches, schema)
            first = blocks[0][1] if blocks else 0
        if self.groups is None:
            return table.slice(self.start - first, self.stop - self.start)
        return of_groups(table, self.groups, max_parallelism)


def of_groups(table: pa.Table, groups: range, max_parallelism: int) -> pa.Table:
    """The rows of these key groups from rows that are ordered by group, without their hashes."""
    found = groups_of_rows(table, max_parallelism)
    start, stop = np.searchsorted(found, [groups.start, groups.stop])
    return table.drop_columns(HASH_COLUMN).slice(start, stop - start)


def groups_of_rows(rows: pa.Table | pa.RecordBatch, max_parallelism: int) -> Int32s:
    """int32[n]: the key group of each row."""
    # Not before it is needed: a JobManager reads manifests and splits, and must start fast.
    from flowjob.kernels.partitioning import key_groups

    hashes = rows.column(HASH_COLUMN).to_numpy()
    return key_groups(np.ascontiguousarray(hashes, np.uint64), max_parallelism)


def describe(entry: PartEntry, name: str) -> str:
    """For messages: which part, where."""
    place = "in the manifest itself" if entry.inline is not None else f"in object {name}"
    at = f" from byte {entry.offset}" if entry.offset else ""
    return f"section `{entry.section}` {place}{at}"


def check_crc(actual: int, expected: int, what: str) -> None:
    """DamagedSnapshot unless zlib.crc32 of the bytes is as written."""
    if actual != expected:
        raise DamagedSnapshot(
            f"{what} is damaged: its checksum (crc32) should be {expected:08x}, and is {actual:08x}"
        )


def read_whole(entry: PartEntry, data: Bytes, where: str) -> pa.Table:
    """All rows of a part from all its bytes."""
    if len(data) != entry.length:
        raise DamagedSnapshot(
            f"{where} is cut off: it should have {entry.length} bytes, and has {len(data)}"
        )
    check_crc(crc32(data), entry.crc32, where)
    try:
        table = pa.ipc.open_file(pa.py_buffer(data)).read_all()
        table.validate()
    except pa.ArrowInvalid as error:
        raise DamagedSnapshot(f"{where} is not an Arrow file: {error}") from error
    if table.num_rows != entry.rows:
        raise DamagedSnapshot(f"{where} should have {entry.rows} rows, and has {table.num_rows}")
    return table


def read_block(block: Block, schema: pa.Schema, data: Bytes, where: str) -> pa.RecordBatch:
    """The rows of one block."""
    what = f"{where}, block at {block.offset},"
    check_crc(crc32(data), block.crc32, what)
    try:
        batch = pa.ipc.read_record_batch(pa.py_buffer(data), schema)
        batch.validate()
    except (pa.ArrowInvalid, OSError) as error:
        raise DamagedSnapshot(f"{what} is not a record batch: {error}") from error
    if batch.num_rows != block.rows:
        raise DamagedSnapshot(f"{what} should have {block.rows} rows, and has {batch.num_rows}")
    return batch
