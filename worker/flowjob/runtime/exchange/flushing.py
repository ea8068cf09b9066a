"""When rows that do not fill a batch leave, and when credit goes back: both once per turn of the loop or interval.

Why here: one timer serves all channels of a slot. A channel that has been quiet ships at the end of the turn; one that
has just shipped waits out the interval, so that batches grow with the load."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from flowjob.runtime.env import Clock
from flowjob.runtime.exchange.channels import Shippable
from flowjob.runtime.exchange.gate import InputChannel
from flowjob.runtime.exchange.receiver import IncomingConnection

EARLY_SHIPMENTS = 4
"""Per interval and slot: so many may leave before their interval is over. It keeps latency low as long as there is
little to do, and costs little when there is much."""


class IntervalFlusher:
    """See channels.Flusher."""

    def __init__(self, clock: Clock, interval: float, fail: Callable[[Exception], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self.now = clock.monotonic
        self._interval = interval
        self.failed = fail
        self._early = 0
        self._early_since = float("-inf")
        self._soon: list[Shippable] = []
        self._later: list[Shippable] = []
        self._turn: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None

    def schedule(self, waiting: Shippable) -> None:
        interval = self._interval
        if interval == 0:
            waiting.ship()
            return
        now = self.now()
        waited = now - waiting.shipped_at
        if waited >= interval or self._may_be_early(now):
            self._soon.append(waiting)
            if self._turn is None:
                self._turn = self._loop.call_soon(self._end_turn)
        else:
            self._later.append(waiting)
            if self._timer is None:
                self._timer = self._loop.call_later(interval - waited, self._end_interval)

    def close(self) -> None:
        for handle in (self._turn, self._timer):
            if handle is not None:
                handle.cancel()
        self._soon.clear()
        self._later.clear()

    def _may_be_early(self, now: float) -> bool:
        if now - self._early_since >= self._interval:
            self._early_since = now
            self._early = 0
        self._early += 1
        return self._early <= EARLY_SHIPMENTS

    def _end_turn(self) -> None:
        self._turn = None
        due, self._soon = self._soon, []
        self._ship(due)

    def _end_interval(self) -> None:
        self._timer = None
        due, self._later = self._later, []
        self._ship(due)

    def _ship(self, due: list[Shippable]) -> None:
        for waiting in due:
            if waiting.rows:
                try:
                    waiting.ship()
                except Exception as error:  # noqa: BLE001 - called from the loop: nobody else would hear of it
                    self.failed(error)


class TurnReturns:
    """See gate.CreditReturns: credit goes back at the end of a turn, one write per connection."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._dirty: list[InputChannel] = []
        self._connections: list[IncomingConnection] = []
        self._turn: asyncio.Handle | None = None

    def schedule(self, channel: InputChannel) -> None:
        self._dirty.append(channel)
        self._wake()

    def returning(self, connection: IncomingConnection) -> None:
        """`connection` has grants to send."""
        self._connections.append(connection)
        self._wake()

    def close(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
        self._dirty.clear()
        self._connections.clear()

    def _wake(self) -> None:
        if self._turn is None:
            self._turn = self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        dirty, self._dirty = self._dirty, []
        for channel in dirty:
            channel.dirty = False
            channel.return_credit()
        connections, self._connections = self._connections, []
        for connection in connections:
            connection.send_credit()
        self._turn = None
        if self._dirty or self._connections:
            self._wake()
