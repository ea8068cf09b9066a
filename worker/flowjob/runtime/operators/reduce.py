"""reduce: one row per key, made of all rows so far by the user's (row, row) -> row.

Gives one row per input row, or as a changelog the old row (-U) and the new one (+U). What the function returns
belongs to the key of the input row, whatever its own key columns say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np

from flowjob.plan.specs import ReduceSpec
from flowjob.plan.stored_state import REDUCED, reduce_states
from flowjob.runtime.batch import Batch, Data, Int64s, Kind, Rows
from flowjob.runtime.checkpoint.sections import RestoredState, Section
from flowjob.runtime.operators.base import PAUSE, Emitted, Form, Operator, OperatorContext
from flowjob.runtime.operators.failures import RowFailed, first_of_other_type, name_of, wrong_type
from flowjob.runtime.operators.pacing import Pacer
from flowjob.runtime.operators.row_input import codec_of, rows_of
from flowjob.runtime.printing import shown
from flowjob.runtime.state.backend import TableSpec
from flowjob.runtime.state.cells import MISSING
from flowjob.runtime.state.memory import MemoryBackend


class Reduce(Operator):
    """One value state per key."""

    takes = Form.COLUMNS
    gives = Form.ROWS

    def __init__(self, spec: ReduceSpec) -> None:
        self._spec = spec
        self._name = name_of(spec.function)
        self._codec = codec_of(spec.input)
        self._wanted = spec.output.row_class

    def open(self, context: OperatorContext) -> None:
        # An object stream may well have None for a row: only MISSING means that there is none yet.
        states = reduce_states(self._spec.output, MISSING)
        types = tuple(key.type for key in self._spec.keys)
        names = tuple(key.name for key in self._spec.keys)
        self._table = (context.state_backend or MemoryBackend()).table(
            TableSpec(self._name, types, states, context.max_parallelism, names)
        )
        self._pacer = Pacer(context.env.clock)

    def process(self, data: Data, port: int) -> Emitted:
        batch = cast(Batch, data)
        slots = self._table.locate(batch.columns, self._spec.keys)
        convert, pacer = rows_of(batch, self._codec), self._pacer
        made: list[Any] = []
        before: list[Any] = []
        pacer.restart()
        while len(made) < len(batch):
            start, stop = len(made), min(len(made) + pacer.rows, len(batch))
            self._reduce(convert(start, stop), slots[start:stop], made, before)
            if pacer.due(stop - start) and stop < len(batch):
                yield PAUSE
                pacer.restart()
        if self._spec.changelog:
            yield _changes(before, made, batch.timestamps)
        else:
            yield Rows(made, batch.timestamps)

    @property
    def state_bytes(self) -> int:
        return self._table.nbytes

    def snapshot(self) -> Iterable[Section]:
        return self._table.snapshot()

    def restore(self, state: RestoredState) -> None:
        self._table.restore(state)

    def _reduce(
        self, rows: list[Any], slots: list[int], made: list[Any], before: list[Any]
    ) -> None:
        """Adds the new value for each row to `made`, and the one it replaces to `before`."""
        function, scope, state = self._spec.function, self._table.scope, self._table.bound[REDUCED]
        start = len(made)
        try:
            for row, slot in zip(rows, slots):
                scope.slot = slot
                so_far = state.value
                state.value = value = row if so_far is MISSING else function(so_far, row)
                before.append(so_far)
                made.append(value)
        except BaseException as cause:
            raise self._failed(rows[len(made) - start], cause) from cause
        finally:
            scope.slot = None
        if self._wanted is not None:
            fresh = made[start:]
            bad = first_of_other_type(fresh, self._wanted)
            if bad is not None:
                complaint = wrong_type(self._name, "returned", fresh[bad], self._wanted)
                raise self._failed(rows[bad], complaint)

    def _failed(self, row: object, cause: BaseException) -> RowFailed:
        return RowFailed(self._name, shown(row), cause)


def _changes(before: list[Any], after: list[Any], timestamps: Int64s | None) -> Rows:
    """Each new value with the old one in front of it: -U +U, or +I when there was none."""
    values: list[Any] = []
    kinds: list[int] = []
    for old, new in zip(before, after):
        if old is MISSING:
            values.append(new)
            kinds.append(Kind.INSERT)
        else:
            values += (old, new)
            kinds += (Kind.UPDATE_BEFORE, Kind.UPDATE_AFTER)
    if timestamps is not None:
        counts = np.array([1 if old is MISSING else 2 for old in before], np.int64)
        timestamps = np.repeat(timestamps, counts)
    return Rows(values, timestamps, np.array(kinds, np.int8))
