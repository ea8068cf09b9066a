"""Windows that also fire before they end, vectorised: at multiples of an interval of event time, or of
wall time.

Time fires between batches, in order of (time, end of the window, its first row). Two kinds of rows fire
at once: one that joins a window after its end, and one that opens a window some of whose multiples
have passed. It must not know what aggregates are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from flowjob.core.elements import MAX_TIME, MIN_TIME
from flowjob.runtime.accumulators.base import Bools, grown
from flowjob.runtime.batch import Int64s
from flowjob.runtime.operators.base import Emitted, OperatorContext
from flowjob.runtime.operators.fired_rows import Fired, FiredRows
from flowjob.runtime.operators.pane_grid import PaneGrid
from flowjob.runtime.operators.pane_tables import PaneTable
from flowjob.runtime.operators.per_window import PerWindow, WindowRows, running_latest
from flowjob.runtime.operators.window_base import WindowParts
from flowjob.runtime.operators.window_state import Reading, time_fields, times

_NONE = np.empty(0, np.int64)
_NEVER = 2**63 - 1
_SINCE, _LATEST = "next_firing", "__latest"


@dataclass(frozen=True, slots=True)
class Timing:
    """What fires windows.

    at_end   the window's end, by its clock
    every    µs: multiples of event time; 0: none
    repeats  multiples of `parts.early` of wall time fire all windows, not only those that changed
    """

    at_end: bool
    every: int = 0
    repeats: bool = False


class _Marks:
    """What a table has besides, by slot: the first multiple at which it fires, the latest event
    time."""

    def __init__(self) -> None:
        self.since = _NONE
        self.latest = _NONE

    @property
    def nbytes(self) -> int:
        return self.since.nbytes + self.latest.nbytes


class _Live:
    """The windows of some tables, side by side: `which` table, and `slots` in it."""

    def __init__(self, tables: Sequence[PaneTable], marks: Sequence[_Marks], grid: PaneGrid | None):
        self.tables = tables
        sizes = [len(table) for table in tables]
        self.which = np.repeat(np.arange(len(tables)), sizes)
        self.slots = _joined([np.arange(size) for size in sizes])
        self.windows = _joined([table.panes() for table in tables])
        self.arrivals = _joined([t.arrivals[:n] for t, n in zip(tables, sizes)])
        self.since = _joined([m.since[:n] for m, n in zip(marks, sizes)])
        self.latest = _joined([grown(m.latest, n, MIN_TIME)[:n] for m, n in zip(marks, sizes)])
        self.ends = np.full(len(self.slots), _NEVER)
        if grid is not None:
            self.ends = grid.window_ends(self.windows)

    def changed(self) -> Bools:
        parts = [table.changed[: len(table)] for table in self.tables]
        return np.concatenate([np.empty(0, np.bool_), *parts])


class TimedWindows(PerWindow):
    """Windows fire as `timing` says."""

    own_fields = tuple(time_fields(_SINCE, _LATEST))

    def __init__(self, parts: WindowParts, grid: PaneGrid | None, timing: Timing) -> None:
        super().__init__(parts, grid)
        self.timing = timing

    def open(self, context: OperatorContext) -> None:
        self._marks: dict[int, _Marks] = {}
        self._stamped = False
        self._ending = False
        super().open(context)

    def dropped(self, kept: set[int]) -> None:
        self._marks = {first: m for first, m in self._marks.items() if first in kept}

    @property
    def state_bytes(self) -> int:
        return super().state_bytes + sum(m.nbytes for m in self._marks.values())

    def own_state(self, table: PaneTable, slots: Int64s) -> list[pa.Array]:
        marks = self._marks[table.first]
        latest = grown(marks.latest, len(table), MIN_TIME)
        return [times(marks.since[slots], _NEVER), times(latest[slots], MIN_TIME)]

    def adopt_own(
        self, table: PaneTable, slots: Int64s, reading: Reading, rows: Int64s | None
    ) -> None:
        marks = self._marks.setdefault(table.first, _Marks())
        marks.since = grown(marks.since, len(table), _NEVER)
        marks.since[slots] = reading.ints(_SINCE, rows, null=_NEVER)
        marks.latest = grown(marks.latest, len(table), MIN_TIME)
        marks.latest[slots] = reading.ints(_LATEST, rows)

    @property
    def meta(self) -> dict[str, Any]:
        return {**super().meta, "timed": self._stamped}

    def adopt_meta(self, meta: Mapping[str, Any]) -> None:
        super().adopt_meta(meta)
        self._stamped = meta.get("timed", False)

    # -- rows -------------------------------------------------------------------------------------

    def join(self, table: PaneTable, rows: WindowRows, fired: FiredRows) -> None:
        before = len(table)
        slots = table.slots(rows.keys, rows.windows, rows.arrivals)
        marks = self._marks.setdefault(table.first, _Marks())
        self._stamped = rows.stamps is not None
        marks.latest, latest = running_latest(marks.latest, slots, rows.stamps)
        over = self._over(rows)
        moments = np.full(len(slots), MIN_TIME)
        counts = over.astype(np.int64)
        if len(table) > before:
            marks.since = grown(marks.since, len(table), _NEVER)
            first = (slots >= before) & (table.arrivals[slots] == rows.arrivals) & ~over
            first = np.flatnonzero(first)
            since = marks.since[slots[first]] = self._next_multiples(rows.times[first])
            if self.timing.every:
                passed = since <= self.passed
                counts[first[passed]] = (self.passed - since[passed]) // self.timing.every + 1
                moments[first] = since
        if self.parts.early and not self.timing.repeats:
            table.changed[slots[~over]] = True

        def describe(at: Int64s) -> Fired:
            picks = np.repeat(np.arange(len(at)), counts[at])
            turns = np.arange(len(picks)) - np.repeat(
                np.cumsum(counts[at]) - counts[at], counts[at]
            )
            due = moments[at][picks] + turns * self.timing.every
            return Fired.of(rows, at, latest).repeated(picks, due)

        at = np.flatnonzero(counts)
        self.update_and_fire(table, slots, rows.inputs, at, describe, fired)

    def _over(self, rows: WindowRows) -> Bools:
        """Whether the row's window has fired by its end."""
        if self.grid is None or not self.timing.at_end or not self.event_time:
            return np.zeros(len(rows.windows), np.bool_)
        return self.grid.window_ends(rows.windows) - 1 <= self.passed

    def _next_multiples(self, times: Int64s) -> Int64s:
        """The first multiple at which windows that these rows open fire."""
        if self.timing.every:
            return times - times % self.timing.every + self.timing.every
        now, every = self.context.env.clock.wall(), max(self.parts.early, 1)
        return np.full(len(times), now - now % every + every)

    # -- time -------------------------------------------------------------------------------------

    def next_end(self) -> int | None:
        if self.grid is None:
            return None
        first = self.grid.first_window(self.grid.passed(self.passed))
        found = []
        for table in self.tables:
            windows = table.panes() if table.span > 1 else np.array([table.first])
            windows = windows[windows >= first]
            found += [int(windows.min())] if len(windows) else []
        return int(self.grid.window_ends(np.array([min(found)]))[0]) if found else None

    def on_end(self) -> Emitted:
        self._ending = True  # of windows of the wall clock: what they hold is given, whatever fires
        yield from super().on_end()

    def before_early(self, at: int) -> Emitted:
        # A window that repeats fires at its very end too; then only is it gone.
        yield from super().before_early(at - 1 if self.timing.repeats else at)

    def fire_early(self, at: int) -> Emitted:
        live = self._live(list(self.tables))
        # Tables of several windows hold some that have expired.
        alive = live.ends > MIN_TIME
        if self.grid is not None:
            alive = live.windows >= self.grid.first_window(self.expired)
        if not self.timing.repeats:
            yield from self._give(live, np.flatnonzero(alive & live.changed()))
            return
        yield from self._give(live, np.flatnonzero(alive & (live.since <= at)))
        if alive.any():
            self.expect_early_after(at)

    def advance(self, passed: int) -> Emitted:
        tables = self._due_tables(passed)
        if tables:
            live = self._live(tables)
            due = self._due_after(live, self.passed)
            while (moment := int(due.min(initial=_NEVER))) <= min(passed, _NEVER - 1):
                now = np.flatnonzero(due == moment)
                yield from self._give(live, now)
                if self.grid is None and passed >= MAX_TIME:
                    due[now] = _NEVER  # a window without end would fire for ever
                else:
                    due = self._due_after(live, moment)
        self.set_passed(passed)

    def _due_tables(self, passed: int) -> list[PaneTable]:
        """Tables in which something may be due up to `passed`."""
        every = self.timing.every
        if every and passed >= self.passed - self.passed % every + every:
            return list(self.tables)
        if self.grid is None or not (self.timing.at_end or self._ending):
            return []
        first = self.grid.first_window(self.grid.passed(self.passed))
        stop = self.grid.first_window(self.grid.passed(passed))
        return self.tables.between(first, stop)

    def _due_after(self, live: _Live, moment: int) -> Int64s:
        """When each window fires next."""
        last = live.ends - 1 if self.grid is not None else live.ends
        at_end = (self.timing.at_end or self._ending) and self.grid is not None
        due: Int64s = np.where(at_end & (last > moment), last, _NEVER)
        every = self.timing.every
        if every:
            multiples = np.maximum(live.since, moment - moment % every + every)
            due = np.where(multiples < last, multiples, due)
        return due

    def _live(self, tables: Sequence[PaneTable]) -> _Live:
        return _Live(tables, [self._marks[table.first] for table in tables], self.grid)

    # -- results ----------------------------------------------------------------------------------

    def _give(self, live: _Live, which: Int64s) -> Emitted:
        which = which[np.lexsort((live.arrivals[which], live.windows[which]))]
        rows = self.context.batch_rows
        for start in range(0, len(which), rows):
            yield from self._give_some(live, which[start : start + rows])

    def _give_some(self, live: _Live, which: Int64s) -> Emitted:
        fired = FiredRows(self.parts)
        keys: list[list[pa.Array]] = []
        places = []
        for number in np.unique(live.which[which]).tolist():
            table = live.tables[number]
            at = np.flatnonzero(live.which[which] == number)
            some = which[at]
            slots = live.slots[some]
            latest = live.latest[some] if self._stamped else None
            none = np.zeros(len(at), np.int64)
            fired.add(Fired(at, live.windows[some], latest, none), table.contents, slots)
            table.changed[slots] = False
            keys.append(table.take_keys(slots))
            places.append(at)
        back = pa.array(np.argsort(np.concatenate(places)))
        columns = [pa.concat_arrays(parts).take(back) for parts in zip(*keys)]
        yield from self.emit(fired.firing(columns, self.grid))


def _joined(parts: Sequence[Int64s]) -> Int64s:
    return np.concatenate([_NONE, *parts])
