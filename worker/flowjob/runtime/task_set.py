"""The tasks of one slot: builds chains, gates and outlets for its subtasks, runs them together, reports on them.

The first failure of any task cancels the others and is what `run` raises. It must not know processes, the control
plane or the JobManager: what it needs of them is `Upstairs`, so that a test can run whole jobs in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from flowjob.core.alignment import Aligned, AtLeastOnce, BarrierHandler, Overtaking
from flowjob.core.commits import CommitPermit
from flowjob.core.elements import Barrier
from flowjob.core.job_events import TaskId
from flowjob.errors import JobFailed
from flowjob.plan.job_graph import ChainNode, Edge, JobGraph, Vertex, consumers_of
from flowjob.plan.specs import OperatorSpec, SourceSpec, UnionSpec
from flowjob.runtime.batch import Batch
from flowjob.runtime.blame import as_failure
from flowjob.runtime.chain import Chain, Link
from flowjob.runtime.checkpoint.in_flight import Consumer
from flowjob.runtime.checkpoint.sections import RestoredState
from flowjob.runtime.checkpoint.task_snapshot import Reports, SnapshotSettings, TaskSnapshots
from flowjob.runtime.driver import Driver
from flowjob.runtime.env import Env
from flowjob.runtime.exchange import ChannelSpec, EdgeWriter, InputGate, SlotAddress, SlotExchange
from flowjob.runtime.exchange.overtaking import overtaken_as
from flowjob.runtime.exchange.spill import Spill
from flowjob.runtime.job_description import CheckpointPlan
from flowjob.runtime.messages import TaskInventory, WireSplit
from flowjob.runtime.operators.base import Operator, OperatorContext, OperatorMetrics
from flowjob.runtime.operators.checked import Checked
from flowjob.runtime.operators.registry import build
from flowjob.runtime.operators.union import Union
from flowjob.runtime.participant import Abort, Ends, Overflow, Participant, Release, Trigger
from flowjob.runtime.running_task import RunningTask
from flowjob.runtime.source_task import SourceSettings, SourceTask
from flowjob.runtime.speaking import SPEAKER
from flowjob.runtime.split_reading import SplitInbox
from flowjob.runtime.storage.object_store import ObjectStore
from flowjob.runtime.task import Task

_CANCELLED_ITSELF = (
    "a task was cancelled by its own code: a function, source or sink raised asyncio.CancelledError"
)

TaskKey = tuple[int, int]
"""(vertex id, subtask)."""


class Upstairs(Reports, Protocol):
    """What tasks ask of, and tell, the JobManager."""

    def request_splits(self, task: TaskKey) -> None: ...

    def task_finished(self, task: TaskKey) -> None: ...

    def sink_report(self, task: TaskKey, sink: str, data: bytes) -> Awaitable[None] | None: ...


DEFAULT_BATCH_ROWS = 16_384
"""The most rows that sources and operators should put into a batch."""


LATENCY_INTERVAL = 1.0
"""Of jobs that say nothing else."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What holds for all tasks of a run."""

    run_id: str = "run"
    batch_rows: int = DEFAULT_BATCH_ROWS
    latency_interval: float = 0.0
    """Seconds between two markers of a source's subtask; 0: it sends none."""
    checked: bool = False
    """Assert the promises of every operator (runtime/operators/checked.py)."""


@dataclass(frozen=True, slots=True)
class Snapshots:
    """What a job that takes snapshots has besides: the plan, and the store they go to."""

    plan: CheckpointPlan
    store: ObjectStore


class TaskSet:
    """Life: prepare (gates exist, peers may connect), restore, connect, run. Without `snapshots` tasks end by
    themselves, with them when they are released."""

    def __init__(
        self,
        env: Env,
        graph: JobGraph,
        exchange: SlotExchange,
        upstairs: Upstairs,
        options: RunOptions,
        *,
        snapshots: Snapshots | None = None,
        attempt: int = 1,
    ) -> None:
        self._snapshots = snapshots
        self._attempt = attempt
        self._env = env
        self._graph = graph
        self._exchange = exchange
        self._upstairs = upstairs
        self._options = options
        self._running: dict[TaskKey, RunningTask] = {}
        self._inboxes: dict[TaskKey, SplitInbox] = {}

    def prepare(self, tasks: Sequence[TaskKey]) -> None:
        """Builds every task of this slot."""
        for vertex_id, subtask in tasks:
            self._prepare(self._graph.vertex(vertex_id), subtask)

    async def connect(self, locations: Mapping[TaskKey, SlotAddress]) -> None:
        """Connects all outputs to the slots of their consumers."""
        await self._exchange.connect(locations)

    def _on_copy(self) -> None:
        """Tasks share the memory that has been copied."""
        for running in self._running.values():
            running.task.driver.portions.begin()

    def deliver_splits(self, task: TaskKey, splits: Sequence[WireSplit], complete: bool) -> None:
        """Splits from the JobManager for one source task."""
        self._inboxes[task].deliver(splits, complete)

    def uids(self, task: TaskKey) -> list[str]:
        """Of the task's operators that keep state."""
        links = self._running[task].task.driver.chain.links
        return [link.node.uid for link in links if link.node.uid is not None]

    def restore(
        self,
        task: TaskKey,
        states: Mapping[str, RestoredState],
        in_flight: Sequence[tuple[int, Batch]] = (),
    ) -> None:
        """Of an earlier run: state by uid, and rows, with their ports, that were on their way to the task: they come
        before all others. Before `run`."""
        running = self._running[task].task
        running.driver.restored = states
        if isinstance(running, Task):
            running.in_flight = list(in_flight)

    def consumer(self, task: TaskKey) -> Consumer:
        """Who gets rows back that were on their way to the task."""
        vertex = self._graph.vertex(task[0])
        edges = self._graph.inputs_of(task[0])
        most = self._graph.max_parallelism
        return Consumer(vertex.nodes[0].uid or "", edges, task[1], vertex.parallelism, most)

    async def run(self) -> None:
        """Until all tasks have ended. Raises the first failure of a task or of the exchange."""
        jobs = [
            asyncio.ensure_future(self._run_one(key, running))
            for key, running in self._running.items()
        ]
        beside = [asyncio.ensure_future(work) for work in self._beside()]
        try:
            pending: set[asyncio.Future[None]] = set(jobs)
            while pending:
                done, _ = await asyncio.wait(
                    {*pending, *beside}, return_when=asyncio.FIRST_COMPLETED
                )
                for finished in (j for j in jobs if j in done):
                    pending.discard(finished)
                    if finished.cancelled():
                        raise JobFailed(_CANCELLED_ITSELF)
                    finished.result()
                for broken in (w for w in beside if w in done):
                    broken.result()
        finally:
            for job in (*jobs, *beside):
                job.cancel()
            await asyncio.gather(*jobs, *beside, return_exceptions=True)
            for snapshots in self._taking():
                await snapshots.close()

    # -- snapshots

    def trigger(self, tasks: Sequence[TaskKey], barrier: Barrier) -> None:
        """These take part in a snapshot: sources, or tasks that have ended."""
        for task in tasks:
            self._running[task].participant.put(Trigger(barrier))

    def abort(self, checkpoint: int) -> None:
        """Nobody waits for this snapshot any more."""
        for running in self._running.values():
            running.participant.put(Abort(checkpoint))

    def commit(
        self, permit: CommitPermit, given: Mapping[TaskKey, Mapping[str, list[bytes]]]
    ) -> None:
        """A snapshot is committed; `given`, by task and uid, was prepared in former lives."""
        for key, running in self._running.items():
            running.participant.snapshots.commit(permit, given.get(key, {}))

    def release(self) -> None:
        """All is committed: tasks that wait for it may end."""
        for running in self._running.values():
            running.participant.put(Release())

    def _taking(self) -> list[TaskSnapshots]:
        participants = [r.task.participant for r in self._running.values()]
        return [p.snapshots for p in participants if p is not None]

    async def run_until_sources_end(self) -> None:
        """Until every source has given all it has and the effects of that are through, leaving the streams open."""
        for running in self._running.values():
            if isinstance(running.task, SourceTask):
                running.task.stay_open()
        work = asyncio.ensure_future(self.run())
        try:
            while not work.done() and not all(
                r.task.drained for r in self._running.values() if isinstance(r.task, SourceTask)
            ):
                await self._env.clock.sleep(0.001)
            await self._env.clock.sleep(0.001)
            if work.done():
                work.result()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    def metrics(self) -> dict[TaskKey, dict[str, Any]]:
        """The figures of every task, as plain values."""
        return {key: running.metrics(self._env.clock) for key, running in self._running.items()}

    def inventory(self) -> list[TaskInventory]:
        """What a JobManager must know that takes over."""
        return [running.inventory(TaskId(*key)) for key, running in self._running.items()]

    # -- building

    async def _run_one(self, key: TaskKey, running: RunningTask) -> None:
        SPEAKER.set(key)
        await running.task.run()
        for writer in running.writers.values():
            writer.flush()
        running.finished = True
        self._upstairs.task_finished(key)

    def _beside(self) -> Iterator[Coroutine[Any, Any, None]]:
        """What runs beside the tasks, and only ends when it fails."""
        yield self._watch_exchange()
        for running in self._running.values():
            if (participant := running.task.participant) is not None:
                yield committing(participant.snapshots, running.task.driver)

    async def _watch_exchange(self) -> None:
        raise await asyncio.shield(self._exchange.failed)

    def _prepare(self, vertex: Vertex, subtask: int) -> None:
        key = (vertex.id, subtask)
        writers = {
            edge.id: self._exchange.add_output(
                edge,
                subtask,
                self._consumers(edge, subtask),
                max_parallelism=self._graph.max_parallelism,
            )
            for edge in self._graph.edges
            if edge.source == vertex.id
        }
        driver = Driver(self._chain(vertex, subtask, writers), self._env.clock)
        head = vertex.nodes[0].spec
        gate: InputGate | None = None
        specs: list[ChannelSpec] = []
        task: Task | SourceTask
        if isinstance(head, SourceSpec):
            inbox = self._inboxes[key] = SplitInbox(partial(self._upstairs.request_splits, key))
            participant = self._participant(key, driver, None, writers)
            rows = self._options.batch_rows
            settings = SourceSettings(rows, vertex.id, self._options.latency_interval)
            task = SourceTask(head.source, driver, self._env, inbox, participant, settings=settings)
        else:
            specs = self._channels(vertex, subtask)
            gate = self._exchange.add_gate(vertex.id, subtask, specs)
            timeless = [i for i, s in enumerate(specs) if not s.edge.timestamps]
            participant = self._participant(key, driver, gate, writers)
            task = Task(gate, driver, participant, channels=len(specs), timeless=timeless)
        self._running[key] = RunningTask(task, gate, writers, specs)

    def _participant(
        self,
        key: TaskKey,
        driver: Driver,
        gate: InputGate | None,
        writers: Mapping[int, EdgeWriter],
    ) -> Participant | None:
        if self._snapshots is None:
            return None
        plan = self._snapshots.plan
        settings = SnapshotSettings(
            env=self._env,
            plan=plan,
            store=self._snapshots.store,
            attempt=self._attempt,
            max_parallelism=self._graph.max_parallelism,
            reports=self._upstairs,
            on_copy=self._on_copy,
        )
        snapshots = TaskSnapshots(settings, TaskId(*key), driver.chain)
        patience = plan.alignment_timeout if plan.exactly_once else None
        ends = Ends(gate, list(writers.values()), patience)
        head = driver.chain.head.node
        if gate is not None:
            gate.overtaken_as = head.uid or ""
        for writer in writers.values():
            target = self._graph.vertex(writer.edge.target).nodes[0]
            writer.overtaken_as = overtaken_as(writer.edge, target)
        participant = Participant(_handler(plan, gate, head), driver, snapshots, ends)
        if gate is not None and plan.spill_bytes and plan.alignment_timeout is None:
            path = self._env.directory / f"alignment-{key[0]}-{key[1]}"
            gate.spill_to(Spill(path, plan.spill_bytes, lambda why: participant.put(Overflow(why))))
        return participant

    def _consumers(self, edge: Edge, producer: int) -> Sequence[int]:
        producers = self._graph.vertex(edge.source).parallelism
        consumers = self._graph.vertex(edge.target).parallelism
        return consumers_of(edge, producer, producers, consumers)

    def _channels(self, vertex: Vertex, subtask: int) -> list[ChannelSpec]:
        """Every producer subtask, of every input edge, that sends to this one."""
        return [
            ChannelSpec(edge, producer)
            for edge in self._graph.inputs_of(vertex.id)
            for producer in range(self._graph.vertex(edge.source).parallelism)
            if subtask in self._consumers(edge, producer)
        ]

    def _chain(self, vertex: Vertex, subtask: int, writers: Mapping[int, EdgeWriter]) -> Chain:
        links = []
        for node in vertex.nodes:
            context = OperatorContext(
                env=self._env,
                name=node.name,
                uid=node.uid,
                subtask=subtask,
                parallelism=vertex.parallelism,
                max_parallelism=self._graph.max_parallelism,
                metrics=OperatorMetrics(),
                batch_rows=self._options.batch_rows,
                run_id=self._options.run_id,
                report=partial(self._upstairs.sink_report, (vertex.id, subtask), node.name),
                attempt=self._attempt,
                commits=self._snapshots is not None,
            )
            operator = _operator(node.spec)
            if self._options.checked:
                operator = Checked(operator, node.spec)
            links.append(Link(node, operator, context))
        for link in links:
            link.connect(links, writers)
        return Chain(links)


def _handler(plan: CheckpointPlan, gate: InputGate | None, head: ChainNode) -> BarrierHandler:
    channels = () if gate is None else gate.channels
    if not plan.exactly_once:
        return AtLeastOnce(len(channels))
    if plan.alignment_timeout is None:
        return Aligned(len(channels))
    in_place = {c.index for c in channels if overtaken_as(c.edge, head) is None}
    return Overtaking(len(channels), frozenset(in_place))


def _operator(spec: OperatorSpec) -> Operator:
    """The operator for a spec; a source's place in its chain is taken by one that passes its batches on."""
    if isinstance(spec, SourceSpec):
        return Union(UnionSpec(input=spec.output, output=spec.output))
    return build(spec)


async def committing(snapshots: TaskSnapshots, driver: Driver) -> None:
    """Commits for a task. Raises what fails, but never because the task has failed and closes its sinks meanwhile: that
    would be told instead of why."""
    try:
        await snapshots.commits()
    except Exception as error:
        if driver.failed:
            await asyncio.get_running_loop().create_future()
        raise as_failure(error) from error
