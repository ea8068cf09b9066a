"""One connection that lines are read from: an asyncio protocol around a LineBuffer.

The transport is told to stop reading while enough lines wait, which TCP tells the sender: that is the whole of
back-pressure here. It must not know formats, nor what follows a lost connection."""

from __future__ import annotations

import asyncio
from typing import cast

from flowjob.connectors.sockets.line_buffer import LineBuffer, Lines

HIGH_WATER = 1 << 20
"""Bytes of waiting lines beyond which no more are read from the wire; what is under way may still come."""

LOW_WATER = HIGH_WATER // 4
"""Reading begins again when so many or fewer are left."""


class LineConnection(asyncio.Protocol):
    """`longest` as in LineBuffer. `error` says why the connection ended, None when the peer just closed it."""

    def __init__(self, longest: int) -> None:
        self._buffer = LineBuffer(longest)
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._lost = asyncio.Event()
        self.error: Exception | None = None
        self.got_bytes = False

    @property
    def ended(self) -> bool:
        return self._lost.is_set()

    @property
    def waiting_bytes(self) -> int:
        """Whole lines that have come and were not taken."""
        return self._buffer.size

    def take(self, rows: int) -> Lines | None:
        """See LineBuffer.take."""
        lines = self._buffer.take(rows)
        if self._paused and self._buffer.size <= LOW_WATER:
            self._paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()
        return lines

    def unfinished(self) -> bytes:
        """See LineBuffer.unfinished."""
        return self._buffer.unfinished()

    async def more(self) -> None:
        """Returns when there is a line to take, or the connection has ended."""
        while not self._buffer.size and not self.ended:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    async def close(self) -> None:
        """At once; what has not been taken is gone."""
        if self._transport is not None:
            self._transport.abort()
            await self._lost.wait()

    # -- called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.got_bytes = True
        self._buffer.feed(data)
        if self._buffer.size > HIGH_WATER and not self._paused:
            assert self._transport is not None
            self._paused = True
            self._transport.pause_reading()
        if self._buffer.size:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = exc
        if exc is None:
            self._buffer.finish()
        self._lost.set()
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
