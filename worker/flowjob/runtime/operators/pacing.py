"""Pacer: how many rows a row function may see before the clock is looked at.

A row function can take 50 ns or 50 ms. Other work (control messages, other channels) must not wait longer than about
a millisecond, and looking at the clock for each row would cost more than most functions."""

from __future__ import annotations

from flowjob.runtime.env import Clock

TARGET = 0.001
"""Seconds between two pauses."""

FIRST_ROWS = 16
MAX_ROWS = 16_384
_GROWTH = 4


class Pacer:
    """`rows` is the size of the next piece of work. After each piece call `due`; after a pause, `restart`."""

    __slots__ = ("_clock", "_paused", "_seen", "rows")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._paused = 0.0
        self._seen = 0.0
        self.rows = FIRST_ROWS

    def restart(self) -> None:
        """Work begins, or goes on after a pause."""
        self._paused = self._seen = self._clock.monotonic()

    def due(self, done: int) -> bool:
        """Whether to pause now, having done `done` more rows. Adapts `rows` to the speed seen: about four looks per
        pause, growing by steps since the first rows of a function are often its slowest."""
        now = self._clock.monotonic()
        spent = now - self._seen
        self._seen = now
        fitting = int(done * TARGET / 4 / spent) if spent > 0 else MAX_ROWS
        self.rows = max(1, min(fitting, self.rows * _GROWTH, MAX_ROWS))
        return now - self._paused >= TARGET
