"""Session windows with the default trigger, vectorised: a batch's rows and the live sessions of
their keys are merged by one sort.

Firing order is (session end, arrival of the session's first row). A row that came too late on its
own is taken nevertheless when it touches a live session; whether it does depends on the rows before
it, so keys with such rows are worked off one row per key at a time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from flowjob.runtime.accumulators.base import occurrences
from flowjob.runtime.batch import Batch, Data, Int64s
from flowjob.runtime.operators.base import Emitted, OperatorContext
from flowjob.runtime.operators.session_table import SessionTable
from flowjob.runtime.operators.window_base import WindowOperator, WindowParts, key_types
from flowjob.runtime.operators.window_contents import Contents, Inputs, take_inputs
from flowjob.runtime.operators.window_results import Firing

_NEVER = 2**63 - 1


class SessionWindows(WindowOperator):
    """A session is due when `end - 1 µs <= passed`, gone when also its lateness has passed."""

    def __init__(self, parts: WindowParts, gap: int) -> None:
        super().__init__(parts)
        self.gap = gap

    def open(self, context: OperatorContext) -> None:
        super().open(context)
        self.table = SessionTable(key_types(self.parts.keys), self.gap)
        self.contents = self.parts.contents.fresh()
        self._next = _NEVER
        """Nothing is due before: saves looking at all sessions for each watermark."""

    # -- rows -------------------------------------------------------------------------------------

    def process(self, data: Data, port: int) -> Emitted:
        assert isinstance(data, Batch)
        if len(data) == 0:
            return
        times = self.times_of(data)
        arrivals = self.arrivals(len(data))
        keys = self.table.key_slots(self.key_columns(data.columns), len(data))
        inputs = self.parts.contents.read(data.columns, arrivals)
        suspect = times + (self.gap - 1) <= self.passed
        if not suspect.any():
            self._join(keys, times, arrivals, inputs)
            return
        careful = np.zeros(self.table.key_limit, np.bool_)
        careful[keys[suspect]] = True
        slow = careful[keys]
        rows = np.flatnonzero(~slow)
        if len(rows):
            self._join(keys[rows], times[rows], arrivals[rows], take_inputs(inputs, rows))
        yield from self._one_by_one(data, np.flatnonzero(slow), keys, times, arrivals, inputs)

    def _join(self, keys: Int64s, times: Int64s, arrivals: Int64s, inputs: Inputs) -> Int64s:
        """Rows join sessions; returns each row's session."""
        joined = self.table.join(keys, times, arrivals)
        self.contents.grow(self.table.limit)
        if len(joined.sources):
            self.contents.merge_within(joined.targets, joined.sources)
        self.contents.update(joined.slots, inputs)
        self._next = min(self._next, int(self.table.end[joined.slots].min()))
        return joined.slots

    def _one_by_one(
        self,
        data: Batch,
        rows: Int64s,
        keys: Int64s,
        times: Int64s,
        arrivals: Int64s,
        inputs: Inputs,
    ) -> Emitted:
        """In rounds in which no key comes twice: each row is judged by the sessions as of that
        row."""
        rank = occurrences(keys[rows])
        late = np.zeros(len(data), np.bool_)
        fired = _Fired(self.parts.contents.fresh())
        for turn in range(int(rank.max()) + 1):
            now = rows[rank == turn]
            dead = self._merged_ends(keys[now], times[now]) - 1 + self.parts.lateness <= self.passed
            late[now[dead]] = True
            now = now[~dead]
            if len(now) == 0:
                continue
            sessions = self._join(keys[now], times[now], arrivals[now], take_inputs(inputs, now))
            over = np.flatnonzero(self.table.end[sessions] - 1 <= self.passed)
            fired.add(now[over], sessions[over], self.table, self.contents)
        if late.any():
            yield from self.late(data, late)
            self.table.release_idle(np.unique(keys[late]))
        if fired.count:
            yield from self.emit(fired.firing())

    def _merged_ends(self, keys: Int64s, times: Int64s) -> Int64s:
        """When the session ends that each row (no key twice) would be in."""
        ends = times + self.gap
        row_of = np.empty(self.table.key_limit, np.int64)
        row_of[keys] = np.arange(len(keys))
        held = self.table.sessions_of(keys)
        rows = row_of[self.table.key[held]]
        touch = (self.table.start[held] <= ends[rows]) & (self.table.end[held] >= times[rows])
        merged = ends.copy()
        np.maximum.at(merged, rows[touch], self.table.end[held[touch]])
        return merged

    # -- time -------------------------------------------------------------------------------------

    def next_timer(self) -> int | None:
        return None if self.event_time or self._next == _NEVER else self._next

    def advance(self, passed: int) -> Emitted:
        if self._next - 1 <= passed:
            table = self.table
            live = np.flatnonzero(table.live[: table.limit])
            ends = table.end[live] - 1
            due = live[(ends <= passed) & (ends > self.passed)]
            due = due[np.lexsort((table.arrival[due], table.end[due]))]
            rows = self.context.batch_rows
            for start in range(0, len(due), rows):
                yield from self._fire(due[start : start + rows])
            gone = ends + self.parts.lateness <= passed
            self.contents.reset(live[gone])
            table.drop(live[gone])
            left = ends[~gone] + 1
            waits = np.where(left - 1 <= passed, left + self.parts.lateness, left)
            self._next = int(waits.min(initial=_NEVER))
        self.passed = passed

    def _fire(self, sessions: Int64s) -> Emitted:
        keys = self.table.take_keys(sessions)
        starts, ends = self.table.start[sessions], self.table.end[sessions]
        yield from self.emit(Firing(keys, starts, ends, ends - 1, self.contents, sessions))


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

    def add(self, rows: Int64s, sessions: Int64s, table: SessionTable, held: Contents) -> None:
        if len(rows) == 0:
            return
        slots = np.arange(self.count, self.count + len(rows))
        self.count += len(rows)
        self.contents.grow(self.count)
        self.contents.merge(slots, held, sessions, None)
        self._rows.append(rows)
        self._starts.append(table.start[sessions])
        self._ends.append(table.end[sessions])
        self._keys.append(table.take_keys(sessions))

    def firing(self) -> Firing:
        """All of them, in the order of the rows that fired them."""
        order = np.argsort(np.concatenate(self._rows))
        starts, ends = np.concatenate(self._starts)[order], np.concatenate(self._ends)[order]
        at = pa.array(order)
        keys = [pa.concat_arrays(parts).take(at) for parts in zip(*self._keys)]
        return Firing(keys, starts, ends, ends - 1, self.contents, order)
