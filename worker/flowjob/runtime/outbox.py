"""Messages waiting to be sent over a control connection, and the running of tasks that end together.

`put` never waits, so that decisions stay synchronous; producers without limit of their own (output lines, reports)
await `room` so that a slow reader holds them back instead of filling memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any

from flowjob.runtime.env import ControlConnection

HIGH_WATER = 4 << 20
"""Bytes waiting beyond which `room` waits."""


class Outbox:
    """In order, and kept across connections: a message leaves it once it has been handed to one."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._empty = asyncio.Event()
        self._empty.set()

    def put(self, message: bytes) -> None:
        self._waiting.append(message)
        self._bytes += len(message)
        self._filled.set()
        self._empty.clear()
        if self._bytes > HIGH_WATER:
            self._room.clear()

    @property
    def full(self) -> bool:
        return not self._room.is_set()

    async def room(self) -> None:
        """Returns once less than HIGH_WATER is waiting."""
        await self._room.wait()

    async def flushed(self) -> None:
        """Returns once everything has been handed to a connection."""
        await self._empty.wait()

    async def run(self, connection: ControlConnection) -> None:
        """Sends until cancelled. Raises ConnectionError when the connection is gone."""
        while True:
            await self._filled.wait()
            while self._waiting:
                await connection.send(self._waiting[0])
                self._bytes -= len(self._waiting.popleft())
                if self._bytes <= HIGH_WATER:
                    self._room.set()
            self._filled.clear()
            self._empty.set()


async def first_of(*coroutines: Coroutine[Any, Any, Any]) -> None:
    """Runs them together until one ends, cancels and awaits the others; raises what the first one raised."""
    tasks = [asyncio.ensure_future(c) for c in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel_all(tasks)
    for task in done:
        task.result()


async def cancel_all(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Cancels and awaits; what they raise is dropped."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
