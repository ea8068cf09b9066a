"""Time and chance, as the process is given them.

Everything else in this package takes a Clock, so that tests run in virtual time. The machine's own is real_clock.py."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The wall clock, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    def chance(self) -> float:
        """Evenly spread over [0, 1)."""
        ...
