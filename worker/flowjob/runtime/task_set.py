"""The tasks of one slot: builds chains, gates and outlets for its subtasks, runs them together, reports on them.

The first failure of any task cancels the others and is what `run` raises. It must not know processes, the control
plane or the JobManager: what it needs of them is `Upstairs`, so that a test can run whole jobs in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from flowjob.errors import JobFailed
from flowjob.plan.job_graph import Edge, JobGraph, Vertex, consumers_of
from flowjob.plan.specs import OperatorSpec, SourceSpec, UnionSpec
from flowjob.runtime.chain import Chain, Link
from flowjob.runtime.env import Clock, Env
from flowjob.runtime.exchange import ChannelSpec, EdgeWriter, InputGate, SlotAddress, SlotExchange
from flowjob.runtime.operators.base import Operator, OperatorContext, OperatorMetrics
from flowjob.runtime.operators.checked import Checked
from flowjob.runtime.operators.registry import build
from flowjob.runtime.operators.union import Union
from flowjob.runtime.source_task import SourceTask, SplitInbox
from flowjob.runtime.task import Task

_CANCELLED_ITSELF = (
    "a task was cancelled by its own code: a function, source or sink raised asyncio.CancelledError"
)

TaskKey = tuple[int, int]
"""(vertex id, subtask)."""


class Upstairs(Protocol):
    """What tasks ask of, and tell, the JobManager."""

    def request_splits(self, task: TaskKey) -> None: ...

    def task_finished(self, task: TaskKey) -> None: ...

    def sink_report(self, task: TaskKey, sink: str, data: bytes) -> Awaitable[None] | None: ...


DEFAULT_BATCH_ROWS = 16_384
"""The most rows that sources and operators should put into a batch."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What holds for all tasks of a run."""

    run_id: str = "run"
    batch_rows: int = DEFAULT_BATCH_ROWS
    checked: bool = False
    """Assert the promises of every operator (runtime/operators/checked.py)."""


class _Running:
    """One built task with its ends."""

    def __init__(
        self, task: Task | SourceTask, gate: InputGate | None, writers: Mapping[int, EdgeWriter]
    ) -> None:
        self.task = task
        self.gate = gate
        self.writers = writers

    def metrics(self, clock: Clock) -> dict[str, Any]:
        writers, gate = self.writers.values(), self.gate
        buffers = {
            "bytes_out": sum(w.bytes for w in writers),
            "batches_out": sum(w.batches for w in writers),
            "buffered_bytes": sum(w.buffered_bytes for w in writers),
            "in_flight_bytes": sum(w.in_flight_bytes for w in writers),
            "queued_bytes": gate.queued_bytes if gate is not None else 0,
            "bytes_in": gate.bytes if gate is not None else 0,
        }
        driver = self.task.driver
        return driver.metrics.snapshot(driver.chain, clock, buffers)


class TaskSet:
    """Life: prepare (gates exist, peers may connect), connect, run, close."""

    def __init__(
        self,
        env: Env,
        graph: JobGraph,
        exchange: SlotExchange,
        upstairs: Upstairs,
        options: RunOptions,
    ) -> None:
        self._env = env
        self._graph = graph
        self._exchange = exchange
        self._upstairs = upstairs
        self._options = options
        self._running: dict[TaskKey, _Running] = {}
        self._inboxes: dict[TaskKey, SplitInbox] = {}

    def prepare(self, tasks: Sequence[TaskKey]) -> None:
        """Builds every task of this slot."""
        for vertex_id, subtask in tasks:
            self._prepare(self._graph.vertex(vertex_id), subtask)

    async def connect(self, locations: Mapping[TaskKey, SlotAddress]) -> None:
        """Connects all outputs to the slots of their consumers."""
        await self._exchange.connect(locations)

    def deliver_splits(
        self, task: TaskKey, splits: Sequence[tuple[Any, Any]], complete: bool
    ) -> None:
        """Splits from the JobManager for one source task."""
        self._inboxes[task].deliver(splits, complete)

    async def run(self) -> None:
        """Until all tasks have ended. Raises the first failure of a task or of the exchange."""
        jobs = [
            asyncio.ensure_future(self._run_one(key, running))
            for key, running in self._running.items()
        ]
        broken = asyncio.ensure_future(self._watch_exchange())
        try:
            pending: set[asyncio.Future[None]] = set(jobs)
            while pending:
                done, _ = await asyncio.wait(
                    {*pending, broken}, return_when=asyncio.FIRST_COMPLETED
                )
                for finished in (j for j in jobs if j in done):
                    pending.discard(finished)
                    if finished.cancelled():
                        raise JobFailed(_CANCELLED_ITSELF)
                    finished.result()
                if broken in done:
                    broken.result()
        finally:
            for job in (*jobs, broken):
                job.cancel()
            await asyncio.gather(*jobs, broken, return_exceptions=True)

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

    # -- building

    async def _run_one(self, key: TaskKey, running: _Running) -> None:
        await running.task.run()
        for writer in running.writers.values():
            writer.flush()
        self._upstairs.task_finished(key)

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
        chain = self._chain(vertex, subtask, writers)
        head = vertex.nodes[0].spec
        gate: InputGate | None = None
        task: Task | SourceTask
        if isinstance(head, SourceSpec):
            inbox = self._inboxes[key] = SplitInbox(partial(self._upstairs.request_splits, key))
            task = SourceTask(
                head.source, chain, self._env, inbox, batch_rows=self._options.batch_rows
            )
        else:
            specs = self._channels(vertex, subtask)
            gate = self._exchange.add_gate(vertex.id, subtask, specs)
            timeless = [i for i, s in enumerate(specs) if not s.edge.timestamps]
            task = Task(gate, chain, self._env.clock, channels=len(specs), timeless=timeless)
        self._running[key] = _Running(task, gate, writers)

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
            )
            operator = _operator(node.spec)
            if self._options.checked:
                operator = Checked(operator, node.spec)
            links.append(Link(node, operator, context))
        for link in links:
            link.connect(links, writers)
        return Chain(links)


def _operator(spec: OperatorSpec) -> Operator:
    """The operator for a spec; a source's place in its chain is taken by one that passes its batches on."""
    if isinstance(spec, SourceSpec):
        return Union(UnionSpec(input=spec.output, output=spec.output))
    return build(spec)
