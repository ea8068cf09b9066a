"""Aggregates per key since the beginning: one output row per input row, or a changelog of the keys'
values.

The changelog shows, per batch, only what each key ends at: intermediate updates within a batch are
left out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa

from flowjob.errors import SchemaError, StateMismatch
from flowjob.plan.specs import RunningAggregateSpec
from flowjob.plan.stored_state import key_fields
from flowjob.runtime.accumulators import scatter
from flowjob.runtime.batch import Batch, Data, Int64s, Kind
from flowjob.runtime.checkpoint.plain_types import are_words
from flowjob.runtime.checkpoint.sections import Distribution, RestoredState, Rows, Section
from flowjob.runtime.operators.base import Emitted, Operator, OperatorContext
from flowjob.runtime.operators.key_store import KeyStore
from flowjob.runtime.operators.window_base import key_types
from flowjob.runtime.operators.window_contents import Contents, Inputs, decoded
from flowjob.runtime.state.evolution import widened
from flowjob.runtime.state.section_reading import key_columns

AGGREGATES = "aggregates"
"""The section: one row per key, its columns and the state of each aggregate."""

ROWS = 1 << 18
"""So many keys are restored at a time."""

_MOST_VALUES = 1 << 21
"""About so many values of lists are given in one batch."""


class RunningAggregate(Operator):
    """`contents` by key slot; keys are never forgotten."""

    def __init__(self, spec: RunningAggregateSpec) -> None:
        assert spec.input.schema is not None
        assert spec.output.schema is not None
        self.spec = spec
        self.schema = spec.output.schema
        self._fields = [self.schema.field(key.name) for key in spec.keys]
        self._fields += [self.schema.field(call.name) for call in spec.calls]

    def open(self, context: OperatorContext) -> None:
        assert self.spec.input.schema is not None
        self.keys = KeyStore(key_types(self.spec.keys))
        self.contents = Contents.of_calls(self.spec.calls, self.spec.input.schema)
        self._arrived = 0

    def process(self, data: Data, port: int) -> Emitted:
        assert isinstance(data, Batch)
        if len(data) == 0:
            return
        keys = [decoded(data.columns.column(key.column)) for key in self.spec.keys]
        slots, new = self.keys.upsert(keys, len(data))
        self.contents.grow(self.keys.limit)
        arrivals = np.arange(self._arrived, self._arrived + len(data))
        self._arrived += len(data)
        inputs = self.contents.read(data.columns, arrivals)
        if self.spec.changelog:
            yield self._changes(data, slots, new, inputs)
        else:
            yield from self._values(data, keys, slots, inputs)

    @property
    def state_bytes(self) -> int:
        return self.keys.nbytes + self.contents.nbytes

    @property
    def state_is_words(self) -> bool:
        return are_words(self._stored_schema())

    def snapshot(self) -> Iterator[Section]:
        # No slot is ever released: row numbers are slots.
        rows = Rows(self._stored_schema(), self.keys.limit, self._stored)
        meta = {"arrived": self._arrived}
        yield Section(AGGREGATES, Distribution.KEYED, rows, self.keys.all_hashes(), meta)

    def restore(self, state: RestoredState) -> None:
        """Arrival numbers of several former subtasks overlap, but a key's are all of one of them."""
        parts = state.parts(AGGREGATES)
        rows = sum(part.table.num_rows for part in parts)
        self.keys.reserve(rows)
        self.contents.grow(self.keys.limit + rows)
        for part in parts:
            self._arrived = max(self._arrived, int(part.meta.get("arrived", 0)))
            for piece in part.table.to_batches(max_chunksize=ROWS):
                self._load(piece)

    def _stored_schema(self) -> pa.Schema:
        state = [field for fields in self._state_fields() for field in fields]
        return pa.schema([*key_fields(self.spec.keys), *state])

    def _state_fields(self) -> list[list[pa.Field]]:
        """Per aggregate, the columns of its state."""
        calls = zip(self.contents.accumulators, self.spec.calls)
        return [accumulator.state_fields(call.name) for accumulator, call in calls]

    def _stored(self, slots: Int64s) -> pa.RecordBatch:
        state = [column for each in self.contents.accumulators for column in each.state(slots)]
        return pa.RecordBatch.from_arrays(
            [*self.keys.take(slots), *state], schema=self._stored_schema()
        )

    def _load(self, stored: pa.RecordBatch) -> None:
        keys = key_columns(stored, key_types(self.spec.keys))
        slots, new = self.keys.upsert(keys, len(stored))
        if len(new) < len(stored):
            raise StateMismatch("the snapshot has a key of a running aggregate twice")
        self.contents.grow(self.keys.limit)
        for accumulator, fields in zip(self.contents.accumulators, self._state_fields()):
            accumulator.load(slots, [_state_column(stored, field) for field in fields])

    def _values(self, data: Batch, keys: list[pa.Array], slots: Int64s, inputs: Inputs) -> Emitted:
        """Each row's value; in pieces where these are lists, which grow with every row."""
        for start, stop in self._pieces(slots, inputs):
            some = [[column.slice(start, stop - start) for column in columns] for columns in inputs]
            results = self.contents.running(slots[start:stop], some)
            shown = [key.slice(start, stop - start) for key in keys]
            times = None if data.timestamps is None else data.timestamps[start:stop]
            yield Batch(self._columns([*shown, *results]), times)

    def _pieces(self, slots: Int64s, inputs: Inputs) -> list[tuple[int, int]]:
        cuts = [0, len(slots)]
        for sizes in self.contents.running_sizes(slots, inputs):
            cuts += np.flatnonzero(np.diff(np.cumsum(sizes) // _MOST_VALUES) > 0).tolist()
        cuts = sorted(set(cuts))
        return list(pairwise(cuts))

    def _changes(self, data: Batch, slots: Int64s, new: Int64s, inputs: Inputs) -> Batch:
        """Per key of the batch, in the order of their last rows: -U of the old value, +U of the
        new; +I if new."""
        last = scatter.last_rows(slots)
        touched = slots[last]
        before = self.contents.results(touched)
        self.contents.update(slots, inputs)
        after = self.contents.results(touched)
        n = len(touched)
        fresh = np.isin(touched, new)
        kinds = np.empty(2 * n, np.int8)
        kinds[0::2] = Kind.UPDATE_BEFORE
        kinds[1::2] = np.where(fresh, Kind.INSERT, Kind.UPDATE_AFTER)
        kept = np.ones(2 * n, np.bool_)
        kept[0::2] = ~fresh
        # Old values are rows 0 … n-1 of the two put together, new ones n … 2n-1.
        rows = np.arange(2 * n).reshape(2, n).T.ravel()[kept]
        at = pa.array(rows)
        results = [pa.concat_arrays([old, now]).take(at) for old, now in zip(before, after)]
        keys = [key.take(pa.array(rows % n)) for key in self.keys.take(touched)]
        times = None if data.timestamps is None else data.timestamps[last][rows % n]
        return Batch(self._columns([*keys, *results]), times, kinds[kept])

    def _columns(self, arrays: list[pa.Array]) -> pa.RecordBatch:
        found = {
            field.name: array if array.type == field.type else array.cast(field.type)
            for field, array in zip(self._fields, arrays)
        }
        return pa.RecordBatch.from_arrays(
            [found[name] for name in self.schema.names], schema=self.schema
        )


def _state_column(stored: pa.RecordBatch, field: pa.Field) -> pa.Array:
    if field.name not in stored.schema.names:
        raise StateMismatch(
            f"the snapshot has no column `{field.name}`; it has {', '.join(stored.schema.names)}. A running aggregate "
            "goes on only with what it has computed since the beginning: put the new one into an `agg` of its own"
        )
    try:
        return widened(stored.column(field.name), field.type)
    except SchemaError as error:
        raise StateMismatch(f"column `{field.name}` of a running aggregate: {error}") from error
