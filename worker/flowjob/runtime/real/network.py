"""TCP by asyncio transports, without delay for small writes.

It must not know our protocols: bytes go to whatever asyncio.BaseProtocol the caller makes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from flowjob.cluster.identity import DATA_PEERS
from flowjob.errors import HandshakeRefused

if TYPE_CHECKING:
    from flowjob.runtime.real.tls import TlsIdentity


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
    """See env.Network. With an identity all of it is in TLS, between processes of one job that exchange rows."""

    def __init__(self, identity: TlsIdentity | None = None) -> None:
        self._identity = identity

    async def listen(
        self, host: str, port: int, factory: Callable[[], asyncio.BaseProtocol]
    ) -> RealListener:
        loop = asyncio.get_running_loop()
        if self._identity is None:
            return RealListener(await loop.create_server(factory, host, port))
        from flowjob.runtime.real.tls import HANDSHAKE_WITHIN

        context = self._identity.server(DATA_PEERS)
        return RealListener(
            await loop.create_server(
                factory, host, port, ssl=context, ssl_handshake_timeout=HANDSHAKE_WITHIN
            )
        )

    async def connect(
        self, host: str, port: int, factory: Callable[[], asyncio.BaseProtocol], *, deadline: float
    ) -> asyncio.BaseProtocol:
        """With an identity: HandshakeRefused when the other side's certificate is not to be trusted."""
        loop = asyncio.get_running_loop()
        context = None if self._identity is None else self._identity.client(DATA_PEERS)
        try:
            async with asyncio.timeout(deadline):
                transport, protocol = await loop.create_connection(factory, host, port, ssl=context)
        except OSError as error:
            if context is not None:
                _tell_of_tls(f"{host}:{port}", error)
            raise
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return protocol


def _tell_of_tls(place: str, error: OSError) -> None:
    """Raises HandshakeRefused for a certificate that was shown here and is wrong; it will not be another one soon."""
    from flowjob.runtime.real.tls import cause_in, explain

    found = cause_in(error)
    if found is not None:
        raise HandshakeRefused(f"{place} is not to be trusted: {explain(found)}") from error
