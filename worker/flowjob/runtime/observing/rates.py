"""What flows per second, from counters that are looked at now and then: smooth, also where rows come in slow batches.

A counter that stands still for a second says little: its next batch may just not be there yet. So the rate is over the
time from one change to the next, weighted by how long ago, and goes down only when nothing comes for longer than usual.
Pure; it must not know what is counted."""

from __future__ import annotations

import math
from typing import NamedTuple

TAU = 4.0
"""Seconds. What was so long ago counts a third of what is now."""

SLACK = 1.5
"""Seconds that something may come later than usual: looks are no more regular than that."""

GONE = 0.05
"""Of a rate that has gone down to this, nothing is left."""

FORGETS = 0.8
"""A pause counts as usual for some changes behind it, each time this much less."""


class Flow(NamedTuple):
    """Of one counter: for how long it has stood still, how long it had before it changed (both in seconds), and how
    fast it grows per second."""

    quiet: float = 0.0
    pause: float = 0.0
    rate: float = 0.0

    @property
    def shown(self) -> float:
        """Per second, as it looks now."""
        if not self.rate or self.quiet <= self.pause + SLACK:
            return self.rate
        left = (self.pause + SLACK) / self.quiet
        return self.rate * left if left > GONE else 0.0


def look(flow: Flow, gone: float, since: float) -> Flow:
    """`gone`: by how much the counter has grown in the last `since` seconds. Less than 0: it was put back, and then
    nothing is known."""
    if gone < 0:
        return Flow()
    if not gone:
        return flow._replace(quiet=flow.quiet + since)
    if not flow.shown:  # it begins: how long it has not flowed says nothing of how it does
        return Flow(0.0, since, gone / since)
    pause = flow.quiet + since
    return Flow(0.0, max(pause, FORGETS * flow.pause), blend(flow.rate, gone / pause, pause))


def blend(before: float, now: float, since: float) -> float:
    """What was `before` until `since` seconds ago, and `now` from then on, as one."""
    return before + (1 - math.exp(-since / TAU)) * (now - before)
