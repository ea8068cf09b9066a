"""process on two connected streams: both keyed and sharing state, both plain, or the second one broadcast.

Port 0 is the first stream, port 1 the second.
Rows of one port keep their order; between ports nothing is promised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from flowjob.plan.specs import ConnectedProcessSpec
from flowjob.plan.stored_state import split_states, stored_state
from flowjob.runtime.batch import Batch, Data
from flowjob.runtime.operators.base import Emitted, OperatorContext
from flowjob.runtime.operators.function_operator import FunctionOperator
from flowjob.runtime.operators.function_runner import RunnerSpec, Work
from flowjob.runtime.operators.row_input import codec_of, rows_of
from flowjob.runtime.state.backend import KeyedTable, Scope, TableSpec
from flowjob.runtime.state.broadcast import BroadcastMap
from flowjob.runtime.state.memory import MemoryBackend
from flowjob.state import State


class ConnectedProcessOperator(FunctionOperator):
    """Its watermark is the smaller of both inputs'."""

    def __init__(self, spec: ConnectedProcessSpec) -> None:
        super().__init__()
        self._spec = spec
        self._codecs = (codec_of(spec.input), codec_of(spec.second_input))
        self._callbacks = (
            ("on_row", "on_broadcast") if spec.broadcast else ("on_first", "on_second")
        )
        self._table: KeyedTable | None = None
        self._scope = Scope()

    def open(self, context: OperatorContext) -> None:
        spec = self._spec
        owner = type(spec.function).__qualname__
        keyed, shared = self._states(owner)
        if spec.keys:
            types = tuple(key.type for key in spec.keys)
            names = tuple(key.name for key in spec.keys)
            self._table = (context.state_backend or MemoryBackend()).table(
                TableSpec(owner, types, keyed, context.max_parallelism, names)
            )
        sides = dict(spec.side_types)
        self._start(
            RunnerSpec(spec.function, spec.output, sides, self._table, shared, spec.timed), context
        )

    def _states(self, owner: str) -> tuple[Mapping[str, State], Mapping[str, BroadcastMap]]:
        """The declared states that belong to a key, and the bound ones that do not."""
        spec = self._spec
        keyed, shared = split_states(spec.function, broadcast=spec.broadcast)
        return keyed, {
            name: BroadcastMap(
                f"state `{name}` of {owner}",
                self._scope,
                stored_state(name, state, broadcast=True),
            )
            for name, state in shared.items()
        }

    def process(self, data: Data, port: int) -> Emitted:
        batch = cast(Batch, data)
        slots = None
        keys = self._spec.second_keys if port else self._spec.keys
        if self._table is not None and keys:
            slots = self._table.locate(batch.columns, keys)
        work = Work(
            self._callbacks[port],
            rows_of(batch, self._codecs[port]),
            len(batch),
            batch.timestamps,
            slots,
        )
        self._scope.writable = self._spec.broadcast and port == 1
        try:
            yield from self._running.run(work)
        finally:
            self._scope.writable = False
