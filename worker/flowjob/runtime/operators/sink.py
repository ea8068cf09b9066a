"""The end of a stream: hands batches to a sink's writer, and its waits to the task.

The writer does the I/O; this operator only keeps its life in order: open once before anything else, timers,
finish at the end of input, close always."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator

from flowjob.connectors.base import SinkContext, SinkWriter
from flowjob.plan.specs import SinkSpec
from flowjob.plan.types import HIDDEN_PREFIX, OBJECT_COLUMN
from flowjob.runtime.batch import Batch, Data
from flowjob.runtime.operators.base import Operator, OperatorContext, Output


class SinkOperator(Operator):
    """Takes columns, gives nothing. A slow writer holds the job back by the awaitables it yields."""

    def __init__(self, spec: SinkSpec) -> None:
        self._spec = spec
        self._writer: SinkWriter | None = None
        self._opened = False
        self._shown = len(spec.input.columns) or 1  # objects are in a column of ours
        self._timed = False

    def open(self, context: OperatorContext) -> None:
        self._writer = self._spec.sink.writer(
            SinkContext(
                env=context.env,
                type=self._spec.input,
                run_id=context.run_id,
                subtask=context.subtask,
                parallelism=context.parallelism,
                report=context.report,
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
