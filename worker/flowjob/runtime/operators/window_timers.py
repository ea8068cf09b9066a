"""Timers of windows that are kept row by row: one queue per clock, in order of (time, the window's
end, its first row, registration).

Deduplicated per window and time. Deleting leaves the queue entry behind, to be skipped when it
comes up."""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from flowjob.windows import Span


@dataclass(eq=False, slots=True)
class LiveWindow:
    """One key's window: where its contents are, and its trigger's memory.

    rows     in the contents now (0 after a purge)
    arrival  number of the row that opened it: earlier windows fire first among equals
    latest   the greatest event time of its rows
    timers   per queue, the registration number of each time set
    """

    key: int
    span: Span
    slot: int
    arrival: int
    rows: int = 0
    latest: int = -(2**63)
    state: dict[str, Any] = field(default_factory=dict)
    timers: dict[str, dict[int, int]] = field(default_factory=dict)
    dead: bool = False


class TimerQueue:
    """Timers of one purpose, told apart by `name` in each window."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: list[tuple[int, int, int, int, LiveWindow]] = []
        self._registered = 0

    def set(self, window: LiveWindow, at: int) -> None:
        mine = window.timers.setdefault(self._name, {})
        if at not in mine:
            self._registered += 1
            mine[at] = self._registered
            heappush(self._queue, (at, window.span[1], window.arrival, self._registered, window))

    def delete(self, window: LiveWindow, at: int) -> None:
        window.timers.get(self._name, {}).pop(at, None)

    @property
    def registered(self) -> int:
        """The number of the newest registration."""
        return self._registered

    def peek(self) -> int | None:
        """The time of the next timer."""
        while self._queue:
            at, _, _, number, window = self._queue[0]
            if not window.dead and window.timers.get(self._name, {}).get(at) == number:
                return at
            heappop(self._queue)
        return None

    def pop(self) -> tuple[int, int, LiveWindow]:
        """(time, registration, window) of the next timer, which is gone with this; `peek` first."""
        at, _, _, number, window = heappop(self._queue)
        del window.timers[self._name][at]
        return at, number, window
