"""Wall and monotonic time, and chance, of the machine itself.

The only place that reads them: everything else is given a Clock, which tests replace."""

from __future__ import annotations

import asyncio
import random
import secrets
import time


class RealClock:
    """See env.Clock."""

    def wall(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class RealRandom:
    """See env.Random."""

    def random(self) -> float:
        return random.random()

    def token(self) -> str:
        return secrets.token_urlsafe(24)
