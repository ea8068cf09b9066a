"""How long rows take from each source to each vertex: what tasks count of markers, added up over their attempts.

Totals never go back when a task is started again. What took how long of late is the difference to a while ago. Memory
is bounded by the pairs of source and vertex that are kept. It must not know who reports, or how it is shown."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from flowjob.cluster.job_figures import Latency
from flowjob.core.durations import COUNTS, longest, quantile

MOST_PAIRS = 200
"""Pairs of a source and a vertex; of the others nothing is kept."""

LOOKS, LOOK = 12, 5.0
"""What is of late: so many looks back, with so many seconds between two."""

Pair = tuple[int, int]
"""(source vertex, vertex)"""

Reported = Sequence[tuple[int, Sequence[int], int]]
"""As runtime/task_metrics.py says it: (source vertex, counts, total in µs)."""

Counts = npt.NDArray[np.int64]


class LatencyMemory:
    """`totals`: by pair, counts by durations.BOUNDS and behind them the sum in µs."""

    def __init__(self) -> None:
        self.totals: dict[Pair, Counts] = {}
        self._last: dict[tuple[int, int], Reported] = {}
        self._looks: dict[Pair, deque[Counts]] = {}
        self._look_at = float("-inf")

    @property
    def nbytes(self) -> int:
        """Without what tasks have reported last, which is theirs who heard it."""
        looks = sum(c.nbytes for of in self._looks.values() for c in of)
        return looks + sum(c.nbytes for c in self.totals.values())

    @property
    def shown(self) -> dict[Pair, list[int]]:
        """Totals, as plain numbers."""
        return {pair: counts.tolist() for pair, counts in self.totals.items()}

    def heard(self, vertex: int, subtask: int, reported: Reported, now: float) -> None:
        """All that a task has counted since it began. `now`: seconds of the monotonic clock."""
        before = self._last.get((vertex, subtask), ())
        if reported != before:
            self._last[vertex, subtask] = reported
            for source, counts, total in before:
                if (source, vertex) in self.totals:
                    self.totals[source, vertex] -= (*counts, total)
            for source, counts, total in reported:
                if self._keeps((source, vertex)):
                    self.totals[source, vertex] += (*counts, total)
        if now >= self._look_at:
            self._look_at = now + LOOK
            for pair, looks in self._looks.items():
                looks.append(self.totals[pair].copy())

    def _keeps(self, pair: Pair) -> bool:
        if pair not in self.totals and len(self.totals) < MOST_PAIRS:
            self.totals[pair] = np.zeros(COUNTS + 1, np.int64)
            self._looks[pair] = deque(maxlen=LOOKS)
        return pair in self.totals

    def forget(self, vertex: int, subtask: int) -> None:
        """It is gone; its next attempt counts from the beginning."""
        self._last.pop((vertex, subtask), None)

    def of_vertex(self, vertex: int) -> Latency | None:
        """Of late, from all sources together; None: nothing has come."""
        found = np.zeros(COUNTS, np.int64)
        for pair, totals in self.totals.items():
            if pair[1] == vertex:
                looks = self._looks[pair]
                # The oldest look has what was before; a first one of all is of a time when there was nothing.
                found += (totals - looks[0] if len(looks) == LOOKS else totals)[:COUNTS]
        samples = int(found.sum())
        if not samples:
            return None
        counts = found.tolist()
        p50, p95, p99 = (round(quantile(counts, share) / 1e3, 3) for share in (0.5, 0.95, 0.99))
        most = round(longest(counts) / 1e3, 3)
        return Latency(p50_ms=p50, p95_ms=p95, p99_ms=p99, max_ms=most, samples=samples)
