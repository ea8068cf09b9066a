"""Server-sent events over HTTP: what is sent is asked for when the client can take it, and never queued.

So a slow client costs no memory: it gets less often what changes, and the newest of it then. One that takes nothing for
half a minute is left. Knows nothing of jobs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import msgspec
from fastapi.responses import Response
from starlette.types import Message, Receive, Scope, Send

from flowjob_api.clock import Clock

SEND_WITHIN: Final = 30.0
"""Seconds for a client to take one event."""

BEAT: Final = b": beat\n\n"
HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # proxies hold events back otherwise
}


def event(name: str, data: bytes, id: str | None = None) -> bytes:
    """One event; `data` is JSON, which has no line breaks."""
    number = b"" if id is None else f"id: {id}\n".encode()
    return number + f"event: {name}\n".encode() + b"data: " + data + b"\n\n"


def json_event(name: str, data: Any, id: str | None = None) -> bytes:
    return event(name, msgspec.json.encode(data), id)


class EventStream(Response):
    """Sends what `events` yields until it ends, or the client goes. `closed` is called in the end."""

    media_type = "text/event-stream"

    def __init__(
        self, events: AsyncIterator[bytes], clock: Clock, closed: Callable[[], None]
    ) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._events = events
        self._clock = clock
        self._closed = closed
        self._sending_since: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin: Message = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        tasks = [
            asyncio.ensure_future(self._send_all(begin, send)),
            asyncio.ensure_future(_gone(receive)),
            asyncio.ensure_future(self._stuck()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._closed()
        failed = None if tasks[0].cancelled() else tasks[0].exception()
        if failed is not None and not isinstance(failed, OSError):
            raise failed

    async def _send_all(self, begin: Message, send: Send) -> None:
        await self._send(send, begin)
        events = self._events
        async with contextlib.aclosing(events) as open_events:  # type: ignore[type-var]
            async for data in open_events:
                await self._send(
                    send, {"type": "http.response.body", "body": data, "more_body": True}
                )
        await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, message: Message) -> None:
        self._sending_since = self._clock.monotonic()
        await send(message)
        self._sending_since = None

    async def _stuck(self) -> None:
        """Returns when the client has taken too long over one event."""
        while True:
            now = self._clock.monotonic()
            until = (self._sending_since if self._sending_since is not None else now) + SEND_WITHIN
            if now >= until:
                return
            await self._clock.sleep(until - now)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
