"""One TCP connection as whole lines in and bytes out, with bounded buffers in both directions.

asyncio's callbacks on one side, awaits that may be cancelled on the other. It must not know rows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowjob.runtime.env import Env

MOST_UNREAD = 1 << 20
"""Bytes that may wait to be read before the peer is held back."""

CONNECT_WITHIN = 10.0
"""Seconds for which connecting is tried again, each time after twice as long a pause."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


class LineConnection(asyncio.Protocol):
    """Made by the network; `take` and `drained` are for the one who reads or writes."""

    def __init__(self) -> None:
        self._unread = bytearray()
        self._changed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport | None = None
        self._ended = False
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.error: Exception | None = None

    # -- called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._unread += data
        if len(self._unread) > MOST_UNREAD and self._transport is not None:
            self._transport.pause_reading()
        self._changed.set()

    def eof_received(self) -> bool:
        self._ended = True
        self._changed.set()
        return True  # the other direction stays open until it is closed here

    def connection_lost(self, error: Exception | None) -> None:
        self.error = error
        self._ended = True
        self._changed.set()
        self._writable.set()
        if not self._lost.done():
            self._lost.set_result(None)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # -- called by readers

    async def take(self) -> bytes:
        """All whole lines that are there, at least one; at the end also one without a line end; then nothing."""
        while True:
            end = self._unread.rfind(b"\n") + 1
            if self._ended:
                end = len(self._unread)
            if end or self._ended:
                lines = bytes(self._unread[:end])
                del self._unread[:end]
                if self._transport is not None and not self._transport.is_closing():
                    self._transport.resume_reading()
                return lines
            if len(self._unread) > MOST_UNREAD and self._transport is not None:
                self._transport.resume_reading()  # a line longer than the buffer
            self._changed.clear()
            await self._changed.wait()

    # -- called by writers

    def send(self, data: bytes) -> bool:
        """Buffers `data`; False when the writer should wait for `drained`. Raises ConnectionError when lost."""
        if self._lost.done() or self._transport is None:
            raise ConnectionError(f"the connection was lost: {self.error or 'closed by the peer'}")
        self._transport.write(data)
        return self._writable.is_set()

    async def drained(self) -> None:
        """Until the buffer has room. Raises ConnectionError when the connection was lost meanwhile."""
        await self._writable.wait()
        if self._lost.done():
            raise ConnectionError(f"the connection was lost: {self.error or 'closed by the peer'}")

    async def close(self) -> None:
        """Sends what is buffered, then closes."""
        if self._transport is not None:
            self._transport.close()
            await self._lost

    def abort(self) -> None:
        """Closes at once; what is buffered is lost."""
        if self._transport is not None:
            self._transport.abort()


async def connect(env: Env, host: str, port: int) -> LineConnection:
    """Tries for a while, because the other side may be just starting. Raises ConnectionError."""
    deadline = env.clock.monotonic() + CONNECT_WITHIN
    pause = _FIRST_PAUSE
    while True:
        left = deadline - env.clock.monotonic()
        try:
            made = await env.network.connect(host, port, LineConnection, deadline=max(left, 0.1))
        except (OSError, TimeoutError) as error:
            if left <= pause:
                raise ConnectionError(f"nobody listens on {host}:{port}: {error}") from error
            await env.clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            continue
        assert isinstance(made, LineConnection)
        return made
