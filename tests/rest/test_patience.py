"""Clients that never end their headers: they hold a connection for so long and no longer."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from flowjob_api import serving
from flowjob_api.app import create_app
from flowjob_api.patience import HEADERS_WITHIN, PatientProtocol

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Hasty(PatientProtocol):
    headers_within = 0.05


class Loop:
    """Of a protocol: it keeps what is to be called later, and starts no task."""

    def __init__(self) -> None:
        self.alarms: list[tuple[float, Callable[[], None], Any]] = []

    def call_later(self, seconds: float, call: Callable[..., None], *given: Any) -> Any:
        self.alarms.append((seconds, functools.partial(call, *given), timer := Timer()))
        return timer

    def create_task(self, coroutine: Any, **_: Any) -> Any:
        coroutine.close()
        return Task()


class Task:
    def add_done_callback(self, call: Any) -> None:
        pass


class Timer:
    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Transport:
    def __init__(self) -> None:
        self.written, self.closed, self.aborted = b"", False, False
        self.rest = 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def get_write_buffer_size(self) -> int:
        return self.rest


def connected() -> tuple[PatientProtocol, Loop, Transport]:
    loop, transport = Loop(), Transport()
    config = uvicorn.Config(create_app(), http=PatientProtocol, log_config=None, ws="none")
    config.load()
    protocol = PatientProtocol(config, ServerState(), {}, loop)  # type: ignore[arg-type]
    protocol.connection_made(transport)
    return protocol, loop, transport


def test_bytes_that_trickle_in_do_not_put_off_the_deadline() -> None:
    protocol, loop, transport = connected()
    for byte in REQUEST[:-2]:
        protocol.data_received(bytes([byte]))
    ((seconds, late, timer),) = loop.alarms
    assert (seconds, timer.cancelled) == (HEADERS_WITHIN, False)
    late()
    assert transport.closed
    assert transport.written.startswith(b"HTTP/1.1 408 ")


def test_a_connection_made_in_advance_is_closed_without_an_answer() -> None:
    _, loop, transport = connected()
    loop.alarms[0][1]()
    assert (transport.closed, transport.written) == (True, b"")


def test_whoever_ends_their_headers_is_not_hurried() -> None:
    protocol, loop, transport = connected()
    protocol.data_received(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nxx")
    assert [timer.cancelled for _, _, timer in loop.alarms] == [True]
    assert not transport.closed


async def with_service(test: Callable[[int], Awaitable[None]]) -> None:
    config = serving._config(create_app())
    assert config.http is PatientProtocol
    config.http = Hasty
    server = serving._Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # so that nobody is refused who comes before it serves
        running = asyncio.ensure_future(server.serve(sockets=[listening]))
        try:
            await test(listening.getsockname()[1])
        finally:
            server.should_exit = server.force_exit = True
            await running


def asking(port: int, sent: bytes) -> socket.socket:
    """A client whose bytes are there before the service knows of it: nothing depends on who is faster."""
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(sent)
    client.setblocking(False)
    return client


async def answered(client: socket.socket) -> bytes:
    """All that comes until the service closes the connection."""
    found = b""
    with client:
        while part := await asyncio.get_running_loop().sock_recv(client, 4096):
            found += part
    return found


@pytest.mark.slow
def test_a_slow_client_loses_its_connection_and_the_others_do_not_notice() -> None:
    async def test(port: int) -> None:
        slow = [asking(port, REQUEST[:-2]) for _ in range(20)]
        quick = asking(port, REQUEST.replace(b"Host", b"Connection: close\r\nHost"))
        assert (await answered(quick)).startswith(b"HTTP/1.1 200 ")
        for client in slow:
            assert (await answered(client)).startswith(b"HTTP/1.1 408 ")

    asyncio.run(with_service(test))
