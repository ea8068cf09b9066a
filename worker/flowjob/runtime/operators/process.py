"""process on a stream without a key: a Process function, which may emit any number of rows and to side outputs.

Takes rows, so that it stands in a chain of row functions without a conversion. It has no state and no timers."""

from __future__ import annotations

from typing import cast

from flowjob.plan.specs import ProcessSpec
from flowjob.runtime.batch import Data, Rows
from flowjob.runtime.operators.base import Emitted, Form, Operator, OperatorContext
from flowjob.runtime.operators.function_runner import FunctionRunner, RunnerSpec, Work


class ProcessRows(Operator):
    """No state, no timers."""

    takes = Form.ROWS
    gives = Form.ROWS

    def __init__(self, spec: ProcessSpec) -> None:
        self._spec = spec
        self._runner: FunctionRunner | None = None

    def open(self, context: OperatorContext) -> None:
        spec = self._spec
        runner = FunctionRunner(
            RunnerSpec(spec.function, spec.output, dict(spec.side_types)), context
        )
        runner.open()
        self._runner = runner

    def process(self, data: Data, port: int) -> Emitted:
        rows = cast(Rows, data)
        assert self._runner is not None, "the operator has not been opened"
        values = rows.values
        return self._runner.run(
            Work("on_row", lambda i, j: values[i:j], len(values), rows.timestamps, None)
        )

    def on_watermark(self, watermark: int) -> Emitted:
        assert self._runner is not None, "the operator has not been opened"
        return self._runner.fire_event_timers(watermark)

    async def close(self) -> None:
        if self._runner is not None:
            self._runner.close()
