"""Control messages over WebSockets, and over a socketpair between a TaskManager and its slots.

The `websockets` library is imported only when it is used: slots never need it. A stranger who
speaks something else, or shows a wrong token, is answered by the library and never reaches our
code."""

from __future__ import annotations

import asyncio
import hmac
import logging
import socket
import struct
from typing import Any

from flowjob.errors import HandshakeRefused, ProtocolError
from flowjob.runtime.env import ControlHandler
from flowjob.runtime.messages import MAX_MESSAGE

_log = logging.getLogger("flowjob.control")
_HEADER = struct.Struct("<I")


class WebSocketConnection:
    """See env.ControlConnection."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    async def send(self, message: bytes) -> None:
        """Raises ConnectionError when the other side is gone."""
        from websockets.exceptions import ConnectionClosed

        try:
            await self._socket.send(message)
        except ConnectionClosed as error:
            raise ConnectionError(str(error)) from error

    async def receive(self) -> bytes | None:
        from websockets.exceptions import ConnectionClosed

        try:
            message = await self._socket.recv()
        except ConnectionClosed:
            return None
        return message.encode() if isinstance(message, str) else message

    async def close(self, reason: str = "") -> None:
        await self._socket.close(1000, reason[:100])


class _Server:
    """See env.Listener."""

    def __init__(self, server: Any) -> None:
        self._server = server

    @property
    def address(self) -> tuple[str, int]:
        host, port = next(iter(self._server.sockets)).getsockname()[:2]
        return host, port

    async def close(self) -> None:
        self._server.close()
        await self._server.wait_closed()


class WebSocketControl:
    """See env.ControlPlane."""

    async def serve(self, host: str, port: int, token: str, handler: ControlHandler) -> _Server:
        from websockets.asyncio.server import serve

        expected = f"Bearer {token}".encode()

        def authorize(connection: Any, request: Any) -> Any:
            shown = request.headers.get_all("Authorization")
            given = shown[0].encode(errors="replace") if len(shown) == 1 else b""
            if hmac.compare_digest(given, expected):
                return None
            _log.warning("refused a control connection from %s", connection.remote_address)
            return connection.respond(401, "a valid bearer token is needed\n")

        async def handle(connection: Any) -> None:
            await handler(WebSocketConnection(connection))

        server = await serve(
            handle,
            host,
            port,
            process_request=authorize,
            max_size=MAX_MESSAGE,
            compression=None,
            ping_interval=None,
            open_timeout=10,
            close_timeout=2,
            logger=_quiet(),
        )
        return _Server(server)

    async def connect(self, url: str, token: str, *, deadline: float) -> WebSocketConnection:
        """Raises ConnectionError (refused, not a JobManager), TimeoutError, or HandshakeRefused: the token is wrong,
        and will be the next time."""
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidStatus, WebSocketException

        try:
            async with asyncio.timeout(deadline):
                opened = await connect(
                    url,
                    additional_headers={"Authorization": f"Bearer {token}"},
                    max_size=MAX_MESSAGE,
                    compression=None,
                    ping_interval=None,
                    open_timeout=None,
                    close_timeout=2,
                    proxy=None,
                    logger=_quiet(),
                )
        except (OSError, WebSocketException, EOFError) as error:
            if isinstance(error, TimeoutError):
                raise
            if isinstance(error, InvalidStatus) and error.response.status_code == 401:
                raise HandshakeRefused(f"{url} refuses the token") from error
            raise ConnectionError(f"{url}: {error}") from error
        return WebSocketConnection(opened)


def _quiet() -> logging.Logger:
    """What strangers send is not worth a traceback."""
    logger = logging.getLogger("flowjob.websockets")
    logger.setLevel(logging.CRITICAL)
    return logger


class FramedConnection:
    """Whole messages over a stream socket: u32 little-endian length, then the bytes
    (env.ControlConnection)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, raw: socket.socket) -> FramedConnection:
        """Takes ownership of a connected socket."""
        raw.setblocking(False)
        return cls(*await asyncio.open_unix_connection(sock=raw))

    async def send(self, message: bytes) -> None:
        """Raises ConnectionError when the other side is gone."""
        self._writer.write(_HEADER.pack(len(message)))
        self._writer.write(message)
        await self._writer.drain()

    async def receive(self) -> bytes | None:
        """Raises ProtocolError for a length no peer of ours sends."""
        try:
            (length,) = _HEADER.unpack(await self._reader.readexactly(_HEADER.size))
            if length > MAX_MESSAGE:
                raise ProtocolError(f"a message of {length} bytes exceeds the limit")
            return await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def close(self, reason: str = "") -> None:
        self._writer.close()
