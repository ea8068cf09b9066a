"""Rows at the pace of the wall clock: how many are due now, and how long until the next one is.

Shared by the generators that can run in real time. It reads the clock it is given and sleeps on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowjob.runtime.env import Clock

LONGEST_DEBT = 1.0
"""Seconds: after a longer stop the pace goes on from now, instead of catching up with all that was missed."""

SHORTEST_SLEEP = 0.001
LONGEST_SLEEP = 1.0


class Pace:
    """`rate` rows per second, beginning at the first call."""

    def __init__(self, clock: Clock, rate: float) -> None:
        self._clock = clock
        self._rate = rate
        self._start: float | None = None
        self._given = 0

    async def wait(self, most: int) -> int:
        """How many rows may be given now: 1 … `most`. Cancelling it loses nothing."""
        while True:
            now = self._clock.monotonic()
            if self._start is None:
                self._start = now - 1 / self._rate  # the first row is due at once
            due = int((now - self._start) * self._rate + 1e-6) - self._given
            if due > 0:
                if due > LONGEST_DEBT * self._rate + 1:
                    self._start += (due - 1) / self._rate - LONGEST_DEBT
                    due = max(1, int(LONGEST_DEBT * self._rate))
                return min(due, most)
            missing = self._start + (self._given + 1) / self._rate - now
            await self._clock.sleep(min(max(missing, SHORTEST_SLEEP), LONGEST_SLEEP))

    def gave(self, rows: int) -> None:
        self._given += rows
