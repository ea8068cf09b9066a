"""A job that is snapshot, killed and restored, again and again, in one process and in virtual time.

Tasks, operators, channels and state files are those of a real run; the JobManager is played by a few lines here that
leave out everything that can go wrong (testing/simulation/ is for that). Every sink of the program that collects
becomes one that shows rows only when they are committed, so what is reported must be what an undisturbed run gives."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from flowjob.connectors.base import Assignment
from flowjob.core.commits import CommitPermit
from flowjob.core.elements import Barrier, Stop
from flowjob.core.job_events import TaskId
from flowjob.core.split_assignment import Remembered, SplitAssigner
from flowjob.job import Job
from flowjob.plan import compile_job
from flowjob.plan.job_graph import JobGraph
from flowjob.plan.specs import SinkSpec, SourceSpec
from flowjob.runtime.checkpoint.in_flight import replay
from flowjob.runtime.checkpoint.manifest import Manifest, TaskSnapshot, VertexEntry
from flowjob.runtime.checkpoint.manifest_io import read_manifest, write_manifest
from flowjob.runtime.checkpoint.restoring import Place, SnapshotReader, operator_states
from flowjob.runtime.checkpoint.source_splits import SPLITS, RestoredSplits, read_splits
from flowjob.runtime.env import StoreLocation
from flowjob.runtime.exchange import ExchangeSettings, Identity, SlotAddress, SlotExchange
from flowjob.runtime.job_description import CheckpointPlan
from flowjob.runtime.messages import WireSplit
from flowjob.runtime.storage.memory import MemoryObjects, MemoryStore
from flowjob.runtime.storage.paths import JobPaths
from flowjob.runtime.task_set import RunOptions, Snapshots, TaskKey, TaskSet
from flowjob.testing.committing import committing
from flowjob.testing.virtual_time import (
    InlineFreezer,
    MockClock,
    VirtualLoop,
    env_of_one_process,
    run_virtually,
)

Program = Callable[[Job], None] | Job
"""What builds the job anew for each life, or a job that is compiled for each."""

Wait = int | timedelta
"""So many turns of the event loop, or so much virtual time."""

PLAN = CheckpointPlan(location=StoreLocation("memory:"), root="job", inline_bytes=200)


@dataclass(frozen=True)
class Life:
    """One attempt of the job.

    snapshots  when each one is begun, after the one before
    dies       after the last of them was begun everything is killed; None: it runs to its end
    stop       what the last snapshot asks of sources; not NO: the job ends with it
    aborted    the last snapshot is given up so long after it was begun; None: it is not
    """

    parallelism: int = 1
    snapshots: Sequence[Wait] = ()
    dies: Wait | None = None
    stop: Stop = Stop.NO
    aborted: Wait | None = None
    batch_rows: int = 7
    latency_interval: float = 0.001
    """Of markers. Each is a turn of the loop: a program that waits for hours wants fewer."""


@dataclass
class Record:
    """What happened.

    complete  ids of the snapshots that were
    midway    those of them in which some task had not ended
    declined  what tasks said when they did
    restored  per life the snapshot it began from
    turns     how many turns of the event loop each life took
    """

    complete: list[int] = field(default_factory=list)
    midway: list[int] = field(default_factory=list)
    declined: list[str] = field(default_factory=list)
    restored: list[int | None] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    snapshots: list[TaskSnapshot] = field(default_factory=list)


def run_with_restarts(
    program: Program,
    on_report: Callable[[str, bytes], None],
    lives: Sequence[Life],
    *,
    plan: CheckpointPlan = PLAN,
) -> Record:
    """Runs the job that `program` builds through all `lives`, each from the newest complete snapshot. The rows its
    collecting sinks have committed go to `on_report(sink name, message)`."""
    with tempfile.TemporaryDirectory(prefix="flowjob-test-") as directory:
        world = _World(program, on_report, plan, Path(directory))
        run_virtually(world.run(lives))
    return world.record


class BusyClock(MockClock):
    """Every look at it takes 0.2 ms: so tasks that never wait still take turns."""

    def __init__(self) -> None:
        super().__init__()
        self._spent = 0.0

    def monotonic(self) -> float:
        self._spent += 2e-4
        return super().monotonic() + self._spent


class _World:
    """What outlives an attempt: the store, and what was committed."""

    def __init__(
        self,
        program: Program,
        on_report: Callable[[str, bytes], None],
        plan: CheckpointPlan,
        directory: Path,
    ) -> None:
        self.program = program
        self.on_report = on_report
        self.plan = plan
        self.env = env_of_one_process(
            directory, clock=BusyClock(), freezer=InlineFreezer(directory)
        )
        self.store = MemoryStore(MemoryObjects(), now=self.env.clock.wall)
        self.record = Record()
        self.published: set[bytes] = set()
        self.attempt = 0
        self.checkpoint = 0
        self.newest: int | None = None

    async def run(self, lives: Sequence[Life]) -> None:
        for life in lives:
            self.attempt += 1
            self.record.restored.append(self.newest)
            began = _loop().turns
            job = self._job()
            graph = committing(compile_job(job, parallelism=life.parallelism), self.published)
            attempt = _Attempt(self, graph, life)
            await attempt.live()
            self.record.turns.append(_loop().turns - began)

    def _job(self) -> Job:
        if isinstance(self.program, Job):
            return self.program
        job = Job("rehearsal")
        self.program(job)
        return job


def _loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


class _Attempt:
    """The JobManager of one life."""

    def __init__(self, world: _World, graph: JobGraph, life: Life) -> None:
        self._world = world
        self._graph = graph
        self._life = life
        self._keys = [TaskId(v.id, s) for v in graph.vertices for s in range(v.parallelism)]
        self._sources = [v.id for v in graph.vertices if isinstance(v.nodes[0].spec, SourceSpec)]
        self._sinks = {
            TaskId(v.id, s)
            for v in graph.vertices
            for s in range(v.parallelism)
            if any(isinstance(n.spec, SinkSpec) and n.uid for n in v.nodes)
        }
        self._splits: dict[int, SplitAssigner[WireSplit]] = {}
        self._pending: dict[int, tuple[Barrier, dict[TaskId, TaskSnapshot]]] = {}
        self._committing: dict[int, set[TaskId]] = {}
        self._ended: set[TaskId] = set()
        self._last: int | None = None
        self._beside: set[asyncio.Task[None]] = set()

    async def live(self) -> None:
        world, life = self._world, self._life
        settings = ExchangeSettings(
            batch_rows=life.batch_rows, flush_interval=0.0, exclusive_bytes=512, largest_window=2048
        )
        exchange = SlotExchange(world.env, settings, Identity("test", 1, "", "here"))
        self._tasks = TaskSet(
            world.env,
            self._graph,
            exchange,
            self,
            RunOptions(
                run_id="run",
                batch_rows=life.batch_rows,
                checked=True,
                latency_interval=life.latency_interval,
            ),
            snapshots=Snapshots(world.plan, world.store),
            attempt=world.attempt,
        )
        self._tasks.prepare(self._keys)
        await self._restore()
        await self._tasks.connect({k: SlotAddress("here", "", 0) for k in self._keys})
        work = asyncio.ensure_future(self._tasks.run())
        script = asyncio.ensure_future(self._follow_the_script())
        try:
            await asyncio.wait({work, script}, return_when=asyncio.FIRST_COMPLETED)
            if life.dies is None or work.done():
                await work
        finally:
            everything = (work, script, *self._beside)
            for one in everything:
                one.cancel()
            await asyncio.gather(*everything, return_exceptions=True)
            await exchange.close()

    async def _follow_the_script(self) -> None:
        life = self._life
        for number, wait in enumerate(life.snapshots, 1):
            await self._wait(wait)
            self._trigger(life.stop if number == len(life.snapshots) else Stop.NO)
        if life.aborted is not None:
            await self._wait(life.aborted)
            self._give_up(self._world.checkpoint)
        if life.dies is None:
            await asyncio.Event().wait()
        else:
            await self._wait(life.dies)

    async def _wait(self, wait: Wait) -> None:
        if isinstance(wait, timedelta):
            await self._world.env.clock.sleep(wait.total_seconds())
        elif wait:
            await _loop().after_turns(wait)

    # -- restoring

    async def _restore(self) -> None:
        world, graph = self._world, self._graph
        restored: dict[int, RestoredSplits] = {v: RestoredSplits([], []) for v in self._sources}
        if world.newest is not None:
            directory = JobPaths(world.plan.root).checkpoint(world.newest)
            manifest = await read_manifest(world.store, directory)
            reader = SnapshotReader(world.store, directory, manifest)
            for key in self._keys:
                parallelism = graph.vertex(key.vertex).parallelism
                states = {
                    uid: await reader.restore(
                        Place(uid, key.subtask, parallelism, graph.max_parallelism)
                    )
                    for uid in self._tasks.uids(key)
                }
                replayed = await replay(reader, self._tasks.consumer(key))
                self._tasks.restore(key, states, replayed)
            for vertex in self._sources:
                restored[vertex] = await self._splits_of(vertex, reader)
            self._hand_on_committables(manifest)
        for vertex, found in restored.items():
            await self._discover(vertex, found)

    async def _splits_of(self, vertex: int, reader: SnapshotReader) -> RestoredSplits:
        uid = self._graph.vertex(vertex).nodes[0].uid or ""
        whole = await reader.restore(Place(uid, 0, 1, self._graph.max_parallelism))
        return read_splits(part.table for part in whole.parts(SPLITS))

    async def _discover(self, vertex: int, restored: RestoredSplits) -> None:
        node = self._graph.vertex(vertex)
        spec = node.nodes[0].spec
        assert isinstance(spec, SourceSpec)
        deal = spec.source.assignment is Assignment.DEAL
        assigner = self._splits[vertex] = SplitAssigner(node.parallelism, deal=deal)
        remembered = Remembered(tuple(restored.unfinished), frozenset(restored.finished))
        assigner.reset(range(node.parallelism), remembered)
        found = await spec.source.enumerator(self._world.env).discover()
        assigner.found((WireSplit(s.id, s.data) for s in found.splits), complete=True)
        for subtask in range(
            node.parallelism
        ):  # before any snapshot: it must know of all that was begun
            self.request_splits((vertex, subtask))

    def _hand_on_committables(self, manifest: Manifest) -> None:
        """To the first subtask of each sink: any of them can commit them."""
        given: dict[TaskKey, dict[str, list[bytes]]] = {}
        owners = {n.uid: v.id for v in self._graph.vertices for n in v.nodes if n.uid}
        for uid, states in operator_states(manifest).items():
            former = [c for _, state in states for c in state.committables]
            if former:
                given.setdefault((owners[uid], 0), {})[uid] = former
        self._tasks.commit(CommitPermit(manifest.id, self._world.attempt), given)

    # -- snapshots

    def _trigger(self, stop: Stop = Stop.NO) -> int:
        world = self._world
        world.checkpoint += 1
        checkpoint = world.checkpoint
        directory = f"checkpoints/{checkpoint}"
        barrier = Barrier(checkpoint, stop=stop, directory=directory)
        self._pending[checkpoint] = barrier, {}
        if stop is not Stop.NO:
            self._last = checkpoint
        asked = [k for k in self._keys if k.vertex in self._sources or k in self._ended]
        self._tasks.trigger(asked, barrier)
        return checkpoint

    def _give_up(self, checkpoint: int) -> None:
        if self._pending.pop(checkpoint, None) is not None:
            self._last = None
            self._tasks.abort(checkpoint)
            self._finish_if_ended()

    async def _complete(self, checkpoint: int) -> None:
        world, graph = self._world, self._graph
        _, tasks = self._pending.pop(checkpoint)
        manifest = Manifest(
            id=checkpoint,
            kind="checkpoint",
            job=graph.name,
            run_id="run",
            created=world.env.clock.wall(),
            max_parallelism=graph.max_parallelism,
            vertices=[VertexEntry(id=v.id, name=v.name, parallelism=v.parallelism) for v in graph.vertices],
            tasks=[tasks[key] for key in self._keys],
        )  # fmt: skip
        directory = JobPaths(world.plan.root).checkpoint(checkpoint)
        await write_manifest(world.store, directory, manifest)
        if world.newest is not None and checkpoint < world.newest:
            return
        world.newest = checkpoint
        world.record.complete.append(checkpoint)
        if not all(task.ended for task in manifest.tasks):
            world.record.midway.append(checkpoint)
        world.record.snapshots += manifest.tasks
        self._committing[checkpoint] = set(self._sinks)
        self._tasks.commit(CommitPermit(checkpoint, world.attempt), {})
        self._release_if_over(checkpoint)

    def _release_if_over(self, checkpoint: int) -> None:
        if checkpoint == self._last and not self._committing[checkpoint]:
            self._tasks.release()

    # -- task_set.Upstairs

    def request_splits(self, task: TaskKey) -> None:
        vertex, subtask = task
        for given in self._splits[vertex].asked(subtask):
            self._tasks.deliver_splits(task, list(given.splits), complete=given.complete)

    def task_finished(self, task: TaskKey) -> None: ...

    def sink_report(self, task: TaskKey, sink: str, data: bytes) -> Awaitable[None] | None:
        self._world.on_report(sink, data)
        return None

    def task_ended(self, task: TaskId) -> None:
        self._ended.add(task)
        for barrier, acknowledged in self._pending.values():
            if task not in acknowledged:
                self._tasks.trigger([task], barrier)
        self._finish_if_ended()

    def _finish_if_ended(self) -> None:
        if len(self._ended) == len(self._keys) and self._last is None:
            self._last = self._trigger()

    def snapshot_taken(self, checkpoint: int, snapshot: TaskSnapshot) -> None:
        pending = self._pending.get(checkpoint)
        if pending is None:
            return
        acknowledged = pending[1]
        assert snapshot.task not in acknowledged, "a task has answered twice"
        acknowledged[snapshot.task] = snapshot
        if len(acknowledged) == len(self._keys):
            completing = asyncio.ensure_future(self._complete(checkpoint))
            self._beside.add(completing)

    def snapshot_declined(self, checkpoint: int, task: TaskId, reason: str) -> None:
        self._world.record.declined.append(f"{checkpoint}: {reason}")
        self._give_up(checkpoint)

    def snapshot_committed(self, checkpoint: int, task: TaskId) -> None:
        waiting = self._committing.get(checkpoint)
        if waiting is not None:
            waiting.discard(task)
            self._release_if_over(checkpoint)
