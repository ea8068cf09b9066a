"""Fold values into accumulator columns by slot: count, sum, minimum, maximum of int64, uint64, float64.

Separate from the index, so that n aggregates need one look-up. Empty accumulators hold the identities
below; "no value yet" is told by a count of valid values, which the caller keeps. Narrow types are
widened by the caller. In floats NaN is greater than every number (as in SQL engines): a maximum is
NaN when any value is, a minimum only when all are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba.core import types

from flowjob.kernels.columns import Bools, Int64s
from flowjob.kernels.compile import (
    BOOLS,
    F64S,
    F64S_OUT,
    I64S,
    I64S_OUT,
    U64S,
    U64S_OUT,
    helper,
    kernel,
)

Values = npt.NDArray[np.int64] | npt.NDArray[np.uint64] | npt.NDArray[np.float64]

NONE_NULL: Bools = np.empty(0, np.bool_)

MIN_IDENTITY = {
    np.dtype(np.int64): np.int64(np.iinfo(np.int64).max),
    np.dtype(np.uint64): np.uint64(np.iinfo(np.uint64).max),
    np.dtype(np.float64): np.float64(np.nan),
}
MAX_IDENTITY = {
    np.dtype(np.int64): np.int64(np.iinfo(np.int64).min),
    np.dtype(np.uint64): np.uint64(0),
    np.dtype(np.float64): np.float64(-np.inf),
}


class SumOverflow(OverflowError):
    """A 64-bit sum that left its range: at `row` of the values given."""

    def __init__(self, row: int, dtype: np.dtype[Any]) -> None:
        super().__init__(
            f"a sum left the range of {dtype} at row {row} of its batch; sum a float64 or decimal column instead"
        )
        self.row = row


@helper
def lesser(a: Any, b: Any) -> Any:
    """The lesser of two, NaN being the greatest."""
    return b if b < a or a != a else a


@helper
def greater(a: Any, b: Any) -> Any:
    """The greater of two, NaN being the greatest."""
    return b if b > a or b != b else a


_FOLDS = [
    types.void(I64S, values, BOOLS, acc)
    for values, acc in ((I64S, I64S_OUT), (U64S, U64S_OUT), (F64S, F64S_OUT))
]


@kernel(types.void(I64S, BOOLS, I64S_OUT))
def count_kernel(slots: Any, valid: Any, acc: Any) -> None:
    """Count rows by slot; with `valid`, only valid ones."""
    if valid.shape[0] == 0:
        for i in range(slots.shape[0]):
            acc[slots[i]] += 1
    else:
        for i in range(slots.shape[0]):
            acc[slots[i]] += np.int64(valid[i])


@kernel(types.int64(I64S, I64S, BOOLS, I64S_OUT))
def add_int64(slots: Any, values: Any, valid: Any, acc: Any) -> Any:
    """Sum; the first row that overflows, which is not added, or n."""
    nulls = valid.shape[0] > 0
    for i in range(slots.shape[0]):
        if nulls and not valid[i]:
            continue
        old = acc[slots[i]]
        total = old + values[i]
        if ((old ^ total) & (values[i] ^ total)) < 0:
            return i
        acc[slots[i]] = total
    return slots.shape[0]


@kernel(types.int64(I64S, U64S, BOOLS, U64S_OUT))
def add_uint64(slots: Any, values: Any, valid: Any, acc: Any) -> Any:
    """Sum; the first row that overflows, which is not added, or n."""
    nulls = valid.shape[0] > 0
    for i in range(slots.shape[0]):
        if nulls and not valid[i]:
            continue
        total = acc[slots[i]] + values[i]
        if total < values[i]:
            return i
        acc[slots[i]] = total
    return slots.shape[0]


@kernel(types.int64(I64S, F64S, BOOLS, F64S_OUT))
def add_float64(slots: Any, values: Any, valid: Any, acc: Any) -> Any:
    """Sum; always n."""
    nulls = valid.shape[0] > 0
    for i in range(slots.shape[0]):
        if not nulls or valid[i]:
            acc[slots[i]] += values[i]
    return slots.shape[0]


@kernel(*_FOLDS)
def min_kernel(slots: Any, values: Any, valid: Any, acc: Any) -> None:
    """Minimum by slot."""
    nulls = valid.shape[0] > 0
    for i in range(slots.shape[0]):
        if not nulls or valid[i]:
            acc[slots[i]] = lesser(acc[slots[i]], values[i])


@kernel(*_FOLDS)
def max_kernel(slots: Any, values: Any, valid: Any, acc: Any) -> None:
    """Maximum by slot."""
    nulls = valid.shape[0] > 0
    for i in range(slots.shape[0]):
        if not nulls or valid[i]:
            acc[slots[i]] = greater(acc[slots[i]], values[i])


@kernel(types.void(I64S, I64S_OUT, I64S_OUT))
def occurrence_kernel(slots: Any, counts: Any, out: Any) -> None:
    """Number each row within its slot, going on from counts[slot], which it moves."""
    for i in range(slots.shape[0]):
        counts[slots[i]] += 1
        out[i] = counts[slots[i]]


_ADD = {
    np.dtype(np.int64): add_int64,
    np.dtype(np.uint64): add_uint64,
    np.dtype(np.float64): add_float64,
}


def count(slots: Int64s, acc: Int64s, valid: Bools = NONE_NULL) -> None:
    """acc[slot] += 1 for each row, or each valid one."""
    count_kernel(slots, valid, acc)


def add(slots: Int64s, values: Values, acc: Values, valid: Bools = NONE_NULL) -> None:
    """acc[slot] += value. SumOverflow when an integer sum wraps; rows before it have been added."""
    done = _ADD[acc.dtype](slots, values, valid, acc)
    if done < len(slots):
        raise SumOverflow(int(done), acc.dtype)


def minimum(slots: Int64s, values: Values, acc: Values, valid: Bools = NONE_NULL) -> None:
    """acc[slot] = the lesser of it and the value."""
    min_kernel(slots, values, valid, acc)


def maximum(slots: Int64s, values: Values, acc: Values, valid: Bools = NONE_NULL) -> None:
    """acc[slot] = the greater of it and the value."""
    max_kernel(slots, values, valid, acc)


def merge_counts(targets: Int64s, sources: Int64s, acc: Int64s) -> None:
    """acc[target] += acc[source], pair by pair. No target may be a source: sessions give them so."""
    add(targets, acc[sources], acc)


def merge_sums(targets: Int64s, sources: Int64s, acc: Values) -> None:
    """As merge_counts, for sums of any type."""
    add(targets, acc[sources], acc)


def merge_minima(targets: Int64s, sources: Int64s, acc: Values) -> None:
    """acc[target] = the lesser of it and acc[source]. No target may be a source."""
    minimum(targets, acc[sources], acc)


def merge_maxima(targets: Int64s, sources: Int64s, acc: Values) -> None:
    """acc[target] = the greater of it and acc[source]. No target may be a source."""
    maximum(targets, acc[sources], acc)


def occurrence(slots: Int64s, counts: Int64s) -> Int64s:
    """int64[n]: which row of its slot each row is, going on from counts[slot] (1 for the first when that is 0).

    `counts` is moved to the new totals. A count trigger of n fires where this is a multiple of n."""
    out: Int64s = np.empty(len(slots), np.int64)
    occurrence_kernel(slots, counts, out)
    return out
