"""Which pane each row is in, and a batch split by pane.

A pane is the stretch of time [start, start + size) that tumbling windows are and sliding windows are made of. Batches
hold few panes, so both kernels remember the last one. Sessions are in `sessions.py`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.core import types

from flowjob.kernels.columns import Int64s
from flowjob.kernels.compile import I64S, I64S_OUT, helper, kernel

_FEW = 64  # panes found by looking through a list; more are sorted


class PaneSplit(NamedTuple):
    """panes    int64[k]: the distinct pane starts, ascending
    order    int64[n]: row numbers by pane, in their old order within one; None when there is one pane or none
    offsets  int64[k + 1]: pane p has order[offsets[p]:offsets[p + 1]]"""

    panes: Int64s
    order: Int64s | None
    offsets: Int64s


@kernel(types.void(I64S, types.int64, types.int64, I64S_OUT))
def pane_starts_kernel(timestamps: Any, size: Any, offset: Any, out: Any) -> None:
    """The start of each timestamp's pane, rounding towards minus infinity."""
    start = np.int64(0)
    known = False
    for i in range(timestamps.shape[0]):
        at = timestamps[i]
        # As unsigned, one comparison tells whether `at` is in [start, start + size).
        if not known or np.uint64(at - start) >= np.uint64(size):
            rest = (at - offset) % size
            if rest < 0:
                rest += size
            start = at - rest
            known = True
        out[i] = start


def pane_starts(timestamps: Int64s, size: int, offset: int = 0) -> Int64s:
    """int64[n]: the greatest `offset` + k·`size` not above each timestamp; also for negative ones. All in µs."""
    if size <= 0:
        raise ValueError(f"a pane of {size} µs: it must be positive")
    out: Int64s = np.empty(len(timestamps), np.int64)
    pane_starts_kernel(timestamps, size, offset % size, out)
    return out


@helper
def position(panes: Any, count: Any, pane: Any, guess: Any) -> Any:
    """Where `pane` is in panes[:count], -1 if nowhere."""
    if guess < count and panes[guess] == pane:
        return guess
    for at in range(count):
        if panes[at] == pane:
            return np.int64(at)
    return np.int64(-1)


@kernel(types.int64(I64S, I64S_OUT, I64S_OUT))
def distinct_panes(panes: Any, found: Any, of_row: Any) -> Any:
    """Distinct panes into `found` by first appearance, each row's number into `of_row`; their count, or -1 when they
    are more than `found` holds."""
    count = np.int64(0)
    last = np.int64(0)
    for i in range(panes.shape[0]):
        at = position(found, count, panes[i], last)
        if at < 0:
            if count == found.shape[0]:
                return np.int64(-1)
            found[count] = panes[i]
            at = count
            count += 1
        of_row[i] = at
        last = at
    return count


@kernel(types.void(I64S, I64S, I64S_OUT, I64S_OUT))
def order_by(of_row: Any, rank: Any, offsets: Any, order: Any) -> None:
    """Stable counting sort of rows by rank[of_row]; `offsets` comes zeroed."""
    n = of_row.shape[0]
    for i in range(n):
        offsets[rank[of_row[i]] + 1] += 1
    for at in range(offsets.shape[0] - 1):
        offsets[at + 1] += offsets[at]
    for i in range(n):
        at = rank[of_row[i]]
        order[offsets[at]] = i
        offsets[at] += 1
    for at in range(offsets.shape[0] - 1, 0, -1):
        offsets[at] = offsets[at - 1]
    offsets[0] = 0


def split_by_pane(panes: Int64s) -> PaneSplit:
    """The rows of each distinct pane. Cheapest when all rows are in one: one pass, and no order to apply."""
    n = len(panes)
    found: Int64s = np.empty(_FEW, np.int64)
    of_row: Int64s = np.empty(n, np.int64)
    count = distinct_panes(panes, found, of_row)
    if 0 <= count <= 1:
        offsets = np.array([0, n] if count else [0], np.int64)
        return PaneSplit(found[:count].copy(), None, offsets)
    if count < 0:
        found, of_row = np.unique(panes, return_inverse=True)
        count = len(found)
    by_start = np.argsort(found[:count])
    rank: Int64s = np.empty(count, np.int64)
    rank[by_start] = np.arange(count)
    offsets = np.zeros(count + 1, np.int64)
    order: Int64s = np.empty(n, np.int64)
    order_by(of_row, rank, offsets, order)
    return PaneSplit(found[by_start], order, offsets)
