"""TaskManagers that come before the JobManager leads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import msgspec.structs
import pytest

from flowjob.core.heartbeats import HeartbeatMonitor
from flowjob.runtime import messages
from flowjob.runtime.jobmanager.sessions import HELD, Sessions
from flowjob.testing import MockClock, run_virtually

HELLO = messages.Register(
    protocol=messages.PROTOCOL, taskmanager="tm", slots=1, pid=1, host="here", generation=1
)


class Connection:
    """Of a TaskManager that registers, and then says nothing."""

    def __init__(self, name: str = "tm") -> None:
        self.hello = msgspec.structs.replace(HELLO, taskmanager=name)
        self.sent: list[messages.ToTaskManager] = []

    async def receive(self) -> bytes | None:
        return messages.to_jobmanager.encode(self.hello) if not self.sent else None

    async def send(self, message: bytes) -> None:
        self.sent.append(messages.to_taskmanager.decode(message))

    async def close(self, reason: str = "") -> None: ...


class Lasting(Connection):
    """Says nothing more until it is closed."""

    def __init__(self, name: str = "tm") -> None:
        super().__init__(name)
        self.welcomed, self.closed = asyncio.Event(), asyncio.Event()

    async def send(self, message: bytes) -> None:
        await super().send(message)
        self.welcomed.set()

    async def receive(self) -> bytes | None:
        if not self.sent:
            return await super().receive()
        await self.closed.wait()
        return None

    async def close(self, reason: str = "") -> None:
        self.closed.set()


def sessions_of(
    clock: MockClock, leads_yet: Callable[[], Awaitable[bool]] | None = None
) -> Sessions:
    nothing: Any = lambda *_: None
    return Sessions(
        SimpleNamespace(clock=clock),  # type: ignore[arg-type]
        monitor=HeartbeatMonitor(interval=1.0, timeout=10.0),
        resumes=lambda _: False,
        registered=nothing,
        departing=nothing,
        lost=nothing,
        received=nothing,
        asked=nothing,
        outdated=nothing,
        leads_yet=leads_yet or nothing,
    )


def looks(*answers: bool) -> Callable[[], Awaitable[bool]]:
    """At the log, which says so, one time after the other."""
    left = iter(answers)

    async def look() -> bool:
        await asyncio.sleep(0.1)
        return next(left)

    return look


@pytest.mark.parametrize(
    ("leads_after", "answer"),
    [
        (0.5, messages.NotLeading(come_again=True)),
        (None, messages.NotLeading()),
    ],
    ids=["it leads soon", "it does not lead"],
)
def test_one_that_comes_before_anybody_leads_is_kept_waiting_for_a_moment(
    leads_after: float | None, answer: messages.NotLeading
) -> None:
    async def come() -> None:
        clock, connection = MockClock(), Connection()
        sessions, began = sessions_of(clock), clock.monotonic()
        serving = asyncio.ensure_future(sessions.serve(connection))
        if leads_after is not None:
            await clock.sleep(leads_after)
            sessions.generation = 2
            sessions.renew()
        await serving
        assert connection.sent == [answer]
        assert clock.monotonic() - began == (HELD if leads_after is None else leads_after)

    run_virtually(come())


def test_nobody_is_kept_waiting_by_one_that_ends() -> None:
    async def come() -> None:
        clock, connection = MockClock(), Connection()
        sessions, began = sessions_of(clock), clock.monotonic()
        serving = asyncio.ensure_future(sessions.serve(connection))
        await clock.sleep(0.5)
        await sessions.close()
        await serving
        assert connection.sent == [messages.NotLeading()]
        assert clock.monotonic() - began == 0.5

    run_virtually(come())


def test_one_that_comes_to_a_standby_is_sent_to_the_leader_at_once() -> None:
    async def come() -> None:
        clock, connection = MockClock(), Connection()
        sessions, began = sessions_of(clock), clock.monotonic()
        sessions.leader = "ws://leader:7400"
        await sessions.serve(connection)
        assert connection.sent == [messages.NotLeading(leader="ws://leader:7400")]
        assert clock.monotonic() == began

    run_virtually(come())


def test_one_that_leaves_its_taskmanagers_to_another_does_not_wait_for_what_became_of_them() -> (
    None
):
    async def come_and_be_left() -> None:
        clock, connection = MockClock(), Lasting()
        sessions = sessions_of(clock, looks(True))
        sessions.generation = 1
        serving = asyncio.ensure_future(sessions.serve(connection))
        await connection.welcomed.wait()
        began = clock.monotonic()
        await sessions.abandon()
        await serving
        assert clock.monotonic() == began

    run_virtually(come_and_be_left())


def test_one_that_has_no_taskmanagers_and_leads_no_more_starts_nothing_with_those_that_come() -> (
    None
):
    async def come_late() -> None:
        connection = Connection()
        sessions = sessions_of(MockClock(), looks(False))
        sessions.generation = 1
        await sessions.serve(connection)
        assert connection.sent == [messages.NotLeading()]
        assert sessions.here() == []

    run_virtually(come_late())


def test_one_that_cannot_find_out_whether_it_leads_keeps_nobody_waiting_for_long() -> None:
    async def come() -> None:
        clock, connections = MockClock(), [Connection("one"), Connection("two")]

        async def hang() -> bool:
            await asyncio.Event().wait()
            return True

        sessions, began = sessions_of(clock, hang), clock.monotonic()
        sessions.generation = 1
        await asyncio.gather(*(sessions.serve(one) for one in connections))
        assert [one.sent for one in connections] == [[messages.NotLeading()]] * 2
        assert clock.monotonic() - began == HELD

    run_virtually(come())


def test_many_that_come_at_once_have_it_look_once() -> None:
    async def come() -> None:
        sessions = sessions_of(MockClock(), looks(True))
        sessions.generation = 1
        connections = [Lasting(f"tm-{n}") for n in range(3)]
        serving = [asyncio.ensure_future(sessions.serve(one)) for one in connections]
        for one in connections:
            await one.welcomed.wait()
        assert len(sessions.here()) == 3
        await sessions.abandon()
        await asyncio.gather(*serving)

    run_virtually(come())
