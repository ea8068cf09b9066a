"""Server-sent events: what changes, once, in order; beats, rights and slow clients, in time that the test keeps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from flowjob.cluster.job_details import DetailsError, LogQuery
from flowjob_api.auth.callers import NOBODY, Caller
from flowjob_api.event_stream import EventStream
from flowjob_api.following import (
    Followed,
    Following,
    following_job,
    following_jobs,
    following_logs,
)
from flowjob_api.problems import Refused
from flowjob_api.rows import row_of
from flowjob_api.schemas.jobs import JobSummary
from flowjob_api.service_metrics import ServiceMetrics
from flowjob_api.services.jobs import Listed, Ref
from flowjob_api.services.local import LocalJobs
from tests.rest.samples import FakeLive


class Ticking:
    """A clock that goes on when everybody sleeps or waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleeping: list[tuple[float, int, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleeping.append((self.now + seconds, len(self._sleeping), future))
        await future

    async def drive(self) -> None:
        """For ever."""
        while True:
            for _ in range(30):
                await asyncio.sleep(0)
            waiting = sorted(one for one in self._sleeping if not one[2].done())
            self._sleeping = waiting
            if waiting:  # else everybody waits for something that a test does
                self.now = max(self.now, waiting[0][0])
                waiting[0][2].set_result(None)


class Gate:
    """A door that can be closed."""

    def __init__(self) -> None:
        self.open = True
        self.asked = 0

    async def still(self, caller: Caller) -> bool:
        self.asked += 1
        return self.open


class Client:
    """What a client gets, by name of event."""

    def __init__(self, most: int = 500) -> None:
        self.clock = Ticking()
        self.live = FakeLive()
        self.live.details.sleep = self.clock.sleep
        self.gate = Gate()
        jobs: Any = LocalJobs(self.live, self.clock)
        door: Any = self.gate
        self.following = Following(jobs, door, ServiceMetrics(), self.clock, most)

    def followed(self, last: str | None = None, ref: bool = True) -> Followed:
        request: Any = None
        return Followed(request, NOBODY, Ref("local", "orders") if ref else None, last)

    async def open(
        self, topics: str = "job,change", last: str | None = None, every: float = 2.0
    ) -> EventStream:
        found = await following_job(
            self.following, self.followed(last), tuple(topics.split(",")), every
        )
        assert isinstance(found, EventStream)
        return found


def played(test: Callable[[Client], Awaitable[None]], most: int = 500) -> None:
    async def work() -> None:
        client = Client(most)
        driving = asyncio.ensure_future(client.clock.drive())
        try:
            await test(client)
        finally:
            driving.cancel()
            await asyncio.gather(driving, return_exceptions=True)

    asyncio.run(work())


async def events(stream: EventStream) -> AsyncIterator[tuple[str, Any]]:
    async for data in stream._events:
        for one in data.decode().strip().split("\n\n"):
            fields = dict(line.partition(": ")[::2] for line in one.split("\n"))
            yield (
                fields.get("event", "beat" if "" in fields else "retry"),
                json.loads(fields.get("data", "null")),
            )


async def next_of(found: AsyncIterator[tuple[str, Any]], name: str) -> Any:
    async for kind, data in found:
        if kind == name:
            return data
    raise AssertionError(f"the stream has ended without `{name}`")


def test_a_change_is_told_at_once_and_what_has_not_changed_is_not_told_again() -> None:
    async def test(client: Client) -> None:
        found = events(await client.open("job,change,graph"))
        assert (await next_of(found, "job"))["name"] == "orders"
        assert (await next_of(found, "graph"))["name"]
        for text in ("one", "two"):
            client.live.details.happen(text)
            kind, data = await found.__anext__()
            assert (kind, data["text"]) == ("change", text)

    played(test)


def test_a_client_that_comes_back_gets_what_it_missed() -> None:
    async def test(client: Client) -> None:
        for text in ("one", "two", "three"):
            client.live.details.happen(text)
        found = events(await client.open("change", last="1"))
        assert [(await next_of(found, "change"))["text"] for _ in range(2)] == ["two", "three"]

    played(test)


def test_a_quiet_stream_beats_every_fifteen_seconds() -> None:
    async def test(client: Client) -> None:
        found = events(await client.open("job", every=1.0))
        await next_of(found, "job")
        before = client.clock.now
        await next_of(found, "beat")
        assert 15 <= client.clock.now - before <= 32

    played(test)


@pytest.mark.parametrize("ref", [True, False])
def test_rights_are_looked_at_every_minute_and_their_end_is_the_streams(ref: bool) -> None:
    async def test(client: Client) -> None:
        opened = (
            await client.open("job")
            if ref
            else await following_jobs(client.following, client.followed(ref=False), None, 2.0)
        )
        assert isinstance(opened, EventStream)
        found = events(opened)
        await next_of(found, "job")
        client.gate.open = False
        await next_of(found, "expired")
        assert client.clock.now <= 60 + 32
        assert [one async for one in found] == []

    played(test)


def test_a_job_manager_that_does_not_answer_is_a_problem_and_the_stream_goes_on() -> None:
    async def test(client: Client) -> None:
        found = events(await client.open("job"))
        await next_of(found, "job")
        client.live.details.fails = DetailsError("UNREACHABLE", "the JobManager does not answer")
        client.live.details.happen("woken")
        assert (await next_of(found, "problem"))["code"] == "UNREACHABLE"

    played(test)


def test_many_who_follow_one_job_cost_its_job_manager_as_much_as_one() -> None:
    async def test(client: Client) -> None:
        streams = [events(await client.open("graph")) for _ in range(50)]
        await asyncio.gather(*(next_of(one, "graph") for one in streams))
        assert client.live.details.asked.count("Graph") <= 2

    played(test)


def test_only_so_many_follow_at_once_and_places_come_free() -> None:
    async def test(client: Client) -> None:
        first = await client.open()
        with pytest.raises(Refused, match="follow already"):
            await client.open()
        first._closed()
        await client.open()

    played(test, most=1)


def test_one_user_may_not_take_the_places_of_all_others() -> None:
    async def test(client: Client) -> None:
        def follow(user: str) -> Any:
            followed = replace(client.followed(), caller=Caller(user))
            return following_job(client.following, followed, ("job",), 2.0)

        client.following.most_each = 2
        first, _ = await follow("ann"), await follow("ann")
        with pytest.raises(Refused) as refused:
            await follow("ann")
        assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "30")
        await follow("bob")
        first._closed()
        await follow("ann")
        assert client.following.followers == 3

    played(test)


def test_followers_of_one_log_are_told_by_one_question() -> None:
    async def test(client: Client) -> None:
        streams = [
            await following_logs(client.following, client.followed(), LogQuery()) for _ in range(20)
        ]
        found = [events(one) for one in streams if isinstance(one, EventStream)]
        await asyncio.gather(*(next_of(one, "line") for one in found))
        assert client.live.details.asked.count("Logs") <= 2

    played(test)


def test_the_list_is_told_whole_and_then_only_what_has_changed_or_gone() -> None:
    rows = {n: row_of(JobSummary(namespace="a", name=n, uid=n, state="Running")) for n in "xyz"}
    steps = [
        (list(rows.values()), [("job", "x"), ("job", "y"), ("job", "z")]),
        ([rows["x"], replace(rows["y"], body=rows["y"].body.replace(b"Running", b"Failed"))],
         [("gone", "z"), ("job", "y")]),
    ]  # fmt: skip

    async def test(client: Client) -> None:
        listed: list[Any] = [steps[0][0]]
        jobs: Any = SimpleNamespace(jobs=lambda *_: answer())
        client.following.jobs = jobs

        async def answer() -> Listed:
            return Listed(listed[0], id(listed[0]))

        stream = await following_jobs(client.following, client.followed(ref=False), None, 2.0)
        assert isinstance(stream, EventStream)
        found = events(stream)
        assert (await found.__anext__())[0] == "retry"
        for now, expected in steps:
            listed[0] = now
            told = [await found.__anext__() for _ in expected]
            assert [(kind, data["name"]) for kind, data in told] == expected

    played(test)


def test_a_client_that_takes_nothing_for_half_a_minute_is_left() -> None:
    async def test(client: Client) -> None:
        stream = await client.open()
        stuck, began = asyncio.Event(), client.clock.now

        async def receive() -> Any:
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            await stuck.wait()

        await stream({"type": "http"}, receive, send)
        assert client.clock.now - began == 30
        assert client.following.followers == 0

    played(test)


def test_a_client_that_leaves_is_forgotten() -> None:
    async def test(client: Client) -> None:
        sent: list[Any] = []
        enough = asyncio.Event()
        stream = await client.open()

        async def receive() -> Any:
            await enough.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)
            if len(sent) == 3:
                enough.set()

        await stream({"type": "http"}, receive, send)
        assert client.following.followers == 0

    played(test)
