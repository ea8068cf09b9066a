"""count, sum, mean, and min/max of fixed-width types: int64 and float64 columns updated by kernels.

The hot path of window aggregation: one kernel call per batch and accumulator, nothing per row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flowjob.aggregates import is_bytes_like
from flowjob.errors import JobFailed
from flowjob.runtime.accumulators import scatter
from flowjob.runtime.accumulators.base import (
    Accumulator,
    Bools,
    fields,
    grown,
    masked,
    picked,
    valid_rows,
    validity,
)
from flowjob.runtime.accumulators.order import from_order_keys, order_keys
from flowjob.runtime.batch import Int64s

_NONE = np.empty(0, np.int64)
LEAST, GREATEST = -(2**63), 2**63 - 1


class Counting(Accumulator):
    """count() and count(x). Partial: the count."""

    partial_types = (pa.int64(),)

    def __init__(self) -> None:
        self.counts = _NONE

    def grow(self, n_slots: int) -> None:
        self.counts = grown(self.counts, n_slots, 0)

    def update(self, slots: Int64s, columns: Sequence[pa.Array]) -> None:
        if columns:
            slots, _ = valid_rows(slots, columns)
        scatter.count(self.counts, slots)

    def running(
        self, slots: Int64s, columns: Sequence[pa.Array], at: Int64s | None = None
    ) -> pa.Array:
        counts = scatter.running_count(self.counts, slots, valid_mask(columns))
        return pa.array(picked(counts, at))

    def partials(self, slots: Int64s) -> list[pa.Array]:
        return [pa.array(self.counts[slots])]

    def merge(self, slots: Int64s, partials: Sequence[pa.Array]) -> None:
        scatter.add_ints(self.counts, slots, int64s(partials[0]))

    def state_fields(self, name: str) -> list[pa.Field]:
        return fields(name, ("", pa.int64()))

    def load(self, slots: Int64s, state: Sequence[pa.Array]) -> None:
        self.counts[slots] = int64s(state[0])

    def result(self, slots: Int64s) -> pa.Array:
        return pa.array(self.counts[slots])

    def reset(self, slots: Int64s) -> None:
        self.counts[slots] = 0

    @property
    def nbytes(self) -> int:
        return self.counts.nbytes


class _Summing(Accumulator):
    """A sum and the number of values in it, so that the empty sum is null. Partial: both."""

    dtype: Any = np.int64

    def __init__(self, type: pa.DataType) -> None:
        self.type = type
        self.sums: npt.NDArray[Any] = np.empty(0, self.dtype)
        self.counts = _NONE

    def grow(self, n_slots: int) -> None:
        self.sums = grown(self.sums, n_slots, 0)
        self.counts = grown(self.counts, n_slots, 0)

    def update(self, slots: Int64s, columns: Sequence[pa.Array]) -> None:
        slots, (values,) = valid_rows(slots, columns)
        self._add(slots, self._values(values))
        scatter.count(self.counts, slots)

    def running(
        self, slots: Int64s, columns: Sequence[pa.Array], at: Int64s | None = None
    ) -> pa.Array:
        valid = valid_mask(columns)
        values = self._values(filled(columns[0]))
        sums = scatter.running_sum(self.sums, slots, values, valid)
        if sums is None:
            raise _overflow()
        counts = scatter.running_count(self.counts, slots, valid)
        return self._shown(picked(sums, at), picked(counts, at))

    def partials(self, slots: Int64s) -> list[pa.Array]:
        return [pa.array(self.sums[slots]), pa.array(self.counts[slots])]

    def merge(self, slots: Int64s, partials: Sequence[pa.Array]) -> None:
        self._add(slots, partials[0].to_numpy(zero_copy_only=False))
        scatter.add_ints(self.counts, slots, int64s(partials[1]))

    def state_fields(self, name: str) -> list[pa.Field]:
        return fields(name, ("", self.partial_types[0]), (".count", pa.int64()))

    def state(self, slots: Int64s) -> list[pa.Array]:
        counts = self.counts[slots]
        return [masked(self.sums[slots], counts == 0, self.partial_types[0]), pa.array(counts)]

    def load(self, slots: Int64s, state: Sequence[pa.Array]) -> None:
        sums, counts = state
        self.sums[slots] = sums.fill_null(0).to_numpy(zero_copy_only=False)
        self.counts[slots] = int64s(counts)

    def result(self, slots: Int64s) -> pa.Array:
        return self._shown(self.sums[slots], self.counts[slots])

    def reset(self, slots: Int64s) -> None:
        self.sums[slots] = 0
        self.counts[slots] = 0

    @property
    def nbytes(self) -> int:
        return self.sums.nbytes + self.counts.nbytes

    def _values(self, column: pa.Array) -> npt.NDArray[Any]:
        raise NotImplementedError

    def _add(self, slots: Int64s, values: npt.NDArray[Any]) -> None:
        raise NotImplementedError

    def _shown(self, sums: npt.NDArray[Any], counts: Int64s) -> pa.Array:
        """The result of each sum and count."""
        return masked(sums, counts == 0, self.type)


class IntegerSum(_Summing):
    """sum of integers or durations, in int64; an overflow is an error, not a wrong number."""

    partial_types = (pa.int64(), pa.int64())

    def _values(self, column: pa.Array) -> npt.NDArray[Any]:
        if pa.types.is_duration(column.type):
            return order_keys(column)
        return int64s(column)

    def _add(self, slots: Int64s, values: npt.NDArray[Any]) -> None:
        if not scatter.add_ints(self.sums, slots, values):
            raise _overflow()


class FloatSum(_Summing):
    """sum of floats, in float64 and in the order of rows."""

    partial_types = (pa.float64(), pa.int64())
    dtype = np.float64

    def _values(self, column: pa.Array) -> npt.NDArray[Any]:
        return float64s(column)

    def _add(self, slots: Int64s, values: npt.NDArray[Any]) -> None:
        scatter.add_floats(self.sums, slots, values)


class FloatMean(FloatSum):
    """mean of integers or floats, in float64."""

    def _shown(self, sums: npt.NDArray[Any], counts: Int64s) -> pa.Array:
        return masked(sums / np.maximum(counts, 1), counts == 0, self.type)


class DurationMean(IntegerSum):
    """mean of durations, rounded down to their unit."""

    def _shown(self, sums: npt.NDArray[Any], counts: Int64s) -> pa.Array:
        return masked(sums // np.maximum(counts, 1), counts == 0, self.type)


class _FixedExtreme(Accumulator):
    """min or max of a type with int64 order keys. Partial: the key and whether there is one.

    `seen` is kept apart from the keys because every int64 may be a real value."""

    partial_types = (pa.int64(), pa.bool_())
    identity = 0

    def __init__(self, type: pa.DataType) -> None:
        self.type = type
        self.best = _NONE
        self.seen = np.empty(0, np.bool_)

    def grow(self, n_slots: int) -> None:
        self.best = grown(self.best, n_slots, self.identity)
        self.seen = grown(self.seen, n_slots, False)

    def update(self, slots: Int64s, columns: Sequence[pa.Array]) -> None:
        slots, (values,) = valid_rows(slots, columns)
        self._improve(slots, order_keys(values))

    def running(
        self, slots: Int64s, columns: Sequence[pa.Array], at: Int64s | None = None
    ) -> pa.Array:
        valid = valid_mask(columns)
        keys = picked(self._running(slots, order_keys(filled(columns[0])), valid), at)
        if len(valid) == 0:
            self.seen[slots] = True
            return from_order_keys(keys, np.zeros(len(keys), np.bool_), self.type)
        numbers, touched = scatter.renumbered(slots)
        counts = self.seen[touched].astype(np.int64)
        after = scatter.running_count(counts, numbers, valid)
        self.seen[touched] = counts > 0
        return from_order_keys(keys, picked(after == 0, at), self.type)

    def partials(self, slots: Int64s) -> list[pa.Array]:
        return [pa.array(self.best[slots]), pa.array(self.seen[slots])]

    def merge(self, slots: Int64s, partials: Sequence[pa.Array]) -> None:
        keys, seen = int64s(partials[0]), partials[1].to_numpy(zero_copy_only=False)
        if not seen.all():
            slots, keys = slots[seen], keys[seen]
        self._improve(slots, keys)

    def state_fields(self, name: str) -> list[pa.Field]:
        return fields(name, ("", self.type))

    def state(self, slots: Int64s) -> list[pa.Array]:
        return [self.result(slots)]

    def load(self, slots: Int64s, state: Sequence[pa.Array]) -> None:
        (values,) = state
        if values.null_count:
            slots, values = slots[validity([values])], values.drop_null()
        self.best[slots] = order_keys(values)
        self.seen[slots] = True

    def result(self, slots: Int64s) -> pa.Array:
        return from_order_keys(self.best[slots], ~self.seen[slots], self.type)

    def reset(self, slots: Int64s) -> None:
        self.best[slots] = self.identity
        self.seen[slots] = False

    @property
    def nbytes(self) -> int:
        return self.best.nbytes + self.seen.nbytes

    def _improve(self, slots: Int64s, keys: Int64s) -> None:
        raise NotImplementedError

    def _running(self, slots: Int64s, keys: Int64s, valid: Bools) -> Int64s:
        raise NotImplementedError


class FixedMin(_FixedExtreme):
    identity = GREATEST

    def _improve(self, slots: Int64s, keys: Int64s) -> None:
        scatter.lower(self.best, self.seen, slots, keys)

    def _running(self, slots: Int64s, keys: Int64s, valid: Bools) -> Int64s:
        return scatter.running_lower(self.best, slots, keys, valid)


class FixedMax(_FixedExtreme):
    identity = LEAST

    def _improve(self, slots: Int64s, keys: Int64s) -> None:
        scatter.raise_(self.best, self.seen, slots, keys)

    def _running(self, slots: Int64s, keys: Int64s, valid: Bools) -> Int64s:
        return scatter.running_raise(self.best, slots, keys, valid)


def int64s(column: pa.Array) -> Int64s:
    """A null-free integer column as int64; ArrowInvalid for a uint64 beyond it."""
    array = column if column.type == pa.int64() else column.cast(pa.int64())
    found: Int64s = array.to_numpy(zero_copy_only=False)
    return found


def float64s(column: pa.Array) -> npt.NDArray[np.float64]:
    """A null-free numeric column as float64; integers beyond 2**53 are rounded."""
    array = column if column.type == pa.float64() else column.cast(pa.float64(), safe=False)
    found: npt.NDArray[np.float64] = array.to_numpy(zero_copy_only=False)
    return found


def valid_mask(columns: Sequence[pa.Array]) -> Bools:
    """True where no column is null; empty when none ever is."""
    if all(column.null_count == 0 for column in columns):
        return np.empty(0, np.bool_)
    return validity(columns)


def filled(column: pa.Array) -> pa.Array:
    """The column with some value in place of nulls."""
    if column.null_count == 0:
        return column
    valid = column.drop_null()
    if len(valid):
        return column.fill_null(valid[0])
    varying = is_bytes_like(column.type) and not pa.types.is_fixed_size_binary(column.type)
    width = 8 if varying else max(column.type.bit_width // 8, 1)
    zeros = pa.py_buffer(bytes(width * (len(column) + 1)))
    buffers = [None, zeros, zeros] if varying else [None, zeros]
    return pa.Array.from_buffers(column.type, len(column), buffers)


def _overflow() -> JobFailed:
    return JobFailed(
        "a sum of integers left the range of int64; sum floats or decimals instead, "
        "as in sum(fj.col('x').cast(float))"
    )
