"""The state of tumbling and sliding windows: tables of (key, pane), each for a run of panes.

Under load a table holds one pane and its index only the keys: small, fast, and dropped whole. Where
rows are sparse in time one table spans many panes, so that its cost is per batch and not per pane.
It must not know when windows fire."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from flowjob.kernels.group_index import GroupIndex
from flowjob.kernels.keys import EncodedKeys, encode_keys
from flowjob.runtime.accumulators.base import grown
from flowjob.runtime.accumulators.value_log import ValueLog
from flowjob.runtime.batch import Int64s
from flowjob.runtime.checkpoint.sections import UInt64s
from flowjob.runtime.operators.window_contents import Contents, take_columns

_ROWS_PER_TABLE = 1024
_MOST_PANES = 4096
_NONE = np.empty(0, np.int64)


class PaneTable:
    """Slots 0 … n-1, one per (key, pane) in order of first arrival; slots are never reused.

    keys      the key columns, row number = slot
    arrivals  int64 per slot: the arrival number of its first row
    changed   bool per slot: rows have come since it last fired (kept for early firing only)

    `expected` slots fit without growing.
    """

    def __init__(
        self,
        first: int,
        span: int,
        key_types: Sequence[pa.DataType],
        contents: Contents,
        expected: int = 0,
    ):
        self.first = first
        self.span = span
        self.contents = contents
        self.keys = [ValueLog(type) for type in key_types]
        self.arrivals = _NONE
        self.changed = np.empty(0, np.bool_)
        self._panes = _NONE
        self._index = GroupIndex(expected)

    def __len__(self) -> int:
        return len(self._index)

    @property
    def used_bytes(self) -> int:
        """Without the room to grow, which is large as a table begins and which no snapshot reads."""
        held = sum(log.nbytes for log in self.keys) + self.arrivals.nbytes + self._panes.nbytes
        held += int(self._index.nbytes) + self.contents.nbytes
        return held * len(self) // max(1, len(self.arrivals))

    def slots(self, keys: Sequence[pa.Array], panes: Int64s, arrivals: Int64s) -> Int64s:
        """The slot of every row, made where it is the first."""
        found = self._index.upsert(self._encode(keys, panes))
        if len(found.new_rows):
            self._add(keys, panes, arrivals, found.new_rows)
        slots: Int64s = found.slots
        return slots

    def find(self, keys: Sequence[pa.Array], panes: Int64s) -> Int64s:
        """The slot of every (key, pane), -1 where there is none."""
        slots: Int64s = self._index.find(self._encode(keys, panes))
        return slots

    def panes(self) -> Int64s:
        """The pane of each slot."""
        if self.span == 1:
            return np.full(len(self), self.first, np.int64)
        return self._panes[: len(self)]

    def panes_of(self, slots: Int64s) -> Int64s:
        """The panes of these slots."""
        if self.span == 1:
            return np.full(len(slots), self.first, np.int64)
        return self._panes[slots]

    def count_by_pane(self) -> tuple[Int64s, Int64s]:
        """The panes with anything in them, ascending, and how many slots each has."""
        if self.span == 1:
            return np.array([self.first]), np.array([len(self)])
        panes, counts = np.unique(self.panes(), return_counts=True)
        return panes, counts.astype(np.int64)

    def take_keys(self, slots: Int64s) -> list[pa.Array]:
        return [log.take(slots) for log in self.keys]

    def hashes(self, slots: Int64s) -> UInt64s:
        """hash64 of the keys of `slots`."""
        if self.span == 1:
            return self._index.hashes(slots)
        return encode_keys(self.take_keys(slots), len(slots)).hashes

    def _encode(self, keys: Sequence[pa.Array], panes: Int64s) -> EncodedKeys:
        columns = keys if self.span == 1 else [pa.array(panes), *keys]
        return encode_keys(columns, len(panes))

    def _add(self, keys: Sequence[pa.Array], panes: Int64s, arrivals: Int64s, rows: Int64s) -> None:
        count = len(self)
        before = count - len(rows)
        self.contents.grow(count)
        self.arrivals = grown(self.arrivals, count, 0)
        self.arrivals[before:count] = arrivals[rows]
        self.changed = grown(self.changed, count, False)
        if self.span > 1:
            self._panes = grown(self._panes, count, 0)
            self._panes[before:count] = panes[rows]
        at = pa.array(rows)
        for log, column in zip(self.keys, keys):
            log.append(column.take(at), owned=True)


class PaneTables:
    """All tables of an operator, by ascending panes; their spans do not overlap."""

    def __init__(self, key_types: Sequence[pa.DataType], contents: Contents) -> None:
        self._key_types = key_types
        self._contents = contents
        self._firsts: list[int] = []
        self._tables: list[PaneTable] = []
        self._last_size = 0

    def __iter__(self) -> Iterator[PaneTable]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def between(self, first: int, stop: int) -> list[PaneTable]:
        """Tables with any of the panes first … stop - 1."""
        start = max(bisect_right(self._firsts, first) - 1, 0)
        found = []
        for table in self._tables[start:]:
            if table.first >= stop:
                break
            if table.first + table.span > first:
                found.append(table)
        return found

    def split(self, panes: Int64s) -> Iterator[tuple[PaneTable, Int64s | None]]:
        """Each table concerned with its rows, in order; None stands for all rows."""
        low, high = int(panes.min()), int(panes.max())
        table = self._table(low, self._sparse_span(len(panes), high - low + 1))
        if high < table.first + table.span:
            yield table, None
            return
        rest = np.arange(len(panes))
        while len(rest):
            inside = panes[rest] < table.first + table.span
            yield table, rest[inside]
            rest = rest[~inside]
            if len(rest):
                left = panes[rest]
                low, high = int(left.min()), int(left.max())
                table = self._table(low, self._sparse_span(len(rest), high - low + 1))

    def live(self, first: int) -> Iterator[tuple[PaneTable, Int64s]]:
        """Each table with its slots of panes `first` and later."""
        for table in self._tables:
            if table.first >= first:
                yield table, np.arange(len(table))
            elif table.first + table.span > first:
                yield table, np.flatnonzero(table.panes() >= first)

    def adopt(
        self, keys: Sequence[pa.Array], panes: Int64s, arrivals: Int64s
    ) -> Iterator[tuple[PaneTable, Int64s, Int64s | None]]:
        """Slots for rows of a snapshot, one per (key, pane): each table with its slots and the rows
        these are of; None stands for all rows.

        Slots are in order of arrival, so that windows fire in the order they would have fired in."""
        if len(panes) == 0:
            return
        order = np.argsort(arrivals, kind="stable")
        self._last_size = int(np.count_nonzero(panes == panes.min()))
        for table, at in self.split(panes[order]):
            rows = order if at is None else order[at]
            slots = table.slots(take_columns(keys, rows), panes[rows], arrivals[rows])
            if at is None:
                by_row = np.empty(len(rows), np.int64)
                by_row[rows] = slots
                yield table, by_row, None
            else:
                yield table, slots, rows

    def drop_before(self, pane: int) -> None:
        """Forgets tables all of whose panes lie before `pane`."""
        dead = 0
        while (
            dead < len(self._tables) and self._tables[dead].first + self._tables[dead].span <= pane
        ):
            dead += 1
        if dead:
            self._last_size = len(self._tables[dead - 1])
            del self._tables[:dead], self._firsts[:dead]

    def _sparse_span(self, rows: int, panes: int) -> int:
        """How many panes a new table should span so as to get about `_ROWS_PER_TABLE` rows."""
        span = 1
        while span < _MOST_PANES and span * rows < _ROWS_PER_TABLE * panes and panes > 1:
            span *= 2
        return span

    def _table(self, pane: int, span: int) -> PaneTable:
        """The table of `pane`; a new one spans up to `span` panes, without touching its
        neighbours."""
        after = bisect_right(self._firsts, pane)
        if after:
            before = self._tables[after - 1]
            if pane < before.first + before.span:
                return before
        low = before.first + before.span if after else None
        high = self._firsts[after] if after < len(self._firsts) else None
        first = pane - pane % span
        while (low is not None and first < low) or (high is not None and first + span > high):
            span //= 2
            first = pane - pane % span
        # One pane's keys are about as many as the last one's.
        size = len(self._tables[after - 1]) if after else self._last_size
        expected = size if span == 1 else 0
        table = PaneTable(first, span, self._key_types, self._contents.fresh(), expected)
        self._firsts.insert(after, first)
        self._tables.insert(after, table)
        return table
