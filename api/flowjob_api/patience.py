"""A connection whose request does not arrive, or whose answer is not taken, is closed: uvicorn's protocol, with
deadlines for headers and for readers, and a bound on connections that is answered by a problem.

uvicorn bounds how long a connection may be silent between requests, but not how slowly a request may come or an answer
go: a byte every few seconds would hold a connection for ever. Bodies have a deadline of their own (surrounding.py)."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from flowjob_api.schemas.problems import Problem

HEADERS_WITHIN: Final = 10.0
"""Seconds from a connection's beginning, or from the first byte of a later request, to the end of the headers."""

TAKEN_WITHIN: Final = 30.0
"""Seconds for a client that is behind to take `LEAST_TAKEN` bytes"""
LEAST_TAKEN: Final = 4096
MOST_CONNECTIONS: Final = 2000

_LATE: Final = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def _full() -> bytes:
    problem = Problem(
        title="Service Unavailable",
        status=503,
        detail=f"{MOST_CONNECTIONS} connections are open already: come again later",
        code="BUSY",
    )
    body = problem.model_dump_json(by_alias=True).encode()
    head = (
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 30\r\n"
        f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


_FULL: Final = _full()


class PatientProtocol(H11Protocol):
    """For `http=` of uvicorn's Config."""

    headers_within = HEADERS_WITHIN
    most_connections = MOST_CONNECTIONS
    _alarm: asyncio.TimerHandle | None = None
    _taking: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            self._refused = True
            transport.write(_FULL)
            transport.close()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            super().data_received(data)
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm()
        self._taken()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_less()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._taken()

    def timeout_keep_alive_handler(self) -> None:
        """What is left of the answer before has been there for as long as a whole silence may last."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def _expect_less(self) -> None:
        self._taken()
        before = self.transport.get_write_buffer_size()
        self._taking = self.loop.call_later(TAKEN_WITHIN, self._look_at_rest, before)

    def _look_at_rest(self, before: int) -> None:
        self._taking = None
        if self.transport.get_write_buffer_size() > before - LEAST_TAKEN:
            self.transport.abort()
        else:
            self._expect_less()

    def _taken(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _watch(self) -> None:
        """Whoever is in the middle of headers has no more time than was left before; a whole request is no more
        waited for."""
        if self.conn.their_state is not h11.IDLE:
            self._calm()
        elif self._alarm is None:
            self._alarm = self.loop.call_later(self.headers_within, self._late)

    def _calm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _late(self) -> None:
        self._alarm = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            if self.conn.trailing_data[
                0
            ]:  # of a request; a connection that was made in advance is only closed
                self.transport.write(_LATE)
            self.transport.close()
