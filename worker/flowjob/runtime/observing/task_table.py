"""The newest figures of every subtask, and what has flowed per second since the ones before.

Fixed arrays per vertex, filled from what slots report anyway (runtime/task_metrics.py); no history: that is
time_series.py's, per vertex. It must not know who reports, or who looks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from flowjob.plan.job_graph import Vertex
from flowjob.plan.specs import SinkSpec, SourceSpec
from flowjob.runtime.observing.rates import Flow, blend, look

TOTALS = (
    "rows_in",
    "rows_out",
    "bytes_in",
    "bytes_out",
    "busy_us",
    "idle_us",
    "backpressured_us",
    "read",
    "written",
)
"""Of which there are rates. `read`: rows that a source made; `written`: rows that went into sinks."""

NEWEST = ("late_rows", "bad_rows", "queued_bytes", "buffered_bytes", "splits", "splits_read")
"""Of which there are none."""

AT_LEAST = 1.0
"""Seconds between two looks at a task: over less, rates would say little."""

TASKS_PER_SECOND = 2_500
"""That are looked at: of a job with more tasks each less often, so that its JobManager has better things to do."""

_BUSY, _BACKPRESSURED = TOTALS.index("busy_us"), TOTALS.index("backpressured_us")
_FLOWS = tuple(i for i in range(len(TOTALS)) if not _BUSY <= i <= _BACKPRESSURED)

Array = npt.NDArray[np.float64]


class VertexTable:
    """Of one vertex; arrays are by subtask. NaN: not known.

    totals      TOTALS in columns, of the current attempt
    rates       the same, per second, smooth (rates.py); of times: shares, 0..1
    newest      NEWEST in columns
    watermark   µs; `lag` in seconds
    state       bytes in the newest complete snapshot
    left        of a source: rows and bytes that are not read yet, of the splits that it has
    inputs      by edge, in two columns: its lowest watermark (µs; -inf: none yet), and the subtask it is of
    at          when a subtask was looked at, in seconds of the monotonic clock
    at_least    seconds between two looks at a task
    """

    def __init__(self, vertex: Vertex) -> None:
        count = vertex.parallelism
        self.at_least = AT_LEAST
        self.totals: Array = np.zeros((count, len(TOTALS)))
        self.rates = np.zeros((count, len(TOTALS)), np.float32)
        self._flows = np.zeros((count, len(_FLOWS), len(Flow())), np.float32)
        self.newest: Array = np.zeros((count, len(NEWEST)))
        self.watermark: Array = np.full(count, np.nan)
        self.lag = np.full(count, np.nan, np.float32)
        self.state: Array = np.full(count, np.nan)
        self.at: Array = np.full(count, np.nan)
        self.inputs: dict[int, Array] = {}
        self._reads = isinstance(vertex.nodes[0].spec, SourceSpec)
        self.left: Array = np.full((count if self._reads else 0, 2), np.nan)
        self._sinks = [i for i, n in enumerate(vertex.nodes) if isinstance(n.spec, SinkSpec)]

    @property
    def nbytes(self) -> int:
        arrays = (
            self.totals,
            self.rates,
            self._flows,
            self.newest,
            self.watermark,
            self.lag,
            self.state,
            self.left,
            self.at,
        )
        return sum(a.nbytes for a in arrays) + sum(a.nbytes for a in self.inputs.values())

    def report(self, subtask: int, values: Mapping[str, Any], now: float) -> bool:
        """What a task says of itself, at `now`; most of the time it is left aside (False), for it comes too often."""
        since = now - float(self.at[subtask])
        over = bool(values.get("ended"))
        if since < self.at_least and not over:
            return False
        operators = values.get("operators", ())
        totals = [float(values.get(name, 0)) for name in TOTALS[:-2]]
        totals.append(float(operators[0]["rows_out"]) if self._reads and operators else 0.0)
        totals.append(
            float(sum(operators[i]["rows_in"] for i in self._sinks if i < len(operators)))
        )
        # Plain floats: this is done for every task again and again, and numpy is slow for one number.
        before: list[float] = self.totals[subtask].tolist()
        self.totals[subtask] = totals
        self.newest[subtask] = (
            sum(o.get("late_rows", 0) for o in operators),
            sum(o.get("bad_rows", 0) for o in operators),
            *(values.get(name, 0) for name in NEWEST[2:]),
        )
        mark, lag = values.get("watermark"), values.get("watermark_lag_us")
        self.watermark[subtask] = math.nan if mark is None else mark
        self.lag[subtask] = math.nan if lag is None else lag * 1e-6
        if self._reads:
            found = values.get("left_rows"), values.get("left_bytes")
            self.left[subtask] = [math.nan if x is None else x for x in found]
        for edge, time, producer in values.get("inputs", ()):
            self._input(edge)[subtask] = -math.inf if time is None else time, producer
        self.at[subtask] = now
        if over:
            self.rates[subtask] = self._flows[subtask] = 0.0
        else:
            self._flow(subtask, [after - then for after, then in zip(totals, before)], since)
        return True

    def _flow(self, subtask: int, gone: list[float], since: float) -> None:
        """`since` NaN: it is the first time; then it is what it did since it began."""
        spent = sum(gone[_BUSY : _BACKPRESSURED + 1])
        since = spent * 1e-6 if math.isnan(since) else since
        if since <= 0 or min(gone) < 0:
            self.rates[subtask] = self._flows[subtask] = 0.0
            return
        rates: list[float] = self.rates[subtask].tolist()
        anew = not any(rates[_BUSY : _BACKPRESSURED + 1])
        for place in range(_BUSY, _BACKPRESSURED + 1):
            share = gone[place] / max(spent, 1.0)
            rates[place] = share if anew else blend(rates[place], share, since)
        flows = [Flow(*flow) for flow in self._flows[subtask].tolist()]
        flows = [look(flow, gone[place], since) for flow, place in zip(flows, _FLOWS)]
        for flow, place in zip(flows, _FLOWS):
            rates[place] = flow.shown
        self.rates[subtask], self._flows[subtask] = rates, flows

    def forget(self, subtask: int) -> None:
        """It is gone; its next attempt counts from the beginning."""
        self.totals[subtask] = self.rates[subtask] = self.newest[subtask] = 0.0
        self._flows[subtask] = 0.0
        self.left[subtask : subtask + 1] = np.nan
        self.watermark[subtask] = self.lag[subtask] = self.at[subtask] = np.nan
        for times in self.inputs.values():
            times[subtask] = np.nan

    def _input(self, edge: int) -> Array:
        if edge not in self.inputs:
            self.inputs[edge] = np.full((len(self.at), 2), np.nan)
        return self.inputs[edge]

    # -- all subtasks together

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which subtasks have reported."""
        known: npt.NDArray[np.bool_] = ~np.isnan(self.at)
        return known

    def total(self, name: str) -> int:
        return int(self.totals[:, TOTALS.index(name)].sum())

    def rate(self, name: str) -> float:
        return float(self.rates[:, TOTALS.index(name)].sum())

    def share(self, name: str) -> float:
        """Mean of the subtasks that run."""
        known = self.known
        return float(self.rates[known, TOTALS.index(name)].mean()) if known.any() else 0.0

    def largest(self, name: str) -> float:
        return float(self.rates[:, TOTALS.index(name)].max(initial=0.0))

    def latest(self, name: str) -> int:
        return int(self.newest[:, NEWEST.index(name)].sum())
