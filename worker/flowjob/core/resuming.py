"""Whether a TaskManager that lost its connection and comes back keeps its slots: decided before it is welcomed.

Pure. What is asked of the slots then, because messages may have been lost, is runtime/jobmanager/tenure.py's."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

MOST, WITHIN = 10, 60.0
"""Resumptions within so many seconds: with a connection that breaks all the time nothing would ever get done, and a
restart elsewhere is better."""


class Resuming:
    """Remembers resumptions."""

    def __init__(self) -> None:
        self._made: deque[float] = deque()

    def may(
        self, wanted: Iterable[tuple[int, int]], running: Iterable[tuple[int, int]], now: float
    ) -> bool:
        """`wanted`: slots (number, attempt) that the job has there; `running`: that it says to have. `now`: seconds of
        a clock that never goes back."""
        needed = set(wanted)
        while self._made and self._made[0] <= now - WITHIN:
            self._made.popleft()
        if not needed or not needed <= set(running) or len(self._made) >= MOST:
            return False
        self._made.append(now)
        return True
