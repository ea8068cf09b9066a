"""Whether a snapshot is whole: every byte that its manifest names is there and as it was written.

Reads all of it, part by part, with as much memory as a few requests. It must not change anything."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from flowjob.errors import DamagedSnapshot, SnapshotError
from flowjob.runtime.checkpoint.checksums import crc32
from flowjob.runtime.checkpoint.manifest import Manifest, PartEntry
from flowjob.runtime.checkpoint.part_reading import (
    check_crc,
    describe,
    groups_of_rows,
    read_block,
    read_whole,
)
from flowjob.runtime.checkpoint.ranges import Fetcher, Range, together
from flowjob.runtime.checkpoint.restoring import REQUESTS, object_name
from flowjob.runtime.checkpoint.sections import Distribution
from flowjob.runtime.storage.object_store import ObjectStore


def all_parts(manifest: Manifest) -> Iterator[PartEntry]:
    """Every part, of state and in flight."""
    for task in manifest.tasks:
        for state in task.operators:
            yield from state.parts
        yield from task.in_flight


async def verify_snapshot(store: ObjectStore, directory: str, manifest: Manifest) -> list[str]:
    """What is wrong with it, a sentence each; nothing, when it is whole.

    Checks the checksum of every part and block, that Arrow can read them, the number of rows, and that rows are in
    order of key group and in those of their writer. StorageError when the store itself fails."""
    fetcher = Fetcher(store, asyncio.Semaphore(REQUESTS))
    work = [
        _problem_of(fetcher, directory, entry, manifest.max_parallelism)
        for entry in all_parts(manifest)
    ]
    return [problem for problem in await together(work) if problem is not None]


async def check_objects(store: ObjectStore, directory: str, manifest: Manifest) -> None:
    """Raises DamagedSnapshot unless every object is there, and long enough. Costs a request for each, and reads
    nothing: what is in them is checked when it is read."""
    ends: dict[str, int] = {}
    for entry in all_parts(manifest):
        if entry.inline is None:
            name = object_name(directory, entry)
            ends[name] = max(ends.get(name, 0), entry.offset + entry.length)
    free = asyncio.Semaphore(REQUESTS)

    async def check(name: str, length: int) -> None:
        async with free:
            found = await store.head(name)
        if found is None:
            raise DamagedSnapshot(f"object {name} of the snapshot is missing from {store.url}")
        if found.size < length:
            raise DamagedSnapshot(
                f"object {name} in {store.url} is cut off: it should have at least {length} bytes, and has {found.size}"
            )

    await together(check(name, length) for name, length in ends.items())


async def _problem_of(
    fetcher: Fetcher, directory: str, entry: PartEntry, max_parallelism: int
) -> str | None:
    try:
        await _check(fetcher, directory, entry, max_parallelism)
    except SnapshotError as error:
        return str(error)
    return None


async def _check(fetcher: Fetcher, directory: str, entry: PartEntry, max_parallelism: int) -> None:
    name = "" if entry.inline is not None else object_name(directory, entry)
    where = describe(entry, name)
    order = _Order(entry, max_parallelism, where)
    if entry.blocks:
        await _check_blocks(fetcher, entry, name, order)
        return
    data: bytes | memoryview | None = entry.inline
    if data is None:
        wanted = Range(name, entry.offset, entry.length)
        data = (await fetcher.fetch([wanted]))[wanted]
    for batch in read_whole(entry, data, where).to_batches():
        order.check(batch)


async def _check_blocks(fetcher: Fetcher, entry: PartEntry, name: str, order: _Order) -> None:
    schema = pa.ipc.read_schema(pa.py_buffer(entry.schema))
    crc = position = rows = 0
    for block in entry.blocks:
        if block.offset < position:
            raise SnapshotError(f"{order.where}: its blocks overlap")
        stop = block.offset + block.length
        wanted = Range(name, entry.offset + position, stop - position)
        data = (await fetcher.fetch([wanted]))[wanted]
        order.check(read_block(block, schema, data[block.offset - position :], order.where))
        crc, position, rows = crc32(data, crc), stop, rows + block.rows
    tail = Range(name, entry.offset + position, entry.length - position)
    check_crc(crc32((await fetcher.fetch([tail]))[tail], crc), entry.crc32, order.where)
    if rows != entry.rows:
        raise SnapshotError(f"{order.where} should have {entry.rows} rows, not {rows}")


class _Order:
    """Sees the batches of a part, one after the other."""

    def __init__(self, entry: PartEntry, max_parallelism: int, where: str) -> None:
        self.where = where
        self._keyed = entry.distribution == Distribution.KEYED.value
        self._group = entry.first_group
        self._last_group = entry.last_group
        self._max_parallelism = max_parallelism

    def check(self, batch: pa.RecordBatch) -> None:
        """SnapshotError unless Arrow can read all of it, and its rows follow those before in order of key group."""
        try:
            batch.validate(full=True)
        except pa.ArrowInvalid as error:
            raise SnapshotError(f"{self.where} holds what Arrow cannot read: {error}") from error
        if not self._keyed or batch.num_rows == 0:
            return
        groups = groups_of_rows(batch, self._max_parallelism)
        ascending = bool((np.diff(groups) >= 0).all())
        if not ascending or groups[0] < self._group or groups[-1] > self._last_group:
            raise SnapshotError(f"{self.where} is not in the order of its key groups")
        self._group = int(groups[-1])
