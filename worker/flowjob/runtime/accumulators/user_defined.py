"""User-defined aggregates: one Python accumulator per slot, `add` called per row.

The only accumulator that runs Python for each row; everything around it stays columnar."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa

from flowjob import pickling
from flowjob.aggregates import Aggregate
from flowjob.errors import JobFailed
from flowjob.runtime.accumulators.base import PICKLED, Accumulator, valid_rows, validity
from flowjob.runtime.batch import Int64s


class _Nothing:
    """Marks a slot no row has reached: its result is null, whatever `result` would make of
    `create()`."""


_NOTHING = _Nothing()


class UserDefined(Accumulator):
    """An `Aggregate` of the user's. Partial: the pickled accumulator, null when there is none."""

    partial_types = (pa.binary(),)

    def __init__(self, aggregate: Aggregate[Any, Any, Any], type: pa.DataType) -> None:
        self.aggregate = aggregate
        self.type = type
        self.values: list[Any] = []

    def grow(self, n_slots: int) -> None:
        self.values.extend([_NOTHING] * (n_slots - len(self.values)))

    def update(self, slots: Int64s, columns: Sequence[pa.Array]) -> None:
        if self.aggregate.skip_nulls:
            slots, columns = valid_rows(slots, columns)
        values, add, create = self.values, self.aggregate.add, self.aggregate.create
        for slot, value in zip(slots.tolist(), _python(columns)):
            acc = values[slot]
            values[slot] = add(create() if acc is _NOTHING else acc, value)

    def partials(self, slots: Int64s) -> list[pa.Array]:
        held = [self.values[slot] for slot in slots.tolist()]
        return [pa.array([None if v is _NOTHING else pickle.dumps(v) for v in held], pa.binary())]

    def merge(self, slots: Int64s, partials: Sequence[pa.Array]) -> None:
        for slot, data in zip(slots.tolist(), partials[0].to_pylist()):
            if data is not None:
                self._join(slot, pickle.loads(data))  # noqa: S301 - made by `partials`

    def state_fields(self, name: str) -> list[pa.Field]:
        return [pa.field(name, pa.binary(), metadata=PICKLED)]

    def state(self, slots: Int64s) -> list[pa.Array]:
        held = [self.values[slot] for slot in slots.tolist()]
        return [pa.array([None if v is _NOTHING else self._stored(v) for v in held], pa.binary())]

    def merge_within(self, targets: Int64s, sources: Int64s) -> None:
        for target, source in zip(targets.tolist(), sources.tolist()):
            if self.values[source] is not _NOTHING:
                self._join(target, self.values[source])

    def result(self, slots: Int64s) -> pa.Array:
        held = [self.values[slot] for slot in slots.tolist()]
        give = self.aggregate.result
        return self._column([None if acc is _NOTHING else give(acc) for acc in held])

    def running(
        self, slots: Int64s, columns: Sequence[pa.Array], at: Int64s | None = None
    ) -> pa.Array:
        skip = self.aggregate.skip_nulls
        values, aggregate = self.values, self.aggregate
        results = []
        valid = validity(columns).tolist() if skip else [True] * len(slots)
        wanted = np.ones(len(slots), np.bool_)
        if at is not None:
            wanted[:] = False
            wanted[at] = True
        rows = zip(slots.tolist(), _python(columns), valid, wanted.tolist())
        for slot, value, counts, shown in rows:
            acc = values[slot]
            if counts:
                acc = aggregate.add(aggregate.create() if acc is _NOTHING else acc, value)
                values[slot] = acc
            if shown:
                results.append(None if acc is _NOTHING else aggregate.result(acc))
        return self._column(results)

    def _stored(self, value: Any) -> bytes:
        """For another process, which may lack what was defined interactively. Plain pickling is forty times faster."""
        with suppress(Exception):
            data = pickle.dumps(value, protocol=5)
            if b"__main__" not in data:
                return data
        try:
            return pickling.dumps(value)
        except Exception as error:
            raise JobFailed(
                f"{self.aggregate}: its accumulator is a {type(value).__name__} that cannot be "
                f"pickled, so no snapshot can hold it ({error}); keep plain values in it"
            ) from error

    def _column(self, results: list[Any]) -> pa.Array:
        try:
            return pa.array(results, self.type)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise JobFailed(
                f"{self.aggregate}.result gave a value that is no {self.type}: {error}"
            ) from error

    def reset(self, slots: Int64s) -> None:
        for slot in slots.tolist():
            self.values[slot] = _NOTHING

    @property
    def nbytes(self) -> int:
        return 64 * len(self.values)

    def _join(self, slot: int, other: Any) -> None:
        mine = self.values[slot]
        self.values[slot] = other if mine is _NOTHING else self.aggregate.merge(mine, other)


def _python(columns: Sequence[pa.Array]) -> Iterable[Any]:
    """The input values as Python: plain ones of a single input, tuples of several."""
    if len(columns) == 1:
        return _values(columns[0])
    return zip(*(_values(column) for column in columns))


def _values(column: pa.Array) -> list[Any]:
    # Numbers come out of numpy several times faster.
    number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    values: list[Any] = (
        column.to_numpy().tolist() if number and not column.null_count else column.to_pylist()
    )
    return values
