"""HTTP as those speak it who ask the service here: as little of it as costs the least, for both cores are shared.

A connection sends a request that was made before, and reads its answer by Content-Length, or as it comes."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass

HEADERS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Server:
    """`context` None: without TLS."""

    port: int
    context: ssl.SSLContext | None


def request(path: str, token: str, *more: str) -> bytes:
    """A GET."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


class Connection:
    """One request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, server: Server, *, kept: int | None = None) -> Connection:
        """`kept`: bytes that are taken off the wire before they are read, in the kernel and here; None: many."""
        sock = socket.socket()
        sock.setblocking(False)
        if kept is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, kept)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", server.port))
            reader, writer = await asyncio.open_connection(
                sock=sock,
                ssl=server.context,
                server_hostname=None if server.context is None else "localhost",
                limit=kept or HEADERS,
            )
        except BaseException:
            sock.close()
            raise
        return cls(reader, writer)

    async def ask(self, made: bytes) -> tuple[int, int, bytes]:
        """Status, bytes of the body, and the headers. Raises OSError, asyncio.IncompleteReadError."""
        status, headers = await self.begin(made)
        found = headers.lower().partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]
        length = int(found or 0) if status != 304 else 0
        if length:
            await self.reader.readexactly(length)
        return status, length, headers

    async def begin(self, made: bytes) -> tuple[int, bytes]:
        """Status and headers; the body is left."""
        self._writer.write(made)
        headers = await self.reader.readuntil(b"\r\n\r\n")
        return int(headers[9:12]), headers

    def close(self) -> None:
        self._writer.transport.abort()
