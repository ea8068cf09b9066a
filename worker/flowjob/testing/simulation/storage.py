"""Env.open_store of simulated processes: one server for all, which is slow, fails, lies and forgets to mention things.

The store itself is runtime/storage/memory.py; here is only what goes wrong. What it holds outlives every process."""

from __future__ import annotations

import asyncio

from flowjob.runtime.env import StoreLocation
from flowjob.runtime.storage.memory import MemoryObjects, MemoryStore
from flowjob.runtime.storage.object_store import ObjectStore, StorageError
from flowjob.testing.simulation.env import START
from flowjob.testing.simulation.world import StoreHabits, World

LOCATION = StoreLocation("memory://simulation")

ROOT = "simulated"
"""Of the job, below it."""


class SimStorage:
    """The servers, by URL. All goes well until the job has run once."""

    def __init__(self, world: World, habits: StoreHabits) -> None:
        self._world = world
        self.habits = habits
        self.servers: dict[str, MemoryObjects] = {}

    def open(self, location: StoreLocation) -> ObjectStore:
        """See Env.open_store."""
        objects = self.servers.setdefault(location.url, MemoryObjects())
        return MemoryStore(
            objects,
            now=lambda: START + round(self._world.loop.time() * 1e6),
            faults=_Faults(self),
            url=location.url,
        )

    def names(self) -> list[str]:
        """Of all objects there are."""
        return sorted(name for server in self.servers.values() for name in server.found)

    def had_committed(self, seconds: float) -> bool:
        """Whether at that virtual time the job's log said of any snapshot that it is complete."""
        then = START + int(seconds * 1e6)
        return any(
            b'"commit"' in found.data
            for server in self.servers.values()
            for name, found in server.found.items()
            if name.startswith(f"{ROOT}/log/") and found.modified <= then
        )

    async def take_time(self) -> None:
        chance = self._world.chance("store")
        wait = self.habits.latency * chance.random()
        if chance.random() < 0.05:
            wait *= 20
        await asyncio.sleep(wait)  # noqa: TID251 - this is the world

    def strikes(self, probability: float) -> bool:
        if not probability or not self._world.happened.get("running"):
            return False  # whoever cannot claim its log just says so
        return self._world.chance("store").random() < probability

    def fail(self, what: str, operation: str, name: str) -> None:
        """Raises StorageError."""
        self._world.note("store", f"{what} {operation} {name}")
        raise StorageError(f"the simulated store {what} {operation} of {name}")

    def unseen(self) -> int:
        habits, chance = self.habits, self._world.chance("store")
        return int(chance.random() * 10) if self.strikes(habits.stale) else 0


class _Faults:
    """See memory.StoreFaults."""

    def __init__(self, storage: SimStorage) -> None:
        self._storage = storage

    async def before(self, operation: str, name: str) -> None:
        await self._storage.take_time()
        if self._storage.strikes(self._storage.habits.failing):
            self._storage.fail("refuses", operation, name)

    async def after(self, operation: str, name: str) -> None:
        await self._storage.take_time()
        if self._storage.strikes(self._storage.habits.lying):
            self._storage.fail("does not answer after", operation, name)

    def unseen(self, prefix: str) -> int:
        return self._storage.unseen()
