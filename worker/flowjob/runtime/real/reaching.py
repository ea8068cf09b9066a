"""A TCP connection to a name behind which there may be several hosts, of which some may be gone without a word.

Why: the addresses of a service outlive its pods for a moment, and what is sent to one that is gone is not refused but
swallowed. It must not know what is said over the connection."""

from __future__ import annotations

import asyncio
import socket

ACCEPT_WITHIN = 1.0
"""Seconds for a host to accept: its kernel does, however busy the process is. Then the name is looked up anew."""

NEXT_AFTER = 0.1
"""Seconds until the next address is tried beside one that has not accepted yet."""


async def reach(host: str, port: int) -> socket.socket:
    """Connected, to whichever address accepts first. Raises OSError (ConnectionRefusedError where nobody listens) and
    TimeoutError."""
    from aiohappyeyeballs import start_connection  # only who connects needs it

    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    try:
        async with asyncio.timeout(ACCEPT_WITHIN):
            return await start_connection(found, happy_eyeballs_delay=NEXT_AFTER)
    except TimeoutError:
        raise TimeoutError(f"nobody accepts a connection at {host}:{port}") from None
