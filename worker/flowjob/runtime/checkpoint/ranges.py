"""Byte ranges of objects, fetched together: neighbours in one request, few requests at a time.

Why here: restoring asks for many small ranges that lie side by side, and a request costs more than a gap. It must not
know what the bytes mean."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from flowjob.errors import DamagedSnapshot
from flowjob.runtime.storage.object_store import ObjectMissing, ObjectStore

T = TypeVar("T")

GAP_BYTES = 64 << 10
"""Bytes read for nothing rather than asking twice."""

REQUEST_BYTES = 16 << 20
"""Ranges are not joined beyond this."""


class Range(NamedTuple):
    """`length` bytes from `start` on of the object called `name` in the store."""

    name: str
    start: int
    length: int

    @property
    def stop(self) -> int:
        return self.start + self.length


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Reads from a store, at most so many requests at once as `limit` has permits."""

    store: ObjectStore
    limit: asyncio.Semaphore

    async def fetch(self, ranges: Iterable[Range]) -> Mapping[Range, memoryview]:
        """The bytes of each range. DamagedSnapshot where an object is missing or ends too soon."""
        joined = join_ranges(ranges)
        found = await together(self._one(request) for request in joined)
        return {
            wanted: memoryview(data)[wanted.start - request.start : wanted.stop - request.start]
            for (request, wants), data in zip(joined.items(), found)
            for wanted in wants
        }

    async def _one(self, wanted: Range) -> bytes:
        async with self.limit:
            try:
                data = await self.store.get(wanted.name, wanted.start, wanted.length)
            except ObjectMissing as missing:
                raise DamagedSnapshot(
                    f"object {wanted.name} of the snapshot is missing from {self.store.url}"
                ) from missing
        if len(data) != wanted.length:
            raise DamagedSnapshot(
                f"object {wanted.name} in {self.store.url} is cut off: it should have at least {wanted.stop} bytes, "
                f"and has {wanted.start + len(data) if data else f'at most {wanted.start}'}"
            )
        return data


def join_ranges(ranges: Iterable[Range]) -> dict[Range, list[Range]]:
    """Requests that cover all ranges -> the ranges that each covers."""
    joined: dict[Range, list[Range]] = {}
    current: Range | None = None
    covered: list[Range] = []
    for wanted in sorted(set(ranges)):
        if current is not None and _belong_together(current, wanted):
            stop = max(current.stop, wanted.stop)
            current = Range(current.name, current.start, stop - current.start)
            covered.append(wanted)
            continue
        if current is not None:
            joined[current] = covered
        current, covered = wanted, [wanted]
    if current is not None:
        joined[current] = covered
    return joined


def _belong_together(current: Range, wanted: Range) -> bool:
    return (
        current.name == wanted.name
        and wanted.start <= current.stop + GAP_BYTES
        and max(wanted.stop, current.stop) - current.start <= REQUEST_BYTES
    )


async def together(work: Iterable[Awaitable[T]]) -> list[T]:
    """The results, in order. The first failure cancels the others, and is raised when they have ended."""
    tasks = [asyncio.ensure_future(w) for w in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
