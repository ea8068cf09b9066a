"""Sinks of golden jobs while they are killed and restored: what shows or prints rows commits them to a ledger instead.

Files and databases stay as they are: they are exactly once by themselves. It must not know how rows are compared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from flowjob.connectors.base import Sink, SinkContext, SinkWriter
from flowjob.connectors.collect import CollectSink, encode_report
from flowjob.connectors.print import PrintSink
from flowjob.core.commits import CommitPermit
from flowjob.job import Job
from flowjob.plan.specs import SinkSpec
from flowjob.plan.types import Mode
from flowjob.runtime.batch import Batch
from flowjob.testing.simulation.ledger import Ledger
from flowjob.testing.simulation.world import current_world


def with_ledger(job: Job, slow: float = 0.0) -> Job:
    """The same program, with every sink that only shows rows replaced. The job itself stays as it is. `slow`: seconds
    that a sink takes for each batch, on average."""
    return _with(job, lambda title: LedgerSink(title=title, slow=slow))


def with_collecting(job: Job) -> Job:
    """The same with sinks that report rows, under the names of those they stand for."""
    return _with(job, lambda title: CollectSink(title=title))


def _with(job: Job, made: Callable[[str], Sink]) -> Job:
    copy = Job(job.name, max_parallelism=job.max_parallelism)
    copy._builder.graph = job.graph
    for node in job.graph:
        spec = node.spec
        if isinstance(spec, SinkSpec) and isinstance(spec.sink, CollectSink | PrintSink):
            copy._builder.update(node.id, spec=replace(spec, sink=made(node.name)))
    return copy


@dataclass(frozen=True, kw_only=True)
class LedgerSink(Sink):
    """`title`: the name of the sink it stands for."""

    title: str
    slow: float = 0.0

    @property
    def name(self) -> str:
        return self.title

    @property
    def accepts(self) -> frozenset[Mode]:
        return frozenset(Mode)

    def writer(self, context: SinkContext) -> SinkWriter:
        return _Writer(self, context, current_world().ledger)


class _Writer(SinkWriter):
    def __init__(self, sink: LedgerSink, context: SinkContext, ledger: Ledger) -> None:
        self._title = sink.title
        self._slow = sink.slow
        self._context = context
        self._ledger = ledger
        self._rows: list[dict[str, object]] = []
        self._count = 0

    def write(self, batch: Batch) -> Awaitable[None] | None:
        self._rows.append({"sink": self._title, "report": encode_report(batch)})
        env = self._context.env
        return env.clock.sleep(self._slow * 2 * env.random.random()) if self._slow else None

    async def prepare(self, checkpoint: int) -> list[bytes]:
        if not self._rows:
            return []
        context = self._context
        self._count += 1
        name = f"{self._title}/{context.operator}/{context.run_id}-{context.attempt}-{context.subtask}-{self._count}"
        rows, self._rows = self._rows, []
        self._ledger.stage(name, rows)
        return [name.encode()]

    async def commit(self, committables: list[bytes], permit: CommitPermit) -> None:
        for committable in committables:
            self._ledger.commit(committable.decode(), permit)
