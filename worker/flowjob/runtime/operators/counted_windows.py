"""Windows with a count trigger, vectorised: each n-th row of a key and window fires the aggregate as
of that row.

Every window has a table of its own, also a sliding one: where its n-th row falls has nothing to do
with panes. Firing at positions within a batch makes results independent of batching. When the
window's time is over it is dropped; time never fires it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from flowjob.core.elements import MIN_TIME
from flowjob.kernels.accumulate import occurrence
from flowjob.kernels.runs import Runs
from flowjob.runtime.accumulators import scatter
from flowjob.runtime.accumulators.base import grown
from flowjob.runtime.batch import Batch, Data, Int64s
from flowjob.runtime.operators.base import Emitted, OperatorContext
from flowjob.runtime.operators.fired_rows import Fired, FiredRows
from flowjob.runtime.operators.pane_grid import PaneGrid
from flowjob.runtime.operators.pane_tables import PaneTable, PaneTables
from flowjob.runtime.operators.window_base import WindowOperator, WindowParts, key_types
from flowjob.runtime.operators.window_contents import Inputs, take_columns, take_inputs

_NONE = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows on their way into windows; `numbers` are their positions in the batch."""

    numbers: Int64s
    windows: Int64s
    keys: list[pa.Array]
    inputs: Inputs
    arrivals: Int64s
    times: Int64s | None

    def take(self, at: Int64s, windows: Int64s) -> _Rows:
        """The rows `at`, each for one of `windows`."""
        times = None if self.times is None else self.times[at]
        keys, inputs = take_columns(self.keys, at), take_inputs(self.inputs, at)
        return _Rows(self.numbers[at], windows, keys, inputs, self.arrivals[at], times)


class _Counts:
    """What a table has besides. `rows`: so far, by slot; with purging, `runs` of n of them, each
    with contents of its own. `latest`: event times, by where the contents are."""

    def __init__(self, n: int) -> None:
        self.rows = _NONE
        self.runs = Runs(n)
        self.latest = _NONE


class CountedWindows(WindowOperator):
    """`grid=None`: one window without bounds per key, whose results have the greatest event time of
    their rows. Tables are by the windows' numbers."""

    def __init__(self, parts: WindowParts, grid: PaneGrid | None, n: int, *, purging: bool) -> None:
        super().__init__(parts)
        self.grid = grid
        self.n = n
        self.purging = purging

    def open(self, context: OperatorContext) -> None:
        super().open(context)
        self.tables = PaneTables(key_types(self.parts.keys), self.parts.contents)
        self._counts: dict[int, _Counts] = {}
        self._set_passed(self.passed)

    # -- time -------------------------------------------------------------------------------------

    def advance(self, passed: int) -> Emitted:
        self._set_passed(passed)
        if self.grid is not None:
            self.tables.drop_before(self.grid.first_window(self.expired))
            kept = {table.first for table in self.tables}
            self._counts = {first: c for first, c in self._counts.items() if first in kept}
        yield from ()

    def next_end(self) -> int | None:
        """When the first table is no longer needed."""
        if self.grid is None or not len(self.tables):
            return None
        table = next(iter(self.tables))
        last = np.array([table.first + table.span - 1])
        return int(self.grid.window_ends(last)[0])

    def _set_passed(self, passed: int) -> None:
        self.passed = passed
        if self.grid is not None:
            self.expired = self.grid.passed(passed - self.parts.lateness)

    # -- rows -------------------------------------------------------------------------------------

    def process(self, data: Data, port: int) -> Emitted:
        assert isinstance(data, Batch)
        panes = None
        if self.grid is not None and len(data):
            panes = self.grid.panes(self.times_of(data))
            first_live = self.grid.first_live(self.expired)
            if int(panes.min()) < first_live:
                live = panes >= first_live
                yield from self.late(data, ~live & ~self.grid.in_gap(panes))
                data, panes = data.filter(live), panes[live]
        if len(data) == 0:
            return
        arrivals = self.arrivals(len(data))
        keys = self.key_columns(data.columns)
        inputs = self.parts.contents.read(data.columns, arrivals)
        windows = np.zeros(len(data), np.int64)
        times = data.timestamps if self.grid is None else None
        rows = _Rows(np.arange(len(data)), windows, keys, inputs, arrivals, times)
        fired = FiredRows(self.parts)
        for some in self._by_window(rows, panes):
            for table, at in self.tables.split(some.windows):
                self._join(table, some if at is None else some.take(at, some.windows[at]), fired)
        if len(fired):
            yield from self.emit(fired.firing(keys, self.grid))

    def _by_window(self, rows: _Rows, panes: Int64s | None) -> Iterator[_Rows]:
        """The rows once for every window they are in."""
        if self.grid is None or panes is None:
            yield rows
            return
        first = self.grid.first_window(self.expired)
        if int(panes.min()) == int(panes.max()):
            # All are in the same windows: nothing is copied.
            for window in self.grid.windows_of(panes[:1], first)[1].tolist():
                yield replace(rows, windows=np.full(len(panes), window, np.int64))
            return
        at, windows = self.grid.windows_of(panes, first)
        if len(at):
            yield rows.take(at, windows)

    def _join(self, table: PaneTable, rows: _Rows, fired: FiredRows) -> None:
        slots = table.slots(rows.keys, rows.windows, rows.arrivals)
        counts = self._counts.setdefault(table.first, _Counts(self.n))
        if self.purging:
            self._join_runs(table, counts, slots, rows, fired)
            return
        counts.rows = grown(counts.rows, len(table), 0)
        turns = -(counts.rows[slots] // self.n)
        numbers = occurrence(slots, counts.rows)
        ends = np.flatnonzero(numbers % self.n == 0)
        latest = _latest(counts, slots, rows.times)
        if len(ends) == 0:
            table.contents.update(slots, rows.inputs)
        elif self.parts.results.reads_contents:
            turns += (numbers - 1) // self.n
            for turn in range(int(turns.max()) + 1):
                now = np.flatnonzero(turns == turn)
                table.contents.update(slots[now], take_inputs(rows.inputs, now))
                over = ends[turns[ends] == turn]
                fired.add(_fired(rows, over, latest), table.contents, slots[over])
        else:
            results = table.contents.running(slots, rows.inputs, ends)
            fired.add_results(_fired(rows, ends, latest), results)

    def _join_runs(
        self, table: PaneTable, counts: _Counts, slots: Int64s, rows: _Rows, fired: FiredRows
    ) -> None:
        """With purging: n rows have contents to themselves, so that nothing is to be undone."""
        places, ends = counts.runs.join(slots, len(table))
        table.contents.grow(counts.runs.limit)
        table.contents.update(places, rows.inputs)
        latest = _latest(counts, places, rows.times)
        if len(ends):
            over = places[ends]
            fired.add(_fired(rows, ends, latest), table.contents, over)
            table.contents.reset(over)
            counts.runs.release(over)
            if latest is not None:
                counts.latest[over] = MIN_TIME


def _latest(counts: _Counts, places: Int64s, times: Int64s | None) -> Int64s | None:
    """The greatest event time of each row's window, as of that row."""
    if times is None:
        return None
    counts.latest = grown(counts.latest, int(places.max()) + 1, MIN_TIME)
    return scatter.running_raise(counts.latest, places, times, np.empty(0, np.bool_))


def _fired(rows: _Rows, ends: Int64s, latest: Int64s | None) -> Fired:
    times = None if latest is None else latest[ends]
    return Fired(rows.numbers[ends], rows.windows[ends], times)
