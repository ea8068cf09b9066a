"""Names with several addresses, of which some are of hosts that are gone."""

from __future__ import annotations

import asyncio
import socket
from asyncio.selector_events import BaseSelectorEventLoop
from typing import Any

import pytest

from flowjob.runtime.real import reaching

GONE = "192.0.2.1"
"""Of a network that nobody has."""


@pytest.fixture(autouse=True)
def swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent to the one that is gone goes nowhere, whatever this machine's network makes of it."""
    plain: Any = BaseSelectorEventLoop.sock_connect

    async def connect(loop: Any, sock: socket.socket, address: tuple[str, int]) -> None:
        if address[0] == GONE:
            await asyncio.Event().wait()
        await plain(loop, sock, address)

    monkeypatch.setattr(BaseSelectorEventLoop, "sock_connect", connect)


def named(monkeypatch: pytest.MonkeyPatch, *places: tuple[str, int]) -> None:
    async def looked_up(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", looked_up)


def test_an_address_that_swallows_everything_does_not_keep_from_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = server.getsockname()
        named(monkeypatch, (GONE, there[1]), there)
        with asyncio.run(reaching.reach("service", there[1])) as connected:
            assert connected.getpeername() == there


def test_a_host_that_does_not_accept_is_given_up_soon_and_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reaching, "ACCEPT_WITHIN", 0.01)
    named(monkeypatch, (GONE, 7400))
    with pytest.raises(TimeoutError, match="nobody accepts a connection at service:7400"):
        asyncio.run(reaching.reach("service", 7400))


def test_a_host_that_refuses_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(reaching.reach("127.0.0.1", port))
