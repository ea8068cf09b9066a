"""The store in memory: its faults happen when the hook says so."""

from __future__ import annotations

import asyncio

import pytest

from flowjob.runtime.storage.memory import MemoryObjects, MemoryStore, NoFaults
from flowjob.runtime.storage.object_store import ObjectStore, StorageError


class Faults(NoFaults):
    def __init__(self) -> None:
        self.fail_before = self.fail_after = False
        self.stale = 0

    async def before(self, operation: str, name: str) -> None:
        if self.fail_before:
            raise StorageError(f"{operation} {name}: refused")

    async def after(self, operation: str, name: str) -> None:
        if self.fail_after:
            raise StorageError(f"{operation} {name}: connection lost")

    def unseen(self, prefix: str) -> int:
        return self.stale


async def names(store: ObjectStore, prefix: str = "") -> list[str]:
    return [o.name async for o in store.scan(prefix)]


def test_an_error_before_means_that_nothing_happened_and_one_after_that_it_did() -> None:
    async def scenario() -> None:
        faults = Faults()
        store = MemoryStore(faults=faults)
        faults.fail_before = True
        with pytest.raises(StorageError, match="refused"):
            await store.put("a", b"1")
        faults.fail_before, faults.fail_after = False, True
        with pytest.raises(StorageError, match="connection lost"):
            await store.create("b", b"1")
        faults.fail_after = False
        assert await names(store) == ["b"]

    asyncio.run(scenario())


def test_a_stale_listing_shows_what_was_there_before_the_newest_changes() -> None:
    async def scenario() -> None:
        faults = Faults()
        objects = MemoryObjects()
        writer = MemoryStore(objects)
        reader = MemoryStore(objects, faults=faults)
        await writer.put("a", b"1")
        await writer.put("b", b"1")
        await writer.put("a", b"22")
        await writer.delete(["b"])
        seen = []
        for faults.stale in range(5):
            seen.append([(o.name, o.size) async for o in reader.scan("")])
        assert seen == [
            [("a", 2)],
            [("a", 2), ("b", 1)],
            [("a", 1), ("b", 1)],
            [("a", 1)],
            [],
        ]
        assert await reader.get("a") == b"22"  # reads of one object are never stale

    asyncio.run(scenario())
