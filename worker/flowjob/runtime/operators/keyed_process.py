"""process on a keyed stream: a KeyedProcess function with state and timers.

It finds rows' places in its state, and leaves them to the function."""

from __future__ import annotations

from typing import cast

from flowjob.plan.specs import KeyedProcessSpec
from flowjob.runtime.batch import Batch, Data
from flowjob.runtime.operators.base import Emitted, OperatorContext
from flowjob.runtime.operators.function_operator import FunctionOperator
from flowjob.runtime.operators.function_runner import RunnerSpec, Work
from flowjob.runtime.operators.row_input import codec_of, rows_of
from flowjob.runtime.state.backend import TableSpec
from flowjob.runtime.state.memory import MemoryBackend
from flowjob.state import declared_states


class KeyedProcessOperator(FunctionOperator):
    """One input."""

    def __init__(self, spec: KeyedProcessSpec) -> None:
        super().__init__()
        self._spec = spec
        self._codec = codec_of(spec.input)

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
        sides = dict(spec.side_types)
        self._start(RunnerSpec(spec.function, spec.output, sides, self._table), context)

    def process(self, data: Data, port: int) -> Emitted:
        batch = cast(Batch, data)
        slots = self._table.locate(batch.columns, self._spec.keys)
        rows = rows_of(batch, self._codec)
        yield from self._running.run(Work("on_row", rows, len(batch), batch.timestamps, slots))
