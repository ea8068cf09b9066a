"""Time, as this service is given it: tests have one of their own.

Nothing else here reads a clock or sleeps."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Seconds."""

    def monotonic(self) -> float: ...
    def wall(self) -> float:
        """Since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class RealClock:
    """The machine's."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
