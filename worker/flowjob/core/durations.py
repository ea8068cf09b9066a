"""A histogram of durations that costs nothing to keep: how many fell between which bounds, and what the bounds mean.

Bounds grow by √2, so what is read off it is at most a fifth off. They are the same everywhere: histograms of many tasks
can be added up. Pure; it must not know what took so long."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

SHORTEST = 250.0
"""µs: what takes less is not told apart."""

STEPS = 37
BOUNDS = tuple(round(SHORTEST * 2 ** (i / 2)) for i in range(STEPS))
"""Upper ends, in µs: to 65.536 s. Behind them is one more, without an end."""

COUNTS = STEPS + 1


class Durations:
    """`counts` by BOUNDS, `total` in µs."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * COUNTS
        self.total = 0

    def add(self, micros: int) -> None:
        """Clocks of two machines differ: what seems to have come before it left has taken no time."""
        micros = max(0, micros)
        self.counts[bisect_left(BOUNDS, micros)] += 1
        self.total += micros


def quantile(counts: Sequence[float], share: float) -> float:
    """µs that `share` (0..1) of them took at most: within its two bounds as if they were spread evenly. 0.0: there are
    none. What is beyond the last bound counts as that."""
    wanted, reached = share * sum(counts), 0.0
    for place, count in enumerate(counts[:STEPS]):
        if count and reached + count >= wanted:
            low = BOUNDS[place - 1] if place else 0
            return low + (BOUNDS[place] - low) * max(0.0, wanted - reached) / count
        reached += count
    return float(BOUNDS[-1]) if reached < sum(counts) else 0.0


def longest(counts: Sequence[float]) -> float:
    """µs: none of them took more, as far as bounds tell."""
    last = max((place for place, count in enumerate(counts) if count), default=None)
    return 0.0 if last is None else float(BOUNDS[min(last, STEPS - 1)])
