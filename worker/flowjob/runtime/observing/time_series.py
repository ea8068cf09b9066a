"""The last hour of every vertex in figures: every 5 s for ten minutes, every minute for an hour.

Memory is fixed: 4 bytes per figure and step, 9.4 kB for a vertex however many subtasks it has. Taken when a slot
reports and it is time: no timer of its own. It must not know how figures are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from flowjob.cluster.job_figures import METRICS
from flowjob.runtime.observing.rings import Floats, Steps
from flowjob.runtime.observing.task_table import VertexTable

FINE_STEP, FINE_COUNT = 5.0, 120
COARSE_STEP, COARSE_COUNT = 60.0, 60
NAMES = tuple(METRICS)
_PER_COARSE = int(COARSE_STEP / FINE_STEP)

WHOLE_JOB = -1
"""In place of a vertex."""


class History:
    """Of one vertex, or of the whole job."""

    def __init__(self) -> None:
        self.fine = Steps(len(NAMES), FINE_COUNT)
        self.coarse = Steps(len(NAMES), COARSE_COUNT)

    @property
    def nbytes(self) -> int:
        return self.fine.nbytes + self.coarse.nbytes


class TimeSeries:
    """`vertices`: their ids. `due(now)` says whether it is time; then `add` what there is."""

    def __init__(self, vertices: Sequence[int]) -> None:
        self._of = {vertex: History() for vertex in (WHOLE_JOB, *vertices)}
        self._next: float | None = None
        self._count = 0

    @property
    def nbytes(self) -> int:
        return sum(history.nbytes for history in self._of.values())

    def due(self, now: float) -> bool:
        """`now`: seconds of the monotonic clock. The first time is one step behind the first question."""
        if self._next is None:
            self._next = now + FINE_STEP
        return now >= self._next

    def add(self, now: float, wall_ms: int, figures: Mapping[int, Floats]) -> None:
        """`figures`: by vertex, in order of NAMES. Vertices that are missing get a gap."""
        self._next = now + FINE_STEP
        self._count += 1
        nothing = np.full(len(NAMES), np.nan, np.float32)
        for vertex, history in self._of.items():
            history.fine.add(wall_ms, figures.get(vertex, nothing))
            if self._count % _PER_COARSE == 0:
                history.coarse.add(wall_ms, history.fine.mean_of_last(_PER_COARSE))

    def steps(self, vertex: int, *, fine: bool) -> Steps | None:
        """None: there is no such vertex."""
        history = self._of.get(vertex)
        if history is None:
            return None
        return history.fine if fine else history.coarse

    @property
    def vertices(self) -> list[int]:
        return [vertex for vertex in self._of if vertex != WHOLE_JOB]


def figures_of(table: VertexTable) -> Floats:
    """One vertex, now: NAMES in order."""
    known = table.known
    lag = table.lag[~np.isnan(table.lag)]
    state = table.state[~np.isnan(table.state)]
    values = {
        "rowsIn": table.rate("rows_in"),
        "rowsOut": table.rate("rows_out"),
        "bytesIn": table.rate("bytes_in"),
        "bytesOut": table.rate("bytes_out"),
        "busy": table.share("busy_us"),
        "idle": table.share("idle_us"),
        "backpressured": table.share("backpressured_us"),
        "busiest": table.largest("busy_us"),
        "lag": lag.max() if len(lag) else np.nan,
        "stateBytes": state.sum() if len(state) else np.nan,
        "checkpointSeconds": np.nan,
    }
    if not known.any():
        return np.full(len(NAMES), np.nan, np.float32)
    return np.array([values[name] for name in NAMES], np.float32)


def whole_job(tables: Sequence[VertexTable], checkpoint_seconds: float | None) -> Floats:
    """All vertices together: rows that sources read and that go into sinks, means of shares, the largest lag."""
    of = {name: place for place, name in enumerate(NAMES)}
    each = np.array([figures_of(table) for table in tables], np.float32).reshape(-1, len(NAMES))
    whole = np.full(len(NAMES), np.nan, np.float32)
    if not len(each):
        return whole
    for name in ("busy", "idle", "backpressured"):
        known = each[~np.isnan(each[:, of[name]]), of[name]]
        whole[of[name]] = known.mean() if len(known) else np.nan
    for name in ("busiest", "lag"):
        known = each[~np.isnan(each[:, of[name]]), of[name]]
        whole[of[name]] = known.max() if len(known) else np.nan
    for name in ("bytesIn", "bytesOut", "stateBytes"):
        known = each[~np.isnan(each[:, of[name]]), of[name]]
        whole[of[name]] = known.sum() if len(known) else np.nan
    whole[of["rowsIn"]] = sum(table.rate("read") for table in tables)
    whole[of["rowsOut"]] = sum(table.rate("written") for table in tables)
    if checkpoint_seconds is not None:
        whole[of["checkpointSeconds"]] = checkpoint_seconds
    return whole
