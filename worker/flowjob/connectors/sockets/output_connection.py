"""One connection that bytes are written to: an asyncio protocol that says when to wait, and when the peer has gone.

What the peer sends is read and dropped: unread bytes would make the kernel reset the connection at the end, and with
it what the peer has not read yet. It must not know formats."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from flowjob.connectors.sockets.address import Address, told
from flowjob.errors import JobFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from flowjob.runtime.env import Clock

HIGH_WATER = 256 << 10
"""Bytes that may wait for the network before the job is held back."""

CLOSE_WITHIN = 1.0
"""Seconds that the peer has to close its side after ours: when it does, it has read everything."""


class OutputConnection(asyncio.Protocol):
    """See the module. All methods but `close` raise JobFailed when the peer has gone."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._transport: asyncio.Transport | None = None
        self._gone: str | None = None
        self._said_all = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = asyncio.Event()

    def write(self, data: memoryview) -> Awaitable[None] | None:
        """An awaitable when the network is behind."""
        self._check()
        assert self._transport is not None
        self._transport.write(data)
        return None if self._writable.is_set() else self._drained()

    async def finish(self, clock: Clock) -> None:
        """Everything is sent; then the peer may close, and is closed upon when it does not."""
        self._check()
        assert self._transport is not None
        self._transport.set_write_buffer_limits(high=0)
        await self._drained()
        self._said_all = True
        self._transport.write_eof()
        tasks = [
            asyncio.ensure_future(self._lost.wait()),
            asyncio.ensure_future(clock.sleep(CLOSE_WITHIN)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._transport.close()
        await self._lost.wait()
        self._check()

    async def close(self) -> None:
        """At once; what has not been sent is dropped."""
        if self._transport is not None:
            self._transport.abort()
            await self._lost.wait()

    async def _drained(self) -> None:
        await self._writable.wait()
        self._check()

    def _check(self) -> None:
        if self._gone is not None:
            raise JobFailed(
                f"{self._address} {self._gone}: rows may be lost. "
                "Whatever listens there must read until the job closes the connection."
            )

    # -- called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def eof_received(self) -> None:
        """Returns None: the transport closes itself."""
        if not self._said_all:
            self._gone = "closed the connection before the job was done"

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._gone = f"broke the connection ({told(exc)})"
        self._writable.set()
        self._lost.set()
