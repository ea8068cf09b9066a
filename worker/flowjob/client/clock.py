"""Time and chance, as the client needs them: a test gives others, in which nothing waits.

The only module of the client that may touch the real ones."""

from __future__ import annotations

import random
import time
import uuid
from typing import Protocol


class Clock(Protocol):
    """Seconds that only grow, and pauses."""

    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...

    def chance(self) -> float:
        """Between 0 and 1."""
        ...

    def key(self) -> str:
        """One that nobody else has: of a request that must not be done twice."""
        ...


class RealClock:
    """This machine's."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def chance(self) -> float:
        return random.random()

    def key(self) -> str:
        return uuid.uuid4().hex
