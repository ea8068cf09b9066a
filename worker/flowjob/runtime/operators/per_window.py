"""Windows kept each for itself, also sliding ones: what triggers need that fire windows one by one.

A row joins the contents of every window it is in, so that a window's trigger has something of its
own to go by; panes (pane_windows.py) are cheaper where only the windows' ends fire. It must not know
what fires."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from flowjob.core.elements import MIN_TIME
from flowjob.runtime.accumulators import scatter
from flowjob.runtime.accumulators.base import grown
from flowjob.runtime.batch import Batch, Data, Int64s
from flowjob.runtime.checkpoint.sections import RestoredState, Section
from flowjob.runtime.operators.base import Emitted, OperatorContext
from flowjob.runtime.operators.fired_rows import Fired, FiredRows
from flowjob.runtime.operators.pane_grid import PaneGrid
from flowjob.runtime.operators.pane_tables import PaneTable, PaneTables
from flowjob.runtime.operators.window_base import WindowOperator, WindowParts, key_types
from flowjob.runtime.operators.window_contents import Inputs, take_columns, take_inputs
from flowjob.runtime.operators.window_state import (
    ARRIVAL,
    CHANGED,
    END,
    START,
    WINDOWS,
    Reading,
    Writing,
    other_windows,
    time_fields,
    times,
)
from flowjob.windows import WINDOW_TIME


@dataclass(frozen=True, slots=True, eq=False)
class WindowRows:
    """Rows on their way into windows. `numbers`: their positions in the batch; `times`: what puts
    them into windows; `stamps`: event times, where a window's result carries the greatest."""

    numbers: Int64s
    windows: Int64s
    keys: list[pa.Array]
    inputs: Inputs
    arrivals: Int64s
    times: Int64s
    stamps: Int64s | None

    def take(self, at: Int64s, windows: Int64s) -> WindowRows:
        """The rows `at`, each for one of `windows`."""
        return WindowRows(
            self.numbers[at],
            windows,
            take_columns(self.keys, at),
            take_inputs(self.inputs, at),
            self.arrivals[at],
            self.times[at],
            None if self.stamps is None else self.stamps[at],
        )


class PerWindow(WindowOperator):
    """`grid=None`: one window without bounds per key, whose results have the greatest event time of
    their rows. Tables are by the windows' numbers; windows ending up to boundary `expired` are gone
    for good."""

    own_fields: ClassVar[Sequence[pa.Field]] = ()
    """Columns of snapshots for what a subclass keeps beside a window's contents."""

    def __init__(self, parts: WindowParts, grid: PaneGrid | None) -> None:
        super().__init__(parts)
        self.grid = grid
        self.sections = (WINDOWS,)
        self.shape = () if grid is None else grid.shape

    def open(self, context: OperatorContext) -> None:
        super().open(context)
        self.tables = PaneTables(key_types(self.parts.keys), self.parts.contents)
        self.expired = MIN_TIME
        self.set_passed(self.passed)

    def set_passed(self, passed: int) -> None:
        """Time has come to `passed`: drops what has expired."""
        self.passed = passed
        if self.grid is not None:
            self.expired = self.grid.passed(passed - self.parts.lateness)
            self.tables.drop_before(self.grid.first_window(self.expired))
            self.dropped({table.first for table in self.tables})

    def dropped(self, kept: set[int]) -> None:
        """Only the tables whose first windows are `kept` are left."""

    def join(self, table: PaneTable, rows: WindowRows, fired: FiredRows) -> None:
        """Rows join windows of the table; those that fire at once go to `fired`."""
        raise NotImplementedError

    def own_state(self, table: PaneTable, slots: Int64s) -> list[pa.Array]:
        """The columns `own_fields` of these windows."""
        return []

    def adopt_own(
        self, table: PaneTable, slots: Int64s, reading: Reading, rows: Int64s | None
    ) -> None:
        """The windows of these rows of a snapshot (None: all) are now in `slots` of the table."""

    def process(self, data: Data, port: int) -> Emitted:
        assert isinstance(data, Batch)
        if len(data) == 0:
            return
        times, panes = self._times(data), None
        if self.grid is not None:
            panes = self.grid.panes(times)
            first_live = self.grid.first_live(self.expired)
            if int(panes.min()) < first_live:
                live = panes >= first_live
                yield from self.late(data, ~live & ~self.grid.in_gap(panes))
                data, panes, times = data.filter(live), panes[live], times[live]
        if len(data):
            yield from self._distribute(data, times, panes)

    def _times(self, data: Batch) -> Int64s:
        if self.grid is None and data.timestamps is None:
            return np.full(len(data), self.context.env.clock.wall(), np.int64)
        return self.times_of(data)

    def _distribute(self, data: Batch, times: Int64s, panes: Int64s | None) -> Emitted:
        arrivals = self.arrivals(len(data))
        keys = self.key_columns(data.columns)
        inputs = self.parts.contents.read(data.columns, arrivals)
        none = np.zeros(len(data), np.int64)
        stamps = data.timestamps if self.grid is None else None
        numbers = np.arange(len(data))
        rows = WindowRows(numbers, none, keys, inputs, arrivals, times, stamps)
        fired = FiredRows(self.parts)
        for some in self._by_window(rows, panes):
            for table, at in self.tables.split(some.windows):
                self.join(table, some if at is None else some.take(at, some.windows[at]), fired)
        if len(fired):
            yield from self.emit(fired.firing(keys, self.grid))
        self.expect_early()

    def _by_window(self, rows: WindowRows, panes: Int64s | None) -> Iterator[WindowRows]:
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

    # -- snapshots --------------------------------------------------------------------------------

    @property
    def state_bytes(self) -> int:
        return sum(table.used_bytes for table in self.tables)

    def kept_slots(self, table: PaneTable, slots: Int64s) -> Int64s:
        """Those of `slots` that hold anything."""
        return slots

    def places(self, table: PaneTable, slots: Int64s) -> Int64s:
        """Where the contents of windows are; made where they are new."""
        return slots

    def take_snapshot(self) -> Iterator[Section]:
        writing = self._writing()
        first = MIN_TIME if self.grid is None else self.grid.first_window(self.expired)
        for table, live in self.tables.live(first):
            slots = self.kept_slots(table, live)
            windows = table.panes()[slots]
            own = [*self._bounds(windows), pa.array(table.arrivals[slots])]
            own += [pa.array(table.changed[slots]), *self.own_state(table, slots)]
            writing.add(
                table.take_keys(slots),
                own,
                table.contents,
                self.places(table, slots),
                hashes=table.hashes(slots),
            )
        yield writing.section(self.meta)

    def adopt(self, state: RestoredState, meta: Mapping[str, Any]) -> None:
        self.adopt_meta(meta)
        self.set_passed(meta.get("passed", self.passed))
        reading = Reading(state.parts(WINDOWS), self._writing().schema)
        windows: Int64s | None = np.zeros(len(reading), np.int64)
        if self.grid is not None:
            bounds = reading.ints(START), reading.ints(END)
            windows = self.grid.numbers(*bounds, windows=True)
        if windows is None:
            raise other_windows(self.context.name)
        arrivals = reading.arrivals()
        self.arrived(arrivals)
        for table, slots, rows in self.tables.adopt(reading.keys(), windows, arrivals):
            table.changed[slots] = reading.flags(CHANGED, rows)
            self.adopt_own(table, slots, reading, rows)
            reading.load(table.contents, self.places(table, slots), rows)

    def _writing(self) -> Writing:
        own = [
            *time_fields(START, END),
            pa.field(ARRIVAL, pa.int64()),
            pa.field(CHANGED, pa.bool_()),
            *self.own_fields,
        ]
        return Writing(WINDOWS, self.parts.keys, own, self.parts.contents)

    def _bounds(self, windows: Int64s) -> list[pa.Array]:
        if self.grid is None:
            return [pa.nulls(len(windows), WINDOW_TIME)] * 2
        ends = self.grid.window_ends(windows)
        return [times(ends - self.grid.length), times(ends)]

    def update_and_fire(
        self,
        table: PaneTable,
        slots: Int64s,
        inputs: Inputs,
        at: Int64s,
        describe: Callable[[Int64s], Fired],
        fired: FiredRows,
    ) -> None:
        """Rows join their slots; those `at` (ascending) fire them, as of the row."""
        if len(at) == 0:
            table.contents.update(slots, inputs)
            return
        if not self.parts.results.reads_contents:
            fired.add_results(describe(at), table.contents.running(slots, inputs, at))
            return
        # In turns in which no slot changes after it has fired.
        fires = np.zeros(len(slots), np.bool_)
        fires[at] = True
        numbers, touched = scatter.renumbered(slots)
        turns = scatter.running_count(np.zeros(len(touched), np.int64), numbers, fires) - fires
        for turn in range(int(turns.max()) + 1):
            now = np.flatnonzero(turns == turn)
            table.contents.update(slots[now], take_inputs(inputs, now))
            over = at[turns[at] == turn]
            fired.add(describe(over), table.contents, slots[over])


def running_latest(
    latest: Int64s, places: Int64s, stamps: Int64s | None
) -> tuple[Int64s, Int64s | None]:
    """(`latest` grown and raised, the greatest event time of each row's place as of that row)."""
    if stamps is None:
        return latest, None
    latest = grown(latest, int(places.max()) + 1, MIN_TIME)
    return latest, scatter.running_raise(latest, places, stamps, np.empty(0, np.bool_))
