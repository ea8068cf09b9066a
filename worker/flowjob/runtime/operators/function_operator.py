"""What operators with a user's function over keyed state have in common: all but how rows come to the function.

The function, its state and its timers are the FunctionRunner's; here is who asks it for what. It must not know which
inputs there are."""

from __future__ import annotations

from collections.abc import Iterable

from flowjob.runtime.checkpoint.sections import RestoredState, Section
from flowjob.runtime.operators.base import Emitted, Form, Operator, OperatorContext
from flowjob.runtime.operators.function_runner import FunctionRunner, RunnerSpec


class FunctionOperator(Operator):
    """Takes columns, because keys are columns, and gives the rows its function emits. Timers fire before the watermark
    that makes them due goes on."""

    takes = Form.COLUMNS
    gives = Form.ROWS

    def __init__(self) -> None:
        self._runner: FunctionRunner | None = None

    def _start(self, spec: RunnerSpec, context: OperatorContext) -> None:
        runner = FunctionRunner(spec, context)
        runner.open()
        self._runner = runner

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
