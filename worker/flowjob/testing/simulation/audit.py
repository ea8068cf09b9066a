"""What is left when all is over: every snapshot is whole, the next start finds nothing that nobody needs any more.

Runs in a process of its own, with a store that works again, as an operator would look after the job."""

from __future__ import annotations

from typing import Any

from flowjob.runtime.checkpoint.manifest_io import read_manifest
from flowjob.runtime.checkpoint.places import snapshot_place
from flowjob.runtime.checkpoint.restoring import Place, SnapshotReader
from flowjob.runtime.checkpoint.source_splits import SPLITS, read_splits
from flowjob.runtime.checkpoint.verifying import verify_snapshot
from flowjob.runtime.env import Env, StoreLocation
from flowjob.runtime.storage.garbage import UNFINISHED_MICROS, Garbage, Orphans
from flowjob.runtime.storage.job_log import JobLog
from flowjob.testing.simulation.env import make_env
from flowjob.testing.simulation.scenario import Scenario
from flowjob.testing.simulation.source import number_of
from flowjob.testing.simulation.storage import LOCATION, SimStorage
from flowjob.testing.simulation.world import StoreHabits, World

TAKES = 100.0
"""Virtual seconds, at most."""


class Audit:
    """problems  what is wrong with what the store holds
    tidy      nothing has gone wrong, so that nothing may be left even now
    read      (source, split) -> rows that were read of it, when the job was drained into a savepoint
    """

    def __init__(
        self, world: World, scenario: Scenario, drained: str | None, *, tidy: bool
    ) -> None:
        self.problems: list[str] = []
        self.read: dict[tuple[int, int], int] | None = None
        self._scenario = scenario
        self._world = world
        self._storage: SimStorage = world.storage
        self._drained = drained
        self._tidy = tidy

    def run(self) -> None:
        """Raises loop.Stuck."""
        world = self._world
        self._storage.habits = StoreHabits(0.001)
        auditor = world.add_process("auditor", "host-0")
        auditor.wall_offset = 2 * UNFINISHED_MICROS  # then no write that lives could be meant
        missing: Any = None
        env = make_env(world, auditor, world.directory, missing, self._storage.open)

        async def live() -> int:
            await self._verify(env)
            if self._drained is not None:
                self.read = await self._read_until(env, self._drained)
            await self._sweep(env)
            return 0

        auditor.start(live)
        until = world.loop.now + TAKES
        world.run(
            lambda: auditor.status is not None, until=until, max_steps=world.loop.steps + 10**6
        )

    async def _verify(self, env: Env) -> None:
        assert env.open_store is not None
        store, watch = env.open_store(LOCATION), self._storage.watch
        for directory in watch.directories():
            if directory in self._storage.damaged:
                continue
            found = await verify_snapshot(store, directory, watch.manifest(directory))
            self.problems += [f"snapshot {directory} is damaged: {what}" for what in found]

    async def _read_until(self, env: Env, place: str) -> dict[tuple[int, int], int]:
        assert env.open_store is not None
        spec = self._scenario.job
        url, directory = snapshot_place(place)
        store = env.open_store(StoreLocation(url))
        reader = SnapshotReader(store, directory, await read_manifest(store, directory))
        read: dict[tuple[int, int], int] = {}
        for source in range(spec.inputs):
            (state,) = await reader.restore_all([Place(f"source {source}", 0, 1, spec.groups)])
            splits = read_splits(part.table for part in state.parts(SPLITS))
            for id in splits.finished:
                read[source, number_of(id)] = spec.rows
            for split in splits.unfinished:
                position = split.position or {"row": 0}
                read[source, number_of(split.id)] = position["row"]
        return read

    async def _sweep(self, env: Env) -> None:
        """As the next start of the job does; then nothing is left but the log and what is needed."""
        assert env.open_store is not None
        store, watch = env.open_store(LOCATION), self._storage.watch
        if self._tidy:
            self._judge_rest("left by a job that ended well")
        log = JobLog(store, watch.paths, env.clock, env.random)
        await log.claim("the audit")
        garbage = Garbage(store, env.clock)
        orphans = Orphans(store, watch.paths, log.state, watch.needed())
        await orphans.sweep(garbage, env.clock.wall())
        await garbage.finished()
        self._judge_rest("found by nobody")

    def _judge_rest(self, how: str) -> None:
        watch = self._storage.watch
        needed = watch.needed()
        left = [
            name
            for name in sorted(self._storage.objects.found)
            if watch.paths.sequence_of(name) is None and name not in needed
        ]
        if left:
            self.problems.append(f"{how}: {left[:3]}, {len(left)} objects in all")
