"""Windows with a count trigger, vectorised: each n-th row of a key and window fires the aggregate as
of that row.

Firing at positions within a batch makes results independent of batching. When the window's time is
over it is dropped; time never fires it. It must not know what aggregates are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from flowjob.core.elements import MIN_TIME
from flowjob.kernels.accumulate import occurrence
from flowjob.kernels.runs import Runs
from flowjob.runtime.accumulators.base import grown
from flowjob.runtime.batch import Int64s
from flowjob.runtime.operators.base import Emitted, OperatorContext
from flowjob.runtime.operators.fired_rows import Fired, FiredRows
from flowjob.runtime.operators.pane_grid import PaneGrid
from flowjob.runtime.operators.pane_tables import PaneTable
from flowjob.runtime.operators.per_window import PerWindow, WindowRows, running_latest
from flowjob.runtime.operators.window_base import WindowParts
from flowjob.runtime.operators.window_state import Reading, time_fields, times

_ROWS, _LATEST = "rows_so_far", "__latest"
_NONE = np.empty(0, np.int64)


class _Counts:
    """What a table has besides. `rows`: so far, by slot; with purging, `runs` of n of them, each
    with contents of its own. `latest`: event times, by where the contents are."""

    def __init__(self, n: int) -> None:
        self.rows = _NONE
        self.runs = Runs(n)
        self.latest = _NONE

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + self.runs.nbytes + self.latest.nbytes


class CountedWindows(PerWindow):
    """Fires at each n-th row; with `purging`, what fired is forgotten."""

    own_fields = (pa.field(_ROWS, pa.int64()), *time_fields(_LATEST))

    def __init__(self, parts: WindowParts, grid: PaneGrid | None, n: int, *, purging: bool) -> None:
        super().__init__(parts, grid)
        self.n = n
        self.purging = purging

    def open(self, context: OperatorContext) -> None:
        self._counts: dict[int, _Counts] = {}
        super().open(context)

    def advance(self, passed: int) -> Emitted:
        self.set_passed(passed)
        yield from ()

    def next_end(self) -> int | None:
        """When the first table is no longer needed."""
        if self.grid is None or not len(self.tables):
            return None
        table = next(iter(self.tables))
        last = np.array([table.first + table.span - 1])
        return int(self.grid.window_ends(last)[0])

    def dropped(self, kept: set[int]) -> None:
        self._counts = {first: c for first, c in self._counts.items() if first in kept}

    # -- snapshots --------------------------------------------------------------------------------

    @property
    def state_bytes(self) -> int:
        return super().state_bytes + sum(c.nbytes for c in self._counts.values())

    def kept_slots(self, table: PaneTable, slots: Int64s) -> Int64s:
        # A run that has just ended is as good as none.
        return slots[self._rows(table, slots) > 0] if self.purging else slots

    def places(self, table: PaneTable, slots: Int64s) -> Int64s:
        return self._counts[table.first].runs.places(slots) if self.purging else slots

    def own_state(self, table: PaneTable, slots: Int64s) -> list[pa.Array]:
        places = self.places(table, slots)
        kept = self._counts[table.first].latest
        latest = grown(kept, int(places.max(initial=-1)) + 1, MIN_TIME)[places]
        return [pa.array(self._rows(table, slots)), times(latest, MIN_TIME)]

    def adopt_own(
        self, table: PaneTable, slots: Int64s, reading: Reading, rows: Int64s | None
    ) -> None:
        counts = self._counts.setdefault(table.first, _Counts(self.n))
        held = reading.ints(_ROWS, rows, null=0)
        if self.purging:
            counts.runs.insert(slots, held, len(table))
            table.contents.grow(counts.runs.limit)
        else:
            counts.rows = grown(counts.rows, len(table), 0)
            counts.rows[slots] = held
        places = self.places(table, slots)
        counts.latest = grown(counts.latest, int(places.max(initial=-1)) + 1, MIN_TIME)
        counts.latest[places] = reading.ints(_LATEST, rows)

    def _rows(self, table: PaneTable, slots: Int64s) -> Int64s:
        """How many rows windows have; with purging, since they last fired."""
        counts = self._counts[table.first]
        return counts.runs.rows(slots) if self.purging else counts.rows[slots]

    # -- rows -------------------------------------------------------------------------------------

    def join(self, table: PaneTable, rows: WindowRows, fired: FiredRows) -> None:
        slots = table.slots(rows.keys, rows.windows, rows.arrivals)
        counts = self._counts.setdefault(table.first, _Counts(self.n))
        if self.purging:
            self._join_runs(table, counts, slots, rows, fired)
            return
        counts.rows = grown(counts.rows, len(table), 0)
        ends = np.flatnonzero(occurrence(slots, counts.rows) % self.n == 0)
        counts.latest, latest = running_latest(counts.latest, slots, rows.stamps)
        self.update_and_fire(
            table, slots, rows.inputs, ends, lambda at: Fired.of(rows, at, latest), fired
        )

    def _join_runs(
        self, table: PaneTable, counts: _Counts, slots: Int64s, rows: WindowRows, fired: FiredRows
    ) -> None:
        """With purging: n rows have contents to themselves, so that nothing is to be undone."""
        places, ends = counts.runs.join(slots, len(table))
        table.contents.grow(counts.runs.limit)
        table.contents.update(places, rows.inputs)
        counts.latest, latest = running_latest(counts.latest, places, rows.stamps)
        if len(ends):
            over = places[ends]
            fired.add(Fired.of(rows, ends, latest), table.contents, over)
            table.contents.reset(over)
            counts.runs.release(over)
            if latest is not None:
                counts.latest[over] = MIN_TIME
