"""Windows that rows of one batch have fired, as of those rows, until they are given out in order.

Their results are computed as they fire, since later rows of the batch change the windows again;
where results are more than columns, the contents are copied. It must not know why a window fired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from flowjob.runtime.batch import Int64s
from flowjob.runtime.operators.pane_grid import PaneGrid
from flowjob.runtime.operators.window_base import WindowParts
from flowjob.runtime.operators.window_contents import Computed, Contents, take_columns
from flowjob.runtime.operators.window_results import Firing

if TYPE_CHECKING:
    from flowjob.runtime.operators.per_window import WindowRows


@dataclass(frozen=True, slots=True, eq=False)
class Fired:
    """rows     their positions in the batch
    windows  the window each has fired, by number
    times    the greatest event time in it; None if it is not asked for
    moments  the time each was due for, by which several of one row come in order
    picks    where some fire several times: for each firing, whose of the results given it has
    """

    rows: Int64s
    windows: Int64s
    times: Int64s | None
    moments: Int64s
    picks: Int64s | None = None

    @classmethod
    def of(cls, rows: WindowRows, at: Int64s, latest: Int64s | None) -> Fired:
        """The rows `at`, each firing its window once."""
        times = None if latest is None else latest[at]
        return cls(rows.numbers[at], rows.windows[at], times, np.zeros(len(at), np.int64))

    def repeated(self, picks: Int64s, moments: Int64s) -> Fired:
        """Some of them several times."""
        times = None if self.times is None else self.times[picks]
        return Fired(self.rows[picks], self.windows[picks], times, moments, picks)


class FiredRows:
    """Collects what fires; `firing` gives it by row, for one row by moment, and then by window."""

    def __init__(self, parts: WindowParts) -> None:
        self._copies = parts.contents.fresh() if parts.results.reads_contents else None
        self._fired: list[Fired] = []
        self._results: list[Sequence[pa.Array]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, fired: Fired, contents: Contents, slots: Int64s) -> None:
        """Windows whose contents are now in `slots` (no slot twice)."""
        before = self._count
        if self._copies is None:
            self.add_results(fired, contents.results(slots))
            return
        self._note(fired)
        self._copies.grow(self._count)
        self._copies.merge(np.arange(before, self._count), contents, slots, fired.picks)

    def add_results(self, fired: Fired, results: Sequence[pa.Array]) -> None:
        self._note(fired)
        if fired.picks is not None:
            results = take_columns(results, fired.picks)
        self._results.append(results)

    def firing(self, keys: Sequence[pa.Array], grid: PaneGrid | None) -> Firing:
        """All of it; `keys` are the batch's. Windows without a grid have no bounds."""
        rows = np.concatenate([f.rows for f in self._fired])
        windows = np.concatenate([f.windows for f in self._fired])
        order = np.lexsort((windows, np.concatenate([f.moments for f in self._fired]), rows))
        rows, windows = rows[order], windows[order]
        contents: Contents | Computed | None = self._copies
        if contents is None:
            columns = zip(*self._results)
            contents = Computed([pa.concat_arrays(list(parts)) for parts in columns])
        shown = take_columns(keys, rows)
        if grid is None:
            times = [f.times for f in self._fired if f.times is not None]
            latest = np.concatenate(times)[order] if times else None
            return Firing(shown, None, None, latest, contents, order)
        ends = grid.window_ends(windows)
        return Firing(shown, ends - grid.length, ends, ends - 1, contents, order)

    def _note(self, fired: Fired) -> None:
        self._fired.append(fired)
        self._count += len(fired.rows)
