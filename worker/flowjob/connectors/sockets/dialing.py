"""Connects to an address: once, or again and again with growing pauses until a deadline.

It must not know what the connection is for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from flowjob.connectors.sockets.address import Address, cannot_connect, told
from flowjob.errors import JobFailed, PlanError

if TYPE_CHECKING:
    from flowjob.runtime.env import Env

P = TypeVar("P", bound=asyncio.BaseProtocol)


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Connect again when a connection ends, and go on trying when none comes about.

    first          the pause after the first failure; it doubles with every further one
    most           the longest pause
    give_up_after  the job fails when so long no connection has given any data since the last one was lost
    """

    first: timedelta = timedelta(milliseconds=100)
    most: timedelta = timedelta(seconds=10)
    give_up_after: timedelta = timedelta(minutes=1)

    def __post_init__(self) -> None:
        if not timedelta(0) < self.first <= self.most:
            raise PlanError(
                f"Reconnect wants 0 < first <= most, got first={self.first} and most={self.most}"
            )
        if self.give_up_after <= timedelta(0):
            raise PlanError(f"give_up_after must be positive, got {self.give_up_after}")


class Dialer:
    """`timeout`: seconds for one attempt. `reconnect` None: one attempt is all."""

    def __init__(
        self, env: Env, address: Address, timeout: float, reconnect: Reconnect | None
    ) -> None:
        self.address = address
        self.reconnect = reconnect
        self._clock = env.clock
        self._network = env.network
        self._timeout = timeout
        self._pause = 0.0
        self._since: float | None = None
        self._connected_at = 0.0

    async def connect(self, factory: Callable[[], P]) -> P:
        """Raises JobFailed."""
        while True:
            await self._wait_to_try()
            try:
                protocol = await self._network.connect(
                    self.address.host, self.address.port, factory, deadline=self._timeout
                )
            except (OSError, UnicodeError) as error:
                if self.reconnect is None:
                    raise cannot_connect(self.address, error) from error
                self._failed(told(error))
            else:
                self._connected_at = self._clock.monotonic()
                assert isinstance(protocol, asyncio.BaseProtocol)
                return protocol  # type: ignore[return-value]  # what the factory made

    def lost(self, error: Exception | None, *, was_useful: bool) -> None:
        """The connection has ended. One that was of no use counts as a failed attempt: a peer that accepts and
        closes at once is not to be called in a tight loop."""
        assert self.reconnect is not None
        lasted = self._clock.monotonic() - self._connected_at
        if was_useful or lasted >= self.reconnect.most.total_seconds():
            self._since, self._pause = self._clock.monotonic(), 0.0
        else:
            self._failed("the connection was closed at once" if error is None else told(error))

    def _failed(self, why: str) -> None:
        assert self.reconnect is not None
        now = self._clock.monotonic()
        if self._since is None:
            self._since = now
        first, most = self.reconnect.first.total_seconds(), self.reconnect.most.total_seconds()
        limit = self.reconnect.give_up_after
        left = self._since + limit.total_seconds() - now
        self._pause = min(max(first, 2 * self._pause), most, left)
        if left <= 0:
            raise JobFailed(
                f"{self.address} gave no data for {limit} since the connection was lost or first "
                f"tried; the last attempt: {why}"
            )

    async def _wait_to_try(self) -> None:
        if self._pause:
            await self._clock.sleep(self._pause)
