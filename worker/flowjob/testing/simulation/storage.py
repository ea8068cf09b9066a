"""Env.open_store of simulated processes: one server for all, which is slow, fails, lies and forgets to mention things.

The store itself is runtime/storage/memory.py; here is only what goes wrong. What it holds outlives every process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from flowjob.errors import DamagedSnapshot, FlowjobError
from flowjob.runtime.env import StoreLocation
from flowjob.runtime.storage.memory import MemoryObjects, MemoryStore
from flowjob.runtime.storage.object_store import ObjectInfo, ObjectStore, StorageError
from flowjob.runtime.storage.paths import JobPaths
from flowjob.testing.simulation.env import START
from flowjob.testing.simulation.watching import StoreWatch
from flowjob.testing.simulation.world import StoreHabits, World

LOCATION = StoreLocation("memory://simulation")

ROOT = "simulated"
"""Of the job, below it."""

REPAIRED_AFTER = 200.0
"""Virtual seconds after which a store works again: a job may need luck for all that it wants of one that fails."""


class SimStorage:
    """One server, whatever the URL. All goes well until the job has run once."""

    def __init__(self, world: World, habits: StoreHabits) -> None:
        self._world = world
        self.habits = habits
        self.objects = MemoryObjects()
        self.watch = StoreWatch(JobPaths(ROOT), self.objects)
        self.damaged: set[str] = set()

    def open(self, location: StoreLocation) -> ObjectStore:
        """See Env.open_store. A URL may go on into a directory: what is above it is out of reach."""
        store = MemoryStore(
            self.objects,
            now=lambda: START + round(self._world.loop.time() * 1e6),
            faults=_Faults(self),
            url=LOCATION.url,
        )
        directory = location.url.removeprefix(LOCATION.url).strip("/")
        return _Below(store, directory) if directory else store

    def damage_newest(self, pick: float) -> None:
        """A byte changes in an object of the newest restore point; its manifest stays as it is, for whoever watches."""
        newest = self.watch.log.newest
        if newest is None:
            return
        manifest = self.watch.paths.full(newest.manifest)
        names = sorted(self.watch.needed_by(newest.snapshot) - {manifest})
        names = [n for n in names if n in self.objects.found and self.objects.found[n].data]
        if names:
            name = names[int(pick * len(names))]
            data = bytearray(self.objects.found[name].data)
            data[int(pick * 1000) % len(data)] ^= 1
            self.objects.found[name] = replace(self.objects.found[name], data=bytes(data))
            self.damaged.add(manifest.rpartition("/")[0])
            self._world.note("store", f"has changed a byte of {name}")

    def is_damage(self, error: FlowjobError | None) -> bool:
        """That a snapshot is damaged, as is true, and none may stand in for it: a person has to decide."""
        return bool(self.damaged) and error is not None and error.code == DamagedSnapshot.code

    def had_committed(self, seconds: float) -> bool:
        """Whether at that virtual time the job's log said of any snapshot that it is complete."""
        return any(then <= seconds for then, _ in self.watch.commits)

    def now(self) -> float:
        return self._world.loop.time()

    async def take_time(self) -> None:
        chance = self._world.chance("store")
        wait = self.habits.latency * chance.random()
        if chance.random() < 0.05:
            wait *= 20
            self._world.held_up(wait)
        await asyncio.sleep(wait)  # noqa: TID251 - this is the world

    def strikes(self, probability: float) -> bool:
        if not probability or not self._world.happened.get("running"):
            return False  # whoever cannot claim its log just says so
        if self.now() > REPAIRED_AFTER:
            return False
        return self._world.chance("store").random() < probability

    def fail(self, what: str, operation: str, name: str) -> None:
        """Raises StorageError."""
        self._world.note("store", f"{what} {operation} {name}")
        raise StorageError(f"the simulated store {what} {operation} of {name}")

    def unseen(self) -> int:
        habits, chance = self.habits, self._world.chance("store")
        return int(chance.random() * 10) if self.strikes(habits.stale) else 0


class _Below:
    """A directory of a store, as a store."""

    def __init__(self, store: MemoryStore, directory: str) -> None:
        self._store = store
        self._prefix = f"{directory}/"

    @property
    def url(self) -> str:
        return f"{self._store.url}/{self._prefix[:-1]}"

    async def put(self, name: str, data: bytes | Path) -> None:
        await self._store.put(self._prefix + name, data)

    async def create(self, name: str, data: bytes) -> bool:
        return await self._store.create(self._prefix + name, data)

    async def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        return await self._store.get(self._prefix + name, start, length)

    async def head(self, name: str) -> ObjectInfo | None:
        found = await self._store.head(self._prefix + name)
        return None if found is None else replace(found, name=name)

    async def scan(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        async for info in self._store.scan(self._prefix + prefix):
            yield replace(info, name=info.name.removeprefix(self._prefix))

    async def delete(self, names: list[str]) -> None:
        await self._store.delete([self._prefix + name for name in names])

    async def sweep(self, prefix: str, before: int) -> None:
        await self._store.sweep(self._prefix + prefix, before)

    async def close(self) -> None:
        await self._store.close()


class _Faults:
    """See memory.StoreFaults."""

    def __init__(self, storage: SimStorage) -> None:
        self._storage = storage

    async def before(self, operation: str, name: str) -> None:
        storage = self._storage
        await storage.take_time()
        if storage.strikes(storage.habits.failing):
            storage.fail("refuses", operation, name)
        if operation == "delete":
            storage.watch.deleted(name)

    async def after(self, operation: str, name: str) -> None:
        storage = self._storage
        if operation == "create":
            storage.watch.created(name, storage.now())
        await storage.take_time()
        if storage.strikes(storage.habits.lying):
            storage.fail("does not answer after", operation, name)

    def unseen(self, prefix: str) -> int:
        return self._storage.unseen()
