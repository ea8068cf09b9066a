"""Many values per slot: a log whose rows each belong to a slot, in order of arrival.

Serves collect, count_distinct and window functions. Looking up slots is a pass over the owners
(about a nanosecond a row), done once per batch or watermark for all slots in question; rows of
reset slots go at the next compaction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from flowjob.kernels.partitioning import partition_by
from flowjob.runtime.accumulators.base import grown
from flowjob.runtime.accumulators.value_log import ValueLog
from flowjob.runtime.batch import Int64s

_NOBODY = -1


class OwnedLog:
    """Rows of one or more columns, each owned by a slot."""

    def __init__(self, types: Sequence[pa.DataType]) -> None:
        self.logs = [ValueLog(type) for type in types]
        self._owners: Int64s = np.empty(0, np.int64)
        self._arrivals: Int64s = np.empty(0, np.int64)
        self._used = 0
        self._live = 0

    @property
    def nbytes(self) -> int:
        arrays = self._owners.nbytes + self._arrivals.nbytes
        return arrays + sum(log.nbytes for log in self.logs)

    def append(self, slots: Int64s, columns: Sequence[pa.Array], arrivals: Int64s) -> None:
        """Row i belongs to `slots[i]`."""
        n = len(slots)
        if n == 0:
            return
        if self.logs and self._used > 2 * self._live + 1024:
            self._compact()
        self._owners = grown(self._owners, self._used + n, _NOBODY)
        self._arrivals = grown(self._arrivals, self._used + n, 0)
        self._owners[self._used : self._used + n] = slots
        self._arrivals[self._used : self._used + n] = arrivals
        for log, column in zip(self.logs, columns):
            log.append(column)
        self._used += n
        self._live += n

    def find(self, slots: Int64s) -> tuple[Int64s, Int64s]:
        """(rows, counts): the row numbers of slots[0], then of slots[1] …, each in order of
        arrival."""
        owners = self._owners[: self._used]
        place = np.full(self._reach(slots), _NOBODY, np.int64)
        place[slots] = np.arange(len(slots))
        places = place[owners]  # the last element stands for rows of nobody, and is never a slot
        rows = np.flatnonzero(places >= 0)
        places, arrivals = places[rows], self._arrivals[rows]
        if (arrivals[1:] >= arrivals[:-1]).all():  # unless slots were merged: no need to compare
            found = partition_by(places.astype(np.int32), len(slots))
            return rows[found.order], np.diff(found.offsets)
        counts = np.bincount(places, minlength=len(slots)).astype(np.int64)
        return rows[np.lexsort((arrivals, places))], counts

    def arrivals(self, rows: Int64s) -> Int64s:
        return self._arrivals[rows]

    def reassign(self, targets: Int64s, sources: Int64s) -> None:
        """Rows of `sources[i]` belong to `targets[i]` from now on."""
        owners = self._owners[: self._used]
        renamed = np.arange(self._reach(np.concatenate((targets, sources))), dtype=np.int64)
        renamed[-1] = _NOBODY
        renamed[sources] = targets
        self._owners[: self._used] = renamed[owners]

    def drop(self, slots: Int64s) -> None:
        """Rows of `slots` belong to nobody."""
        owners = self._owners[: self._used]
        gone = np.zeros(self._reach(slots), np.bool_)
        gone[slots] = True
        rows = gone[owners]
        self._live -= int(np.count_nonzero(rows))
        owners[rows] = _NOBODY

    def _reach(self, slots: Int64s) -> int:
        """Length of a table by slot, with one more place at the end for nobody (index -1)."""
        most = max(int(slots.max(initial=0)), int(self._owners[: self._used].max(initial=0)))
        return most + 2

    def _compact(self) -> None:
        held = np.flatnonzero(self._owners[: self._used] >= 0)
        self._owners = self._owners[held]
        self._arrivals = self._arrivals[held]
        for log in self.logs:
            log.compact(held)
        self._used = self._live = len(held)
