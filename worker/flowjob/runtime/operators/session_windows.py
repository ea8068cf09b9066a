"""Session windows, vectorised: rows find their sessions, and sessions grow and merge, in kernels.

Firing order is (session end, arrival of the session's first row). A row too late on its own is
taken when it touches a live session. With allowed lateness a row may also fire its session at once:
keys with such rows are worked off one row per key at a time, so that each firing is as of its
row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from flowjob.core.elements import MIN_TIME
from flowjob.runtime.accumulators.base import Bools, occurrences
from flowjob.runtime.batch import Batch, Data, Int64s
from flowjob.runtime.checkpoint.sections import RestoredState, Section
from flowjob.runtime.operators.base import Emitted, OperatorContext
from flowjob.runtime.operators.session_table import Arriving, SessionTable
from flowjob.runtime.operators.window_base import WindowOperator, WindowParts, key_types
from flowjob.runtime.operators.window_contents import Contents
from flowjob.runtime.operators.window_results import Firing
from flowjob.runtime.operators.window_state import (
    ARRIVAL,
    CHANGED,
    END,
    SESSIONS,
    START,
    Reading,
    Writing,
    time_fields,
    times,
)

_NEVER = 2**63 - 1


class SessionWindows(WindowOperator):
    """A session is due when `end - 1 µs <= passed`, gone when also its lateness has passed."""

    def __init__(self, parts: WindowParts, gap: int) -> None:
        super().__init__(parts)
        self.gap = gap
        self.sections = (SESSIONS,)

    def open(self, context: OperatorContext) -> None:
        super().open(context)
        contents = self.parts.contents.fresh()
        self.table = SessionTable(key_types(self.parts.keys), self.gap, contents)
        self._next: int | None = None

    @property
    def horizon(self) -> int:
        """Sessions that end up to the microsecond after it are gone for good."""
        return max(MIN_TIME, self.passed - self.parts.lateness)

    # -- rows -------------------------------------------------------------------------------------

    def process(self, data: Data, port: int) -> Emitted:
        assert isinstance(data, Batch)
        if len(data) == 0:
            return
        self._next = None
        arrivals = self.arrivals(len(data))
        rows = Arriving(
            self.table.keys.slots(self.key_columns(data.columns), len(data)),
            self.times_of(data),
            arrivals,
            self.parts.contents.read(data.columns, arrivals),
        )
        careful = self._careful(rows)
        if careful is None:
            late = self.table.join(rows, self.horizon) < 0
        else:
            late = np.zeros(len(data), np.bool_)
            swift = np.flatnonzero(~careful)
            if len(swift):
                self.table.join(rows.take(swift), self.horizon)
            yield from self._one_by_one(rows, np.flatnonzero(careful), late)
        self.expect_early()
        if late.any():
            yield from self.late(data, late)
            self.table.note_idle(rows.keys[late])

    def _careful(self, rows: Arriving) -> Bools | None:
        """Rows of keys that a late but allowed row may fire now; None when there is no such key."""
        if not self.parts.lateness:
            return None
        over = rows.times + (self.gap - 1) <= self.passed
        if not over.any():
            return None
        keys = np.zeros(self.table.keys.limit, np.bool_)
        keys[rows.keys[over]] = True
        return keys[rows.keys]

    def _one_by_one(self, rows: Arriving, which: Int64s, late: Bools) -> Emitted:
        """In turns in which no key comes twice: each firing is as of its row. Marks late rows."""
        rank = occurrences(rows.keys[which])
        fired = _Fired(self.parts.contents.fresh())
        for turn in range(int(rank.max()) + 1):
            now = which[rank == turn]
            sessions = self.table.join(rows.take(now), self.horizon)
            late[now[sessions < 0]] = True
            now, sessions = now[sessions >= 0], sessions[sessions >= 0]
            over = self.table.store.ends(sessions) - 1 <= self.passed
            fired.add(now[over], sessions[over], self.table)
            self.table.changed[sessions[over]] = False
        if fired.count:
            yield from self.emit(fired.firing())

    # -- time -------------------------------------------------------------------------------------

    def next_end(self) -> int | None:
        if self._next is None:
            self._next = self.table.next_end()
        return None if self._next == _NEVER else self._next

    def fire_early(self, at: int) -> Emitted:
        table = self.table
        changed = np.flatnonzero(table.changed[: table.store.id_limit])
        changed = changed[np.lexsort((table.arrival[changed], table.store.ends(changed)))]
        yield from self._fire_all(changed)

    def advance(self, passed: int) -> Emitted:
        table = self.table
        due = table.store.due(passed)
        ends = table.store.ends(due)
        new = ends - 1 > self.passed
        due, ends = due[new], ends[new]
        due = due[np.lexsort((table.arrival[due], ends))]
        yield from self._fire_all(due)
        self.passed = passed
        gone = table.store.due(self.horizon) if self.parts.lateness else due
        table.drop(gone)
        self._next = None

    # -- snapshots --------------------------------------------------------------------------------

    @property
    def state_bytes(self) -> int:
        return self.table.nbytes

    def take_snapshot(self) -> Iterator[Section]:
        writing, table = self._writing(), self.table
        sessions = table.store.open()
        own = [times(table.store.starts(sessions)), times(table.store.ends(sessions))]
        own += [pa.array(table.arrival[sessions]), pa.array(table.changed[sessions])]
        hashes = table.keys.hashes(table.store.slots(sessions))
        writing.add(table.take_keys(sessions), own, table.contents, sessions, hashes)
        yield writing.section(self.meta)

    def adopt(self, state: RestoredState, meta: Mapping[str, Any]) -> None:
        self.adopt_meta(meta)
        self.passed = meta.get("passed", self.passed)
        reading = Reading(state.parts(SESSIONS), self._writing().schema)
        arrivals = reading.arrivals()
        self.arrived(arrivals)
        sessions = self.table.adopt(
            reading.keys(), reading.ints(START), reading.ints(END), arrivals
        )
        self.table.changed[sessions] = reading.flags(CHANGED)
        reading.load(self.table.contents, sessions)

    def _writing(self) -> Writing:
        own = [*time_fields(START, END), pa.field(ARRIVAL, pa.int64())]
        own.append(pa.field(CHANGED, pa.bool_()))
        return Writing(SESSIONS, self.parts.keys, own, self.parts.contents)

    # -- results ----------------------------------------------------------------------------------

    def _fire_all(self, sessions: Int64s) -> Emitted:
        self.table.changed[sessions] = False
        rows = self.context.batch_rows
        for start in range(0, len(sessions), rows):
            yield from self._fire(sessions[start : start + rows])

    def _fire(self, sessions: Int64s) -> Emitted:
        starts, ends = self.table.store.starts(sessions), self.table.store.ends(sessions)
        keys = self.table.take_keys(sessions)
        yield from self.emit(Firing(keys, starts, ends, ends - 1, self.table.contents, sessions))


class _Fired:
    """Sessions as they were when a late row fired them: copies, since later rows may change them
    again."""

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self.count = 0
        self._rows: list[Int64s] = []
        self._starts: list[Int64s] = []
        self._ends: list[Int64s] = []
        self._keys: list[list[pa.Array]] = []

    def add(self, rows: Int64s, sessions: Int64s, table: SessionTable) -> None:
        if len(rows) == 0:
            return
        slots = np.arange(self.count, self.count + len(rows))
        self.count += len(rows)
        self.contents.grow(self.count)
        self.contents.merge(slots, table.contents, sessions, None)
        self._rows.append(rows)
        self._starts.append(table.store.starts(sessions))
        self._ends.append(table.store.ends(sessions))
        self._keys.append(table.take_keys(sessions))

    def firing(self) -> Firing:
        """All of them, in the order of the rows that fired them."""
        order = np.argsort(np.concatenate(self._rows))
        starts, ends = np.concatenate(self._starts)[order], np.concatenate(self._ends)[order]
        at = pa.array(order)
        keys = [pa.concat_arrays(parts).take(at) for parts in zip(*self._keys)]
        return Firing(keys, starts, ends, ends - 1, self.contents, order)
