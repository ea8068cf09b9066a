"""Control messages over WebSockets, and over a socketpair between a TaskManager and its slots.

The `websockets` library is imported only when it is used: slots never need it. A stranger who speaks something else,
shows a wrong token or another one's certificate is answered by the library and never reaches our code."""

from __future__ import annotations

import asyncio
import hmac
import logging
import socket
import struct
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flowjob.cluster.identity import CONTROL_CLIENTS, JOBMANAGER
from flowjob.errors import HandshakeRefused, ProtocolError
from flowjob.runtime.env import ControlHandler
from flowjob.runtime.messages import MAX_MESSAGE
from flowjob.runtime.real.reaching import reach

if TYPE_CHECKING:
    import ssl

    from flowjob.runtime.real.tls import TlsIdentity

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
    """See env.ControlPlane. With an identity everything is in TLS, and certificates let in; else the token does."""

    def __init__(self, identity: TlsIdentity | None = None) -> None:
        self._identity = identity

    async def serve(self, host: str, port: int, token: str, handler: ControlHandler) -> _Server:
        from websockets.asyncio.server import serve

        identity = self._identity
        expected = f"Bearer {token}".encode()

        def authorize(connection: Any, request: Any) -> Any:
            if identity is not None:
                shown = connection.transport.get_extra_info("peercert")
                reason = identity.judge(shown, CONTROL_CLIENTS)
                status, answer = 403, reason
            else:
                given = request.headers.get_all("Authorization")
                first = given[0].encode(errors="replace") if len(given) == 1 else b""
                reason = None if hmac.compare_digest(first, expected) else "a wrong token"
                status, answer = 401, "a valid bearer token is needed"
            if reason is None:
                return None
            _log.warning(
                "refused a control connection from %s: %s", connection.remote_address, reason
            )
            return connection.respond(status, f"{answer}\n")

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
            **_tls(None if identity is None else identity.server(None)),
        )
        return _Server(server)

    async def connect(self, url: str, token: str, *, deadline: float) -> WebSocketConnection:
        """Raises ConnectionError (ConnectionRefusedError where nobody listens; else not a JobManager, or a certificate
        that may be renewed), TimeoutError, or HandshakeRefused: token or certificate are another job's, and will be
        the next time."""
        from websockets.asyncio.client import ClientConnection, connect
        from websockets.exceptions import InvalidStatus, WebSocketException

        made: list[ClientConnection] = []

        class Connection(ClientConnection):
            def __init__(self, *arguments: Any, **more: Any) -> None:
                super().__init__(*arguments, **more)
                made.append(self)

        security: dict[str, Any] = {"additional_headers": {"Authorization": f"Bearer {token}"}}
        if self._identity is not None:
            security = _tls(self._identity.client({JOBMANAGER}))
            url = url.replace("ws://", "wss://", 1)
        try:
            async with asyncio.timeout(deadline):
                place = urlsplit(url)
                opened = await connect(
                    url,
                    sock=await reach(place.hostname or "", place.port or 0),
                    max_size=MAX_MESSAGE,
                    compression=None,
                    ping_interval=None,
                    open_timeout=None,
                    close_timeout=2,
                    proxy=None,
                    logger=_quiet(),
                    create_connection=Connection,
                    **security,
                )
        except (OSError, WebSocketException, EOFError) as error:
            if isinstance(error, InvalidStatus) and error.response.status_code in (401, 403):
                raise HandshakeRefused(f"{url} {_refusal(error.response)}") from error
            lost = [getattr(connection, "connection_exc", None) for connection in made]
            raise _told(url, error, next(filter(None, lost), error)) from error
        return WebSocketConnection(opened)


def _tls(context: ssl.SSLContext | None) -> dict[str, Any]:
    """What asyncio is told about TLS; nothing, where there is none."""
    if context is None:
        return {}
    from flowjob.runtime.real.tls import CLOSE_WITHIN, HANDSHAKE_WITHIN

    return {
        "ssl": context,
        "ssl_handshake_timeout": HANDSHAKE_WITHIN,
        "ssl_shutdown_timeout": CLOSE_WITHIN,
    }


def _refusal(response: Any) -> str:
    if response.status_code == 401:
        return "refuses the token"
    said = (response.body or b"").decode(errors="replace").strip()
    return f"refuses this process: {said}"


def _told(url: str, error: Exception, lost: BaseException) -> Exception:
    """`lost`: with what the connection itself has ended, which the library keeps to itself."""
    from flowjob.runtime.real.tls import PeerRefused, cause_in, explain

    found = cause_in(error) or cause_in(lost)
    if isinstance(found, PeerRefused):
        return HandshakeRefused(f"{url} is another process than it should be: {explain(found)}")
    if found is not None:
        return ConnectionError(f"{url}: {explain(found)}")
    if isinstance(error, TimeoutError):
        return error
    kind = ConnectionRefusedError if isinstance(error, ConnectionRefusedError) else ConnectionError
    return kind(f"{url}: {str(error) or 'it has closed the connection'}")


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
