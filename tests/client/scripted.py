"""A service that answers from a list, and a clock in which nothing waits: for tests of what the client does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from flowjob.client.client import Client
from flowjob.client.retrying import Retries
from flowjob.client.service import Service
from flowjob.client.transport import Answer, Request


class VirtualClock:
    """Time passes only by sleeping."""

    def __init__(self) -> None:
        self.time = 0.0
        self.pauses: list[float] = []
        self._keys = 0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time += seconds

    def chance(self) -> float:
        return 1.0

    def key(self) -> str:
        self._keys += 1
        return f"key-{self._keys}"


@dataclass
class Scripted:
    """One answer. `breaks`: raised by the body behind what there is of it; `after`: seconds that it takes."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    stream: tuple[str, ...] = ()
    breaks: OSError | None = None
    after: float = 0.0
    closed: bool = False

    def read(self) -> bytes:
        if self.breaks is not None:
            raise self.breaks
        return self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body)

    def lines(self) -> Iterator[str]:
        yield from self.stream
        if self.breaks is not None:
            raise self.breaks

    def close(self) -> None:
        self.closed = True


class ScriptedTransport:
    """Answers in turn, and remembers what it was asked. An exception is raised instead."""

    def __init__(self, clock: VirtualClock, answers: list[Scripted | OSError]) -> None:
        self._clock = clock
        self._answers = answers
        self.asked: list[Request] = []

    def send(self, request: Request) -> Answer:
        self.asked.append(request)
        found = self._answers.pop(0)
        if isinstance(found, OSError):
            raise found
        self._clock.time += found.after
        return found

    def close(self) -> None: ...


def scripted(
    *answers: Scripted | OSError, token: str | None = None, attempts: int = 6
) -> tuple[Client, ScriptedTransport, VirtualClock]:
    """A client, what it speaks to, and its clock."""
    clock = VirtualClock()
    transport = ScriptedTransport(clock, list(answers))
    service = Service(
        transport, "http://it", lambda: token, clock=clock, retries=Retries(attempts=attempts)
    )
    return Client(service), transport, clock


def problem(status: int, code: str = "", detail: str = "no", **more: Any) -> Scripted:
    """A refusal, as the service writes one."""
    body = {"type": "about:blank", "title": "No", "status": status, "detail": detail, "code": code}
    return Scripted(status, {**body, **more}, {"content-type": "application/problem+json"})


def operation(state: str = "Running", **more: Any) -> dict[str, Any]:
    """As JSON."""
    job = {"namespace": "shop", "name": "orders"}
    return {"id": "op/1", "kind": "Savepoint", "job": job, "state": state, **more}
