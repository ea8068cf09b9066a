"""How long a task waits for barriers: from when the first one of a checkpoint is heard of, anywhere in the task.

One that has overtaken data ends the waiting at once, as does a timeout of 0. It must not know what is done then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from flowjob.core.elements import Barrier, Stop


class Patience:
    """`exhausted(barrier)` is called once per checkpoint, unless it is `over` before. `timeout` None: waits for ever.

    Savepoints and stops are always waited for: no row may be in flight in them."""

    def __init__(self, timeout: float | None, exhausted: Callable[[Barrier], None]) -> None:
        self.timeout = timeout
        self._exhausted = exhausted
        self._timers: dict[int, asyncio.TimerHandle | None] = {}
        self._over = 0

    def covers(self, barrier: Barrier) -> bool:
        """Whether barriers of this checkpoint may overtake data."""
        may = barrier.unaligned or self.timeout is not None
        return may and not barrier.savepoint and barrier.stop is Stop.NO

    def heard(self, barrier: Barrier) -> None:
        """A barrier has arrived, in whatever place; or the order that makes one."""
        checkpoint = barrier.checkpoint
        if checkpoint <= self._over or self.timeout is None or not self.covers(barrier):
            return
        if barrier.unaligned or self.timeout == 0:
            if self._timers.get(checkpoint, _NOT_HEARD) is not None:
                self._exhaust(barrier)
        elif checkpoint not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[checkpoint] = loop.call_later(self.timeout, self._exhaust, barrier)

    def over(self, checkpoint: int) -> None:
        """It was taken, declined or given up, and so was every older one."""
        self._over = max(self._over, checkpoint)
        for older in [c for c in self._timers if c <= checkpoint]:
            timer = self._timers.pop(older)
            if timer is not None:
                timer.cancel()

    def _exhaust(self, barrier: Barrier) -> None:
        timer = self._timers.get(barrier.checkpoint)
        if timer is not None:
            timer.cancel()
        self._timers[barrier.checkpoint] = None
        self._exhausted(barrier)


_NOT_HEARD = object()
