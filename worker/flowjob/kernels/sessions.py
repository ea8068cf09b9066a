"""SessionStore: which session each row of a keyed stream is in, over all open sessions of all keys.

Rows need no sorting: nearly all touch the latest session of their key, which is at the head of its list. Accumulators
are the caller's, in columns by session id. A session is [start, end) with end = last row + gap, and two that touch
are one, so a row exactly `gap` after the last still belongs to it (as in Flink)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from flowjob.kernels import session_kernels
from flowjob.kernels.columns import Int64s
from flowjob.kernels.session_kernels import (
    CREATED,
    EARLIEST_END,
    END,
    FREE,
    KEY,
    NEXT_ID,
    OPEN,
    START,
)

_NEVER = int(np.iinfo(np.int64).max)
_NO_HORIZON = int(np.iinfo(np.int64).min)


class Assignment(NamedTuple):
    """sessions      int64[n]: the session of each row after the whole batch; -1 for rows too late
    new_sessions  int64[k]: ids opened by this batch; reset their accumulators first, ids come again
    targets       int64[m], sources int64[m]: then merge accumulators of session sources[i] into targets[i]; no
                  target is a source. Sources no longer exist; then fold the batch's rows"""

    sessions: Int64s
    new_sessions: Int64s
    targets: Int64s
    sources: Int64s


class SessionStore:
    """Open sessions, each with an id: a small number, given again after the session has closed or merged.

    Keys are slots of a GroupIndex. Not thread-safe."""

    def __init__(self, gap: int) -> None:
        if gap <= 0:
            raise ValueError(f"a session gap of {gap} µs: it must be positive")
        self.gap = gap
        self._capacity = 0
        self._sessions: Int64s = np.empty(0, np.int64)
        self._free: Int64s = np.empty(0, np.int64)
        self._heads: Int64s = np.empty(0, np.int64)
        self._state: Int64s = np.zeros(session_kernels.STATE_SIZE, np.int64)
        self._state[EARLIEST_END] = _NEVER

    def __len__(self) -> int:
        """Open sessions."""
        return int(self._state[OPEN])

    @property
    def id_limit(self) -> int:
        """One more than the largest id handed out so far: the length of accumulator columns."""
        return int(self._state[NEXT_ID])

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._sessions.nbytes + self._free.nbytes + self._heads.nbytes

    def assign(
        self, slots: Int64s, timestamps: Int64s, slot_limit: int, horizon: int = _NO_HORIZON
    ) -> Assignment:
        """Put each row (key slot below `slot_limit`, µs) into its session, in row order.

        A row that would open a session with end - 1 <= `horizon` is too late and changes nothing; the horizon is the
        watermark before the batch, less the allowed lateness."""
        n = len(slots)
        self._make_room(n, slot_limit)
        of_row: Int64s = np.empty(n, np.int64)
        created: Int64s = np.empty(n, np.int64)
        absorbed: Int64s = np.empty(n + len(self), np.int64)
        self._state[CREATED] = 0
        session_kernels.assign_rows(
            self._sessions, self._capacity, self._state, self._free, self._heads,
            slots, timestamps, self.gap, horizon, of_row, created, absorbed,
        )  # fmt: skip
        gone = int(self._state[session_kernels.ABSORBED])
        targets: Int64s = np.empty(gone, np.int64)
        sources: Int64s = np.empty(gone, np.int64)
        merges = session_kernels.settle(
            self._sessions, self._capacity, self._state, self._free,
            of_row, created, absorbed, targets, sources,
        )  # fmt: skip
        opened = created[: self._state[CREATED]].copy()
        return Assignment(of_row, opened, targets[:merges], sources[:merges])

    def due(self, horizon: int) -> Int64s:
        """Ids of sessions with end - 1 <= `horizon`, ordered by end, then key slot. O(open sessions) when any is."""
        if int(self._state[EARLIEST_END]) - 1 > horizon:
            return np.empty(0, np.int64)
        found: Int64s = np.empty(self.id_limit, np.int64)
        count = session_kernels.due_sessions(
            self._sessions, self._capacity, self._state, horizon, found
        )
        found = found[:count]
        return found[np.lexsort((self.slots(found), self.ends(found)))]

    def remove(self, sessions: Int64s) -> Int64s:
        """Close these sessions; the slots of keys left without any, to release in the group index.

        Their bounds and accumulators stay readable by id until the next `assign` or `insert`."""
        idle: Int64s = np.empty(len(sessions), np.int64)
        count = session_kernels.remove_sessions(
            self._sessions, self._capacity, self._state, self._free, self._heads, sessions, idle
        )
        return idle[:count]

    def insert(self, slots: Int64s, starts: Int64s, ends: Int64s, slot_limit: int) -> Int64s:
        """Open sessions as a snapshot held them; their ids. They must not touch others of the same key."""
        self._make_room(len(slots), slot_limit)
        ids: Int64s = np.empty(len(slots), np.int64)
        session_kernels.insert_sessions(
            self._sessions, self._capacity, self._state, self._free, self._heads,
            slots, starts, ends, ids,
        )  # fmt: skip
        return ids

    def open(self) -> Int64s:
        """Ids of all open sessions, ascending."""
        return np.flatnonzero(self._column(KEY)[: self.id_limit] >= 0)

    def starts(self, sessions: Int64s) -> Int64s:
        """int64[k]: the first row's time of each session, µs."""
        return self._column(START)[sessions]

    def ends(self, sessions: Int64s) -> Int64s:
        """int64[k]: the last row's time of each session plus the gap, µs."""
        return self._column(END)[sessions]

    def slots(self, sessions: Int64s) -> Int64s:
        """int64[k]: the key slot of each open session."""
        return self._column(KEY)[sessions]

    def _column(self, column: int) -> Int64s:
        return self._sessions[column * self._capacity : (column + 1) * self._capacity]

    def _make_room(self, rows: int, slot_limit: int) -> None:
        """Capacity for a new session per row, and a list head per slot."""
        if slot_limit > len(self._heads):
            heads: Int64s = np.full(max(64, slot_limit, 2 * len(self._heads)), -1, np.int64)
            heads[: len(self._heads)] = self._heads
            self._heads = heads
        needed = self.id_limit + max(0, rows - int(self._state[FREE]))
        if needed <= self._capacity:
            return
        capacity = max(64, needed, 2 * self._capacity)
        columns: Int64s = np.full((session_kernels.COLUMNS, capacity), -1, np.int64)
        old = self._sessions.reshape(session_kernels.COLUMNS, self._capacity)
        columns[:, : self._capacity] = old
        free: Int64s = np.empty(capacity, np.int64)
        free[: len(self._free)] = self._free
        self._sessions, self._free, self._capacity = columns.reshape(-1), free, capacity
