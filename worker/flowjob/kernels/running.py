"""Running aggregates: as `accumulate`, and after each row the accumulator's new value for that row.

A null value leaves its accumulator and repeats it. The same identities, NaN order and overflow rule hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types

from flowjob.kernels.accumulate import NONE_NULL, SumOverflow, Values, greater, lesser
from flowjob.kernels.columns import Bools, Int64s
from flowjob.kernels.compile import BOOLS, F64S, F64S_OUT, I64S, I64S_OUT, U64S, U64S_OUT, kernel

_LAYOUTS = ((I64S, I64S_OUT), (U64S, U64S_OUT), (F64S, F64S_OUT))
_FOLDS = [types.void(I64S, values, BOOLS, acc, acc) for values, acc in _LAYOUTS]


@kernel(types.void(I64S, BOOLS, I64S_OUT, I64S_OUT))
def running_count_kernel(slots: Any, valid: Any, acc: Any, out: Any) -> None:
    """The count by slot after each row."""
    nulls = valid.shape[0] > 0
    for i in range(slots.shape[0]):
        if not nulls or valid[i]:
            acc[slots[i]] += 1
        out[i] = acc[slots[i]]


@kernel(types.int64(I64S, I64S, BOOLS, I64S_OUT, I64S_OUT))
def running_add_int64(slots: Any, values: Any, valid: Any, acc: Any, out: Any) -> Any:
    """The sum after each row; the first row that overflows, which is not added, or n."""
    nulls = valid.shape[0] > 0
    for i in range(slots.shape[0]):
        total = acc[slots[i]]
        if not nulls or valid[i]:
            old = total
            total = old + values[i]
            if ((old ^ total) & (values[i] ^ total)) < 0:
                return i
            acc[slots[i]] = total
        out[i] = total
    return slots.shape[0]


@kernel(types.int64(I64S, U64S, BOOLS, U64S_OUT, U64S_OUT))
def running_add_uint64(slots: Any, values: Any, valid: Any, acc: Any, out: Any) -> Any:
    """The sum after each row; the first row that overflows, which is not added, or n."""
    nulls = valid.shape[0] > 0
    for i in range(slots.shape[0]):
        total = acc[slots[i]]
        if not nulls or valid[i]:
            total += values[i]
            if total < values[i]:
                return i
            acc[slots[i]] = total
        out[i] = total
    return slots.shape[0]


@kernel(types.int64(I64S, F64S, BOOLS, F64S_OUT, F64S_OUT))
def running_add_float64(slots: Any, values: Any, valid: Any, acc: Any, out: Any) -> Any:
    """The sum after each row; always n."""
    nulls = valid.shape[0] > 0
    for i in range(slots.shape[0]):
        if not nulls or valid[i]:
            acc[slots[i]] += values[i]
        out[i] = acc[slots[i]]
    return slots.shape[0]


@kernel(*_FOLDS)
def running_min_kernel(slots: Any, values: Any, valid: Any, acc: Any, out: Any) -> None:
    """The minimum by slot after each row."""
    nulls = valid.shape[0] > 0
    for i in range(slots.shape[0]):
        if not nulls or valid[i]:
            acc[slots[i]] = lesser(acc[slots[i]], values[i])
        out[i] = acc[slots[i]]


@kernel(*_FOLDS)
def running_max_kernel(slots: Any, values: Any, valid: Any, acc: Any, out: Any) -> None:
    """The maximum by slot after each row."""
    nulls = valid.shape[0] > 0
    for i in range(slots.shape[0]):
        if not nulls or valid[i]:
            acc[slots[i]] = greater(acc[slots[i]], values[i])
        out[i] = acc[slots[i]]


@kernel(types.void(I64S, I64S, BOOLS, I64S_OUT, I64S_OUT, I64S_OUT))
def running_best_kernel(slots: Any, keys: Any, valid: Any, best: Any, rows: Any, out: Any) -> None:
    """The row with the least key by slot, the first of equals, after each row."""
    nulls = valid.shape[0] > 0
    for i in range(slots.shape[0]):
        at = slots[i]
        if (not nulls or valid[i]) and (rows[at] < 0 or keys[i] < best[at]):
            best[at] = keys[i]
            rows[at] = i
        out[i] = rows[at]


_ADD = {
    np.dtype(np.int64): running_add_int64,
    np.dtype(np.uint64): running_add_uint64,
    np.dtype(np.float64): running_add_float64,
}


def running_count(slots: Int64s, acc: Int64s, valid: Bools = NONE_NULL) -> Int64s:
    """int64[n]: acc[slot] after each row has been counted."""
    out: Int64s = np.empty(len(slots), np.int64)
    running_count_kernel(slots, valid, acc, out)
    return out


def running_add(slots: Int64s, values: Values, acc: Values, valid: Bools = NONE_NULL) -> Any:
    """[n] of acc's type: acc[slot] after each row. SumOverflow when an integer sum wraps."""
    out = np.empty(len(slots), acc.dtype)
    done = _ADD[acc.dtype](slots, values, valid, acc, out)
    if done < len(slots):
        raise SumOverflow(int(done), acc.dtype)
    return out


def running_minimum(slots: Int64s, values: Values, acc: Values, valid: Bools = NONE_NULL) -> Any:
    """[n] of acc's type: the minimum after each row; the identity while no value was valid."""
    out = np.empty(len(slots), acc.dtype)
    running_min_kernel(slots, values, valid, acc, out)
    return out


def running_maximum(slots: Int64s, values: Values, acc: Values, valid: Bools = NONE_NULL) -> Any:
    """[n] of acc's type: the maximum after each row; the identity while no value was valid."""
    out = np.empty(len(slots), acc.dtype)
    running_max_kernel(slots, values, valid, acc, out)
    return out


def running_best(
    slots: Int64s, keys: Int64s, best: Int64s, rows: Int64s, valid: Bools = NONE_NULL
) -> Int64s:
    """int64[n]: rows[slot] after each row, where a row with a lesser key than best[slot] becomes it, itself as `rows`.

    A slot with a negative best row has none yet: the first valid row becomes it, whatever its key. For a row kept
    from before, the caller numbers it n or above. Serves first, last, min_by and max_by, by choice of keys."""
    out: Int64s = np.empty(len(slots), np.int64)
    running_best_kernel(slots, keys, valid, best, rows, out)
    return out
