"""A whole job in one process and in virtual time, with real coordinator, log, tasks and sinks, struck as a test says.

Between CheckpointService and the tasks of each slot there is only a function call here; everything else is what runs.
What outlives a run is in `World`: the store of snapshots, and whatever the sinks write to."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowjob.connectors.base import Sink, SinkContext, SinkWriter
from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob.core.commits import CommitPermit
from flowjob.core.coordinator_events import Answer, SavepointRequested
from flowjob.core.elements import Barrier, Stop
from flowjob.core.job_events import Event, RestartRequested, SnapshotsFailed, StopCompleted, TaskId
from flowjob.errors import FlowjobError
from flowjob.plan.job_graph import JobGraph
from flowjob.plan.types import Mode, StreamType
from flowjob.runtime import messages as m
from flowjob.runtime.batch import Batch
from flowjob.runtime.checkpoint.manifest import TaskSnapshot
from flowjob.runtime.checkpoint.manifest_io import read_manifest
from flowjob.runtime.checkpoint.restoring import Place, SnapshotReader
from flowjob.runtime.env import Env, StoreLocation
from flowjob.runtime.exchange import ExchangeSettings, Identity, SlotAddress, SlotExchange
from flowjob.runtime.job_description import CheckpointPlan
from flowjob.runtime.jobmanager.checkpoints import CheckpointService, Shell, all_tasks
from flowjob.runtime.jobmanager.committables import prepared_of
from flowjob.runtime.jobmanager.manifests import JobAtHand
from flowjob.runtime.jobmanager.request import JobEvent
from flowjob.runtime.jobmanager.snapshot_store import RestorePoint, SnapshotStore
from flowjob.runtime.jobmanager.source_restoring import remembered_splits
from flowjob.runtime.jobmanager.splits import SplitService
from flowjob.runtime.storage.memory import MemoryObjects, MemoryStore
from flowjob.runtime.task_set import RunOptions, Snapshots, TaskKey, TaskSet
from flowjob.testing import MockClock
from flowjob.testing.virtual_time import run_inline
from tests.runtime.storage.fakes import SeededRandom

LOCATION = StoreLocation("memory:")

Step = str
"""prepare, prepared, commit, half, committed: before and after a sink's writer does that, or between two items."""


class Stricken(Exception):
    """What strikes."""


@dataclass
class Strikes:
    """`when(step, how often that step has come)` says whether a slot is killed then, and then `also` happens."""

    when: Callable[[Step, int], bool] = lambda step, number: False
    also: Callable[[], None] = lambda: None
    counts: dict[Step, int] = field(default_factory=dict)
    struck: int = 0
    killed: bool = False

    def at(self, step: Step) -> None:
        self.counts[step] = number = self.counts.get(step, 0) + 1
        if self.when(step, number):
            self.struck += 1
            self.killed = True
            self.also()
            raise Stricken(f"killed at {step} {number}")


@dataclass(frozen=True)
class Struck(Sink):
    """A sink that is struck."""

    sink: Sink
    strikes: Strikes

    @property
    def name(self) -> str:
        return self.sink.name

    @property
    def accepts(self) -> frozenset[Mode]:
        return self.sink.accepts

    def check(self, type: StreamType) -> None:
        self.sink.check(type)

    def writer(self, context: SinkContext) -> SinkWriter:
        self.strikes.killed = False
        return _Struck(self.sink.writer(context), self.strikes)


class _Struck(SinkWriter):
    def __init__(self, writer: Any, strikes: Strikes) -> None:
        self._writer = writer
        self._strikes = strikes

    def restore(self, pending: list[bytes]) -> None:
        self._writer.restore(pending)

    async def open(self) -> None:
        await self._writer.open()

    def write(self, batch: Batch) -> Awaitable[None] | None:
        waiting: Awaitable[None] | None = self._writer.write(batch)
        return waiting

    def next_timer(self) -> int | None:
        due: int | None = self._writer.next_timer()
        return due

    async def on_time(self, now: int) -> None:
        await self._writer.on_time(now)

    async def prepare(self, checkpoint: int) -> list[bytes]:
        self._strikes.at("prepare")
        prepared: list[bytes] = await self._writer.prepare(checkpoint)
        self._strikes.at("prepared")
        return prepared

    async def commit(self, committables: list[bytes], permit: CommitPermit) -> None:
        self._strikes.at("commit")
        for committable in committables:
            await self._writer.commit([committable], permit)
            self._strikes.at("half")
        self._strikes.at("committed")

    async def finish(self) -> None:
        await self._writer.finish()

    async def close(self) -> None:
        if self._strikes.killed:  # who is killed tidies nothing up: only the kernel does
            self._writer._staged = type(self._writer._staged)()
        await self._writer.close()


class World:
    """What outlives runs."""

    def __init__(self, directory: Path) -> None:
        self.objects = MemoryObjects()
        clock = MockClock()
        missing: Any = None
        self.env = Env(
            clock=clock,
            network=missing,
            control=missing,
            launcher=missing,
            random=SeededRandom(),
            directory=directory,
            run_blocking=run_inline,
            open_store=lambda _: MemoryStore(self.objects, now=clock.wall),
        )


class Run:
    """One run of a job; `live` once. `failures`: why its tasks were started again. `root`: of the job in the store."""

    def __init__(
        self,
        world: World,
        graph: JobGraph,
        run_id: str,
        settings: CheckpointSettings,
        root: str | None = None,
    ) -> None:
        self.graph = graph
        self.run_id = run_id
        self.failures: list[Exception] = []
        self.told: list[JobEvent] = []
        self.env = world.env
        self.plan = CheckpointPlan(location=LOCATION, root=root or run_id)
        self.store = SnapshotStore(self.env, LOCATION, root or run_id)
        shell = Shell(
            self._send, lambda: self._slots(), self._happened, self.told.append, self._broken
        )
        self.checkpoints = CheckpointService(
            self.env, settings, self.store, JobAtHand(graph, run_id, ""), shell
        )
        self.attempt: Attempt | None = None
        self._requests = itertools.count()

    async def live(self, start: RestorePoint | None = None) -> None:
        """Until all input has been read and all is committed, or cancelled. Raises what is not restarted from."""
        await self.store.claim("")
        start = None if start is None else self.store.as_logged(start)
        await self.store.begin(self.run_id, "" if start is None else start.name)
        await self._attempts(start)

    async def take_over(self) -> None:
        """Goes on with the run whose JobManager was killed, from its newest checkpoint; none of its tasks lives."""
        state = await self.store.claim("")
        assert state.newest is not None
        await self._attempts(await self.store.read(state.newest), first=1001)

    async def _attempts(self, start: RestorePoint | None, first: int = 1) -> None:
        self.checkpoints.open(start)
        try:
            for number in itertools.count(first):
                point = start if number == first else await self.checkpoints.settled()
                self.attempt = Attempt(self, number, point)
                try:
                    await self.attempt.live()
                    return
                except FlowjobError as error:
                    if number > first + 20 or type(error).__name__ == "LostData":
                        raise
                    self.failures.append(error)
                    self.checkpoints.tasks_failed(str(error))
        finally:
            self.attempt = None
            await self.checkpoints.close("over")

    async def savepoint(self, name: str, stop: Stop = Stop.NO) -> Answer:
        request = f"{name} {next(self._requests)}"
        return await self.checkpoints.request(SavepointRequested(request, name, stop))

    async def found(self, savepoint: str) -> RestorePoint:
        """Where another run can begin."""
        directory = self.store.paths.savepoint(savepoint)
        return RestorePoint(LOCATION, directory, await read_manifest(self.store.store, directory))

    def _slots(self) -> list[int]:
        return [] if self.attempt is None else list(self.attempt.slots)

    def _send(self, slot: int, message: m.ToSlotBody) -> None:
        if self.attempt is not None:
            self.attempt.obey(slot, message)

    def _happened(self, event: Event) -> None:
        if self.attempt is not None and isinstance(event, SnapshotsFailed | RestartRequested):
            self.attempt.kill(FlowjobError(str(event)))
        if self.attempt is not None and isinstance(event, StopCompleted):
            self.attempt.kill(None)

    def _broken(self, error: Exception) -> None:
        if self.attempt is not None:
            self.attempt.kill(error)


class Attempt:
    """All tasks of one attempt, by slot; each asks and tells as a real slot does (task_set.Upstairs)."""

    def __init__(self, run: Run, number: int, point: RestorePoint | None) -> None:
        self._run = run
        self._number = number
        self._point = point
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._splits = SplitService(run.env, run.graph, self._answer, lambda *_: None)
        self.slots: dict[int, TaskSet] = {}

    def kill(self, error: Exception | None) -> None:
        if not self._over.done():
            self._over.set_result(None) if error is None else self._over.set_exception(error)

    async def live(self) -> None:
        run = self._run
        exchanges = []
        tasks = all_tasks(run.graph)
        for slot in sorted({t.subtask for t in tasks}):
            exchange = SlotExchange(run.env, ExchangeSettings(), Identity("t", 1, "", "here"))
            exchanges.append(exchange)
            self.slots[slot] = TaskSet(
                run.env,
                run.graph,
                exchange,
                self,
                RunOptions(run_id=run.run_id, batch_rows=7, latency_interval=0.002),
                snapshots=Snapshots(run.plan, run.store.store),
                attempt=self._number,
            )
        keys = {s: [t for t in sorted(tasks) if t.subtask == s] for s in self.slots}
        working: list[asyncio.Future[Any]] = []
        try:
            for slot, task_set in self.slots.items():
                task_set.prepare(keys[slot])
                await self._restore(task_set, keys[slot])
                await task_set.connect({k: SlotAddress("here", "", 0) for k in keys[slot]})
            await self._deal(tasks)
            working = [asyncio.ensure_future(s.run()) for s in self.slots.values()]
            run.checkpoints.started(None)
            whole = asyncio.gather(*working)
            working.append(whole)
            await asyncio.wait({whole, self._over}, return_when=asyncio.FIRST_COMPLETED)
            await (self._over if self._over.done() else whole)
        finally:
            for work in working:
                work.cancel()
            await asyncio.gather(*working, return_exceptions=True)
            self._over.cancel()
            await self._splits.close()
            for exchange in exchanges:
                await exchange.close()

    async def _restore(self, task_set: TaskSet, keys: list[TaskId]) -> None:
        point, graph = self._point, self._run.graph
        if point is None:
            return
        reader = SnapshotReader(self._run.store.store, point.directory, point.manifest)
        for key in keys:
            parallelism = graph.vertex(key.vertex).parallelism
            places = [
                Place(uid, key.subtask, parallelism, graph.max_parallelism)
                for uid in task_set.uids(key)
            ]
            states = await reader.restore_all(places)
            task_set.restore(key, {p.uid: s for p, s in zip(places, states)})

    async def _deal(self, tasks: frozenset[TaskId]) -> None:
        known: Any = {}
        if self._point is not None:
            store = self._run.store.store
            known = await remembered_splits(store, self._point, self._run.graph)
        self._splits.reset(tasks, known)
        self._splits.start()

    def obey(self, slot: int, message: m.ToSlotBody) -> None:
        tasks = self.slots[slot]
        match message:
            case m.TriggerSnapshot(tasks=asked, barrier=b, directory=directory):
                stop = Stop(b.stop)
                barrier = Barrier(b.checkpoint, b.savepoint, b.unaligned, stop, directory)
                tasks.trigger(asked, barrier)
            case m.AbortSnapshot(checkpoint=checkpoint):
                tasks.abort(checkpoint)
            case m.CommitSnapshot(checkpoint=checkpoint, committables=former):
                given: dict[TaskKey, dict[str, list[bytes]]] = {}
                for task, uid, items in former:
                    given.setdefault(tuple(task), {}).setdefault(uid, []).extend(items)
                tasks.commit(CommitPermit(checkpoint, 1), given)
            case m.ReleaseTasks():
                tasks.release()

    def _answer(self, task: TaskId, splits: list[m.WireSplit], complete: bool) -> None:
        self.slots[task.subtask].deliver_splits(task, splits, complete)

    # task_set.Upstairs

    def request_splits(self, task: TaskKey) -> None:
        self._splits.asked(TaskId(*task))

    def task_finished(self, task: TaskKey) -> None: ...

    def sink_report(self, task: TaskKey, sink: str, data: bytes) -> None: ...

    def task_ended(self, task: TaskId) -> None:
        self._run.checkpoints.received(m.TaskEnded(task=task))

    def snapshot_taken(self, checkpoint: int, snapshot: TaskSnapshot) -> None:
        assert all(p.task == snapshot.task for p in prepared_of(snapshot))
        self._run.checkpoints.received(m.SnapshotTaken(checkpoint=checkpoint, snapshot=snapshot))

    def snapshot_declined(self, checkpoint: int, task: TaskId, reason: str) -> None:
        declined = m.SnapshotDeclined(checkpoint=checkpoint, task=task, reason=reason)
        self._run.checkpoints.received(declined)

    def snapshot_committed(self, checkpoint: int, task: TaskId) -> None:
        self._run.checkpoints.received(m.SnapshotCommitted(checkpoint=checkpoint, task=task))
