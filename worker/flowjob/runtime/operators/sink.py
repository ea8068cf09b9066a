"""The end of a stream: hands batches to a sink's writer, and its waits to the task.

The writer does the I/O; this operator keeps its life in order (open once before anything else, timers, finish at the
end of input, close always) and remembers what it has prepared until that is committed."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator

import pyarrow as pa

from flowjob.connectors.base import SinkContext, SinkWriter
from flowjob.core.commits import CommitPermit
from flowjob.core.elements import Barrier, Stop
from flowjob.errors import PlanError
from flowjob.plan.specs import SinkSpec
from flowjob.plan.types import HIDDEN_PREFIX, OBJECT_COLUMN
from flowjob.runtime.batch import Batch, Data
from flowjob.runtime.checkpoint.sections import Distribution, RestoredState, Section
from flowjob.runtime.operators.base import Operator, OperatorContext, Output

PENDING = "pending"
"""The section of what was prepared and not known to be committed. Every writer gets to know all of it; who commits it
is the coordinator's business. A savepoint of a job that goes on has none: it counts only when all that is published."""


class SinkOperator(Operator):
    """Takes columns, gives nothing. A slow writer holds the job back by the awaitables it yields."""

    def __init__(self, spec: SinkSpec) -> None:
        self._spec = spec
        self._writer: SinkWriter | None = None
        self._opened = False
        self._shown = len(spec.input.columns) or 1  # objects are in a column of ours
        self._timed = False
        self._fresh: list[bytes] = []
        self._pending: list[bytes] = []
        self._leaves_nothing = False

    def open(self, context: OperatorContext) -> None:
        self._writer = self._spec.sink.writer(
            SinkContext(
                env=context.env,
                type=self._spec.input,
                run_id=context.run_id,
                subtask=context.subtask,
                parallelism=context.parallelism,
                report=context.report,
                attempt=context.attempt,
                operator=context.uid or context.name,
                commits=context.commits,
            )
        )
        self._timed = type(self._writer).next_timer is not SinkWriter.next_timer

    def process(self, data: Data, port: int) -> Iterator[Output]:
        assert isinstance(data, Batch)
        if not self._opened:
            yield from self._open_writer()
        if data.columns.num_columns != self._shown:
            data = visible(data)
        if (waiting := self._the_writer().write(data)) is not None:
            yield waiting

    def next_timer(self) -> int | None:
        return self._the_writer().next_timer() if self._timed and self._opened else None

    def on_time(self, now: int) -> Iterator[Output]:
        yield self._the_writer().on_time(now)

    def on_end(self) -> Iterator[Output]:
        yield from self._open_writer()
        yield self._the_writer().finish()

    # -- snapshots

    def prepare(self, barrier: Barrier) -> Iterator[Output]:
        yield from self._open_writer()
        self._leaves_nothing = barrier.savepoint and barrier.stop is Stop.NO
        yield self._prepare(barrier.checkpoint)

    async def _prepare(self, checkpoint: int) -> None:
        fresh = await self._the_writer().prepare(checkpoint)
        if not all(isinstance(prepared, bytes) for prepared in fresh):
            kinds = ", ".join(sorted({type(prepared).__name__ for prepared in fresh}))
            raise PlanError(
                f"sink `{self._spec.sink.name}`: `prepare` has to give bytes, which snapshots keep, not {kinds}"
            )
        self._fresh += fresh
        self._pending += fresh

    def committables(self) -> list[bytes]:
        fresh, self._fresh = self._fresh, []
        return fresh

    async def commit(self, committables: list[bytes], permit: CommitPermit) -> None:
        await self._the_writer().commit(committables, permit)
        done = set(committables)
        self._pending = [p for p in self._pending if p not in done]

    def snapshot(self) -> Iterator[Section]:
        if self._pending and not self._leaves_nothing:
            table = pa.table({"committable": pa.array(self._pending, pa.binary())})
            yield Section(PENDING, Distribution.UNION, table)

    def restore(self, state: RestoredState) -> None:
        pending: list[bytes] = [
            row for part in state.parts(PENDING) for row in part.table.column(0).to_pylist()
        ]
        self._the_writer().restore(pending)

    async def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()

    def _open_writer(self) -> Iterator[Awaitable[None]]:
        if not self._opened:
            yield self._the_writer().open()
            self._opened = True

    def _the_writer(self) -> SinkWriter:
        assert self._writer is not None, "a sink is opened before it is used"
        return self._writer


def visible(batch: Batch) -> Batch:
    """The batch without columns that are ours; the column that carries objects stays."""
    hidden = [
        n for n in batch.columns.schema.names if n.startswith(HIDDEN_PREFIX) and n != OBJECT_COLUMN
    ]
    return batch.with_columns(batch.columns.drop_columns(hidden)) if hidden else batch
