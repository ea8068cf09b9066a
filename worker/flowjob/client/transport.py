"""What the client needs of a connection: one request, one answer, read whole or line by line.

Two carry it: http_transport.py, and whatever a test puts in its place. It must not know jobs, retries or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

LONGEST_ANSWER = 64 << 20
"""Bytes of an answer that is read whole; more is none of ours."""


@dataclass(frozen=True, slots=True)
class Request:
    """`path` from the root of the server, with its query. `timeout`: seconds for each step: to connect, to send, and
    between two pieces of the answer."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    timeout: float = 30.0


class Answer(Protocol):
    """An answer whose body may still be on its way. Close it."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """By their names in small letters."""
        ...

    def read(self) -> bytes:
        """The whole body. Raises OSError when the connection breaks, ValueError beyond LONGEST_ANSWER."""
        ...

    def lines(self) -> Iterator[str]:
        """The body as it comes, without line ends. Raises OSError, TimeoutError."""
        ...

    def close(self) -> None: ...


class Transport(Protocol):
    """May be used by one thread at a time."""

    def send(self, request: Request) -> Answer:
        """The answer as soon as its headers are there. Raises OSError when there is none (TimeoutError among them)."""
        ...

    def close(self) -> None: ...
