"""process on a keyed stream: a KeyedProcess function with state and timers.

Takes columns, because the keys are columns, and gives the rows its function emits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from flowjob.plan.specs import KeyedProcessSpec
from flowjob.runtime.batch import Batch, Data
from flowjob.runtime.checkpoint.sections import RestoredState, Section
from flowjob.runtime.operators.base import Emitted, Form, Operator, OperatorContext
from flowjob.runtime.operators.function_runner import FunctionRunner, RunnerSpec, Work
from flowjob.runtime.operators.row_input import codec_of, rows_of
from flowjob.runtime.state.backend import TableSpec
from flowjob.runtime.state.memory import MemoryBackend
from flowjob.state import declared_states


class KeyedProcessOperator(Operator):
    """One input; timers fire before the watermark that makes them due goes on."""

    takes = Form.COLUMNS
    gives = Form.ROWS

    def __init__(self, spec: KeyedProcessSpec) -> None:
        self._spec = spec
        self._codec = codec_of(spec.input)
        self._runner: FunctionRunner | None = None

    def open(self, context: OperatorContext) -> None:
        spec = self._spec
        self._table = (context.state_backend or MemoryBackend()).table(
            TableSpec(
                type(spec.function).__qualname__,
                tuple(key.type for key in spec.keys),
                declared_states(spec.function),
                context.max_parallelism,
                tuple(key.name for key in spec.keys),
            )
        )
        runner = FunctionRunner(
            RunnerSpec(spec.function, spec.output, dict(spec.side_types), self._table), context
        )
        runner.open()
        self._runner = runner

    def process(self, data: Data, port: int) -> Emitted:
        batch = cast(Batch, data)
        slots = self._table.locate(batch.columns, self._spec.keys)
        rows = rows_of(batch, self._codec)
        yield from self._running.run(Work("on_row", rows, len(batch), batch.timestamps, slots))

    def on_watermark(self, watermark: int) -> Emitted:
        return self._running.fire_event_timers(watermark)

    def next_timer(self) -> int | None:
        return self._running.next_timer()

    def on_time(self, now: int) -> Emitted:
        return self._running.fire_processing_timers(now)

    @property
    def state_bytes(self) -> int:
        return self._running.state_bytes

    def snapshot(self) -> Iterable[Section]:
        return self._running.snapshot()

    def restore(self, state: RestoredState) -> None:
        self._running.restore(state)

    async def close(self) -> None:
        if self._runner is not None:
            self._runner.close()

    @property
    def _running(self) -> FunctionRunner:
        assert self._runner is not None, "the operator has not been opened"
        return self._runner
