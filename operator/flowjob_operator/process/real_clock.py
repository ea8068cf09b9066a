"""The machine's clock and randomness.

The one module of the operator that reads them; others take a Clock (clock.py)."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime


class RealClock:
    """A Clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def chance(self) -> float:
        return random.random()
