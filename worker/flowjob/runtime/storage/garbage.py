"""Deletes what the job's log has given up, in the background and little by little, and finds what crashes have left.

Nothing waits for a deletion, and none that fails does harm: it is tried again, and the next start finds the rest. It
must not decide what may go: that is said by the log (core/snapshot_log.py) and by who retires."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Set
from dataclasses import dataclass

from flowjob.core.snapshot_log import LogState
from flowjob.errors import StorageError
from flowjob.runtime.env import Clock
from flowjob.runtime.storage.object_store import ObjectStore
from flowjob.runtime.storage.paths import MANIFEST, JobPaths, prefix_of

AT_ONCE = 2
"""Directories that are deleted side by side: a store has better things to do."""

NAMES_AT_ONCE = 500
MOST_WAITING = 1000
"""What would wait beyond these is left to the sweep of the next start."""

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 600.0
"""Seconds before what could not be deleted is tried again."""

UNFINISHED_MICROS = 24 * 3_600_000_000
"""How old a write that never ended must be before it is swept away: no write that lives takes a day."""

END_OF_TIME = 1 << 62

_log = logging.getLogger("flowjob.storage")


class Garbage:
    """Deletes directories of `store`; all of it is safe to repeat. `deleted`: how many are gone."""

    def __init__(self, store: ObjectStore, clock: Clock, *, at_once: int = AT_ONCE) -> None:
        self._store = store
        self._clock = clock
        self._free = asyncio.Semaphore(at_once)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.deleted = 0

    @property
    def waiting(self) -> int:
        """Directories and files that are still to be deleted."""
        return len(self._tasks)

    def delete(self, name: str, *, unfinished: bool = False) -> None:
        """The object of that name, or all of that directory, goes soon. Returns at once. `unfinished`: so does what is
        being written there, by whoever may have died over it."""
        if name in self._tasks:
            return
        if len(self._tasks) >= MOST_WAITING:
            _log.warning("%s: %s stays until the job starts again", self._store.url, name)
            return
        task = asyncio.create_task(self._delete(name, unfinished), name=f"delete {name}")
        self._tasks[name] = task
        task.add_done_callback(lambda _: self._tasks.pop(name, None))

    def is_deleting(self, name: str) -> bool:
        """Whether that object or directory waits to be gone."""
        return name in self._tasks

    async def finished(self) -> None:
        """Waits until nothing is to be deleted any more: for as long as the store refuses to."""
        while self._tasks:
            await asyncio.gather(*self._tasks.values())

    async def close(self) -> None:
        """Gives up the rest; the next start finds it."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _delete(self, name: str, unfinished: bool) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                async with self._free:
                    if unfinished:
                        await self._store.sweep(prefix_of(name), END_OF_TIME)
                    await delete_all(self._store, name)
                self.deleted += 1
                return
            except StorageError as error:
                level = logging.WARNING if pause == FIRST_PAUSE else logging.DEBUG
                _log.log(level, "%s; trying again later", error)
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


async def delete_all(store: ObjectStore, name: str) -> None:
    """The object `name`, and everything in the directory `name`."""
    names = [name]
    async for found in store.scan(prefix_of(name)):
        names.append(found.name)
        if len(names) >= NAMES_AT_ONCE:
            await store.delete(names)
            names = []
    await store.delete(names)


@dataclass(frozen=True, slots=True)
class Orphans:
    """Finds what nobody will ever need or delete: what crashes have left of former lives.

    state   the log, read by the leader that asks. Checkpoints up to its highest id that are not committed in it can
            never be, by whomever, because ids in the log ascend; those of earlier generations neither, whatever id
    needed  names of the objects of all committed snapshots, and of directories that are needed as a whole
    """

    store: ObjectStore
    paths: JobPaths
    state: LogState
    needed: Set[str]

    async def find(self, now: int) -> list[str]:
        """Directories and objects to be deleted. `now`: µs since the epoch."""
        found = [*await self._checkpoints(), *await self._shared()]
        async for probe in self.store.scan(prefix_of(self.paths.probes)):
            if probe.modified < now - UNFINISHED_MICROS:
                found.append(probe.name)
        return [*found, *await self._unfinished_savepoints(now - UNFINISHED_MICROS)]

    async def of_generation(self, generation: int, *, deposed: bool = False) -> list[str]:
        """Directories of one generation's checkpoints that have come to nothing, though tasks still wrote there.
        `deposed`: who wrote them leads no more, so that also the newest can come to nothing else."""
        tries = await self._tries()
        mine = [(directory, id) for directory, (id, g) in tries.items() if g == generation]
        return [directory for directory, id in mine if deposed or id <= self.state.highest]

    async def sweep(self, garbage: Garbage, now: int) -> None:
        """Has all of it deleted, and the rests of writes that never ended. A store that fails is left for next time."""
        with contextlib.suppress(StorageError):
            for name in await self.find(now):
                garbage.delete(name, unfinished=True)
            await self.store.sweep(prefix_of(self.paths.root), now - UNFINISHED_MICROS)

    async def _checkpoints(self) -> list[str]:
        found: dict[str, None] = {}
        for directory, (id, generation) in (await self._tries()).items():
            if id <= self.state.highest and not self._is_kept(self.paths.checkpoint(id)):
                found[self.paths.checkpoint(id)] = None
            elif generation < self.state.generation:
                found[directory] = None
        return list(found)

    async def _tries(self) -> dict[str, tuple[int, int]]:
        """Directories that hold nothing that is kept, each with its checkpoint and generation (0: in none)."""
        found: dict[str, tuple[int, int]] = {}
        async for item in self.store.scan(prefix_of(self.paths.checkpoints)):
            id, generation = (
                self.paths.checkpoint_of(item.name),
                self.paths.generation_of(item.name),
            )
            if id is not None:
                found[self.paths.checkpoint(id, generation)] = id, generation or 0
        return {name: of for name, of in found.items() if not self._is_kept(name)}

    async def _unfinished_savepoints(self, before: int) -> list[str]:
        """Directories of savepoints that nobody has written on since, and that have no manifest to restore them by."""
        youngest: dict[str, int] = {}
        inside = prefix_of(self.paths.savepoints)
        async for item in self.store.scan(inside):
            directory, slash, _ = item.name[len(inside) :].partition("/")
            if slash:  # a manifest anywhere below: somebody keeps savepoints in order of his own
                modified = before if item.name.endswith(f"/{MANIFEST}") else item.modified
                youngest[inside + directory] = max(youngest.get(inside + directory, 0), modified)
        return [directory for directory, modified in youngest.items() if modified < before]

    def _is_kept(self, directory: str) -> bool:
        """Whether it is a committed checkpoint's or one that is needed, or has such a one in it."""
        kept = {self.paths.full(c.manifest).rpartition("/")[0] for c in self.state.committed}
        inside = prefix_of(directory)
        return any(f"{name}/".startswith(inside) for name in kept | self.needed)

    async def _shared(self) -> list[str]:
        """Files of earlier generations only: this one's may be on their way into its first manifest."""
        found = []
        async for item in self.store.scan(prefix_of(self.paths.shared)):
            generation = self.paths.shared_generation_of(item.name)
            is_earlier = generation is not None and generation < self.state.generation
            if is_earlier and item.name not in self.needed:
                found.append(item.name)
        return found
