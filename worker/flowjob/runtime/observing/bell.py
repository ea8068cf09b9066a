"""Wakes those that wait for something new, for at most so long.

A part of what is followed: log lines and changes. It must not know what is new."""

from __future__ import annotations

import asyncio

from flowjob.runtime.env import Clock
from flowjob.runtime.outbox import first_of


class Bell:
    """Rings for all who listen at that moment. Nobody listens: it costs nothing."""

    def __init__(self) -> None:
        self._listening: asyncio.Event | None = None

    def ring(self) -> None:
        if self._listening is not None:
            self._listening.set()
            self._listening = None

    async def listen(self, clock: Clock, seconds: float) -> None:
        """Until it rings, or so long."""
        if self._listening is None:
            self._listening = asyncio.Event()
        await first_of(self._listening.wait(), clock.sleep(seconds))
