"""Scatter operations of the accumulators: column[slots[i]] combined with values[i], in row order.

The one place that names the kernels, so that accumulators read as what they compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flowjob.kernels import accumulate, running
from flowjob.kernels.accumulate import SumOverflow
from flowjob.kernels.group_index import GroupIndex
from flowjob.kernels.keys import encode_keys
from flowjob.runtime.accumulators.base import Bools
from flowjob.runtime.batch import Int64s

Float64s = npt.NDArray[np.float64]


def count(counts: Int64s, slots: Int64s) -> None:
    """One more for each row's slot."""
    accumulate.count(slots, counts)


def add_ints(sums: Int64s, slots: Int64s, values: Int64s) -> bool:
    """Adds; False when a sum would leave int64."""
    try:
        accumulate.add(slots, values, sums)
    except SumOverflow:
        return False
    return True


def add_floats(sums: Float64s, slots: Int64s, values: Float64s) -> None:
    accumulate.add(slots, values, sums)


def lower(best: Int64s, seen: Bools, slots: Int64s, keys: Int64s) -> None:
    """The smaller of what is there and the row's key."""
    accumulate.minimum(slots, keys, best)
    seen[slots] = True


def raise_(best: Int64s, seen: Bools, slots: Int64s, keys: Int64s) -> None:
    """The greater of what is there and the row's key."""
    accumulate.maximum(slots, keys, best)
    seen[slots] = True


def running_count(counts: Int64s, slots: Int64s, valid: Bools) -> Int64s:
    """As `count` of valid rows (all, if `valid` is empty), and the count after each row."""
    return running.running_count(slots, counts, valid)


def running_sum(
    sums: npt.NDArray[Any], slots: Int64s, values: npt.NDArray[Any], valid: Bools
) -> npt.NDArray[Any] | None:
    """Adds, and the sum after each row; None when a sum would leave int64."""
    try:
        after: npt.NDArray[Any] = running.running_add(slots, values, sums, valid)
    except SumOverflow:
        return None
    return after


def running_lower(best: Int64s, slots: Int64s, keys: Int64s, valid: Bools) -> Int64s:
    after: Int64s = running.running_minimum(slots, keys, best, valid)
    return after


def running_raise(best: Int64s, slots: Int64s, keys: Int64s, valid: Bools) -> Int64s:
    after: Int64s = running.running_maximum(slots, keys, best, valid)
    return after


def running_best(slots: Int64s, keys: Int64s, best: Int64s, rows: Int64s, valid: Bools) -> Int64s:
    """The row with the least key of the row's slot so far; see kernels.running."""
    return running.running_best(slots, keys, best, rows, valid)


def renumbered(slots: Int64s) -> tuple[Int64s, Int64s]:
    """(numbers, touched): each row's slot is touched[number]; numbers are dense, so that what is
    kept by them is as long as the batch and not as the state."""
    found = GroupIndex().upsert(encode_keys([pa.array(slots)]))
    return found.slots, slots[found.new_rows]


def latest(times: Int64s, slots: Int64s, values: Int64s) -> None:
    """The greatest value of each slot."""
    accumulate.maximum(slots, values, times)


def earliest(times: Int64s, slots: Int64s, values: Int64s) -> None:
    """The least value of each slot."""
    accumulate.minimum(slots, values, times)


def first_rows(slots: Int64s) -> Int64s:
    """Positions of the first row of each slot, ascending."""
    _, positions = np.unique(slots, return_index=True)
    return np.sort(positions)


def last_rows(slots: Int64s) -> Int64s:
    """Positions of the last row of each slot, ascending."""
    return np.sort(len(slots) - 1 - first_rows(slots[::-1]))


def best_rows(slots: Int64s, keys: Int64s) -> Int64s:
    """Positions of the row with the smallest key of each slot (the first of equals), ascending."""
    order = np.lexsort((keys, slots))
    ordered = slots[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return np.sort(order[starts]) if len(slots) else order
