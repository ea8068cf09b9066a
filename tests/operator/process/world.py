"""Virtual time for tests of the operator's process."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class VirtualClock:
    """A Clock over flowjob.testing's virtual loop: sleeping takes no time."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def chance(self) -> float:
        return self._random.random()
