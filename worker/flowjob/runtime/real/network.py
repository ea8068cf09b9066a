"""TCP by asyncio transports, without delay for small writes.

It must not know our protocols: bytes go to whatever asyncio.BaseProtocol the caller makes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable


class RealListener:
    """See env.Listener."""

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def close(self) -> None:
        """Stops listening; connections live on."""
        self._server.close()


class RealNetwork:
    """See env.Network."""

    async def listen(
        self, host: str, port: int, factory: Callable[[], asyncio.BaseProtocol]
    ) -> RealListener:
        loop = asyncio.get_running_loop()
        return RealListener(await loop.create_server(factory, host, port))

    async def connect(
        self, host: str, port: int, factory: Callable[[], asyncio.BaseProtocol], *, deadline: float
    ) -> asyncio.BaseProtocol:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(deadline):
            transport, protocol = await loop.create_connection(factory, host, port)
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return protocol
