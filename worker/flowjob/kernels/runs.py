"""Runs of n rows of a slot, each with a place of its own: what windows of n rows, and triggers that purge, are made of.

One pass over the rows, however many runs a slot ends within a batch. It must not know what lies in the places."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types

from flowjob.kernels.columns import Int64s
from flowjob.kernels.compile import I64S, I64S_OUT, kernel

_FREE, _GIVEN = 0, 1


@kernel(types.int64(I64S, types.int64, I64S_OUT, I64S_OUT, I64S, I64S_OUT, I64S_OUT, I64S_OUT))
def join_runs(
    slots: Any, n: Any, counts: Any, held: Any, free: Any, state: Any, places: Any, ends: Any
) -> Any:
    """The place of each row's run, and the rows that end runs; how many these are."""
    ended = np.int64(0)
    for i in range(slots.shape[0]):
        slot = slots[i]
        if counts[slot] == 0:
            if state[_FREE] > 0:
                state[_FREE] -= 1
                held[slot] = free[state[_FREE]]
            else:
                held[slot] = state[_GIVEN]
                state[_GIVEN] += 1
        places[i] = held[slot]
        counts[slot] += 1
        if counts[slot] >= n:  # more than n: restored with a smaller n
            counts[slot] = 0
            ends[ended] = i
            ended += 1
    return ended


class Runs:
    """Per slot, how many rows its run has and where it is."""

    def __init__(self, n: int) -> None:
        self.n = n
        self._counts: Int64s = np.zeros(0, np.int64)
        self._held: Int64s = np.zeros(0, np.int64)
        self._free: Int64s = np.empty(0, np.int64)
        self._state: Int64s = np.zeros(2, np.int64)

    @property
    def limit(self) -> int:
        """One more than the largest place given out."""
        return int(self._state[_GIVEN])

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._counts.nbytes + self._held.nbytes + self._free.nbytes

    def rows(self, slots: Int64s) -> Int64s:
        """int64[k]: how many rows the run of each slot has; 0 where none is open."""
        return self._counts[slots]

    def places(self, slots: Int64s) -> Int64s:
        """int64[k]: where the open run of each slot is."""
        return self._held[slots]

    def insert(self, slots: Int64s, rows: Int64s, limit: int) -> None:
        """Runs of 1 … n - 1 rows are open in slots that had none: a restore."""
        self._counts = _longer(self._counts, limit)
        self._held = _longer(self._held, limit)
        self._counts[slots] = rows
        self._held[slots] = np.arange(self.limit, self.limit + len(slots))
        self._state[_GIVEN] += len(slots)

    def join(self, slots: Int64s, limit: int) -> tuple[Int64s, Int64s]:
        """(places int64[k], ends int64[m]): the place of each row's run, and the rows that end one.

        Slots are below `limit`. A place is given again only after `release`."""
        self._counts = _longer(self._counts, limit)
        self._held = _longer(self._held, limit)
        places: Int64s = np.empty(len(slots), np.int64)
        ends: Int64s = np.empty(len(slots), np.int64)
        ended = join_runs(
            slots, self.n, self._counts, self._held, self._free, self._state, places, ends
        )
        return places, ends[:ended]

    def release(self, places: Int64s) -> None:
        """The runs in these places have ended and are no longer needed."""
        free = int(self._state[_FREE])
        self._free = _longer(self._free, free + len(places))
        self._free[free : free + len(places)] = places
        self._state[_FREE] += len(places)


def _longer(array: Int64s, length: int) -> Int64s:
    if length <= len(array):
        return array
    longer = np.zeros(max(length, 2 * len(array)), np.int64)
    longer[: len(array)] = array
    return longer
