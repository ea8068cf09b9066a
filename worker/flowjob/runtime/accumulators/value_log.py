"""Values of any Arrow type that slots point to by row number: an append-only log, compacted now and
then.

Python values per slot would cost an object each; a slice of a batch would pin the batch. So rows
that matter are copied here, and rewritten once more than half of them are no longer pointed to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flowjob.runtime.accumulators.base import is_run
from flowjob.runtime.batch import Int64s

_COMPACT_ABOVE = 1024
_ROWS_PER_GATHERED = 32


class ValueLog:
    """Rows 0 … n-1 of one type. Chunks halve in size from the first, so there are O(log n) of
    them."""

    def __init__(self, type: pa.DataType) -> None:
        self.type = type
        self._chunks: list[pa.Array] = []
        self._starts: list[int] = [0]
        self._gathered = 0

    def __len__(self) -> int:
        return self._starts[-1]

    @property
    def nbytes(self) -> int:
        return sum(int(chunk.nbytes) for chunk in self._chunks)

    def append(self, values: pa.Array, *, owned: bool = False) -> int:
        """Copies `values` in, unless they are `owned`: share no buffer with anything that is
        shorter-lived.

        Returns the row number of the first."""
        first = len(self)
        if len(values) == 0:
            return first
        # concat_arrays of one array, or of whole-buffer slices, would share buffers: a taken copy
        # does not.
        chunk = values if owned else values.take(pa.array(np.arange(len(values))))
        while self._chunks and len(self._chunks[-1]) <= len(chunk):
            chunk = pa.concat_arrays([self._chunks.pop(), chunk])
            self._starts.pop()
        self._chunks.append(chunk)
        self._starts.append(self._starts[-1] + len(chunk))
        self._gathered = 0
        return first

    def take(self, rows: npt.NDArray[np.integer]) -> pa.Array:
        """The values at `rows`; null where a row number is negative."""
        if not self._chunks:
            return pa.nulls(len(rows), self.type)
        mask = rows < 0
        if mask.any():
            return self._whole().take(pa.array(np.where(mask, 0, rows), mask=mask))
        if len(rows) and is_run(rows):
            return self._run(int(rows[0]), len(rows))
        if len(self._chunks) == 1:
            return self._chunks[0].take(pa.array(rows))
        return self._gather(rows)

    def worth_compacting(self, live: int) -> bool:
        """Whether rewriting for `live` rows still pointed to would halve the log."""
        return len(self) > _COMPACT_ABOVE and len(self) > 2 * live

    def compact(self, rows: Int64s) -> Int64s:
        """Keeps only `rows` (negative ones stand for nothing); returns their new numbers."""
        held = rows >= 0
        kept = self.take(rows[held])
        self._chunks, self._starts = [kept], [0, len(kept)]
        renumbered = np.full(len(rows), -1, np.int64)
        renumbered[held] = np.arange(len(kept))
        return renumbered

    def _whole(self) -> pa.Array:
        if len(self._chunks) > 1:
            self._chunks = [pa.concat_arrays(self._chunks)]
            self._starts = [0, len(self._chunks[0])]
        return self._chunks[0]

    def _gather(self, rows: npt.NDArray[np.integer]) -> pa.Array:
        # Out of several chunks a row costs many times what it costs to put them together.
        self._gathered += len(rows)
        if self._gathered >= len(self) // _ROWS_PER_GATHERED:
            return self._whole().take(pa.array(rows))
        places = np.searchsorted(np.array(self._starts), rows, side="right") - 1
        order = np.argsort(places, kind="stable")
        parts = []
        for i, chunk in enumerate(self._chunks):
            wanted = rows[
                order[
                    np.searchsorted(places[order], i) : np.searchsorted(places[order], i, "right")
                ]
            ]
            if len(wanted):
                parts.append(chunk.take(pa.array(wanted - self._starts[i])))
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return pa.concat_arrays(parts).take(pa.array(back)) if parts else pa.array([], self.type)

    def _run(self, first: int, count: int) -> pa.Array:
        """Consecutive rows, which may share the log's buffers: those are never written to again."""
        parts = []
        for chunk, start in zip(self._chunks, self._starts):
            low, high = max(first - start, 0), min(first + count - start, len(chunk))
            if low < high:
                parts.append(chunk.slice(low, high - low))
        return parts[0] if len(parts) == 1 else pa.concat_arrays(parts)
