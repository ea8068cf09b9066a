"""Kubernetes Events: counted rather than repeated, never waited for, never a failure."""

from __future__ import annotations

import asyncio
from typing import Any

from flowjob_operator.process.telling.events import Events, Regarding
from flowjob_operator.process.telling.metrics import Metrics
from tests.operator.process.fake_api import FakeApi, error, terminating
from tests.operator.process.harness import play
from tests.operator.process.world import VirtualClock

JOB = Regarding("flowjob.dev/v1beta1", "FlowJob", "a", "flights", "uid-1")
AGAIN = Regarding("flowjob.dev/v1beta1", "FlowJob", "a", "flights", "uid-2")


class Posting:
    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.events = Events(api, VirtualClock(), Metrics(), "replica-0")

    async def __aenter__(self) -> Events:
        self.task = asyncio.create_task(self.events.run())
        return self.events

    async def __aexit__(self, *_: Any) -> None:
        self.task.cancel()


def posted(api: FakeApi) -> list[dict[str, Any]]:
    return [found for (plural, *_), found in api.objects.items() if plural == "events"]


def test_equal_events_are_counted_and_posted_seldom() -> None:
    async def scenario() -> None:
        api = FakeApi()
        async with Posting(api) as events:
            for _ in range(100):
                events.emit(JOB, "Warning", "PreflightFailed", "no such image")
                await asyncio.sleep(1)
        (event,) = posted(api)
        assert event["count"] == 91
        assert event["reason"] == "PreflightFailed"
        assert event["involvedObject"]["uid"] == "uid-1"
        assert event["lastTimestamp"] > event["firstTimestamp"]
        assert len(api.requests) == 4

    play(scenario)


def test_events_of_another_one_of_the_name_are_not_merged() -> None:
    async def scenario() -> None:
        api = FakeApi()
        async with Posting(api) as events:
            for who in (JOB, AGAIN, JOB):
                events.emit(who, "Normal", "Stable", "it is stable")
            await asyncio.sleep(1)
        assert len(posted(api)) == 2

    play(scenario)


def test_one_that_was_collected_meanwhile_is_posted_anew() -> None:
    async def scenario() -> None:
        api = FakeApi()
        async with Posting(api) as events:
            events.emit(JOB, "Normal", "Stable", "it is stable")
            await asyncio.sleep(60)
            api.objects.clear()
            events.emit(JOB, "Normal", "Stable", "it is stable")
            await asyncio.sleep(1)
        assert [event["count"] for event in posted(api)] == [2]

    play(scenario)


def test_whatever_goes_wrong_is_forgotten() -> None:
    async def scenario() -> None:
        api = FakeApi()
        async with Posting(api) as events:
            for fault in (terminating("a"), error(403, "Forbidden"), error(404, "NotFound"), 1e3):
                api.before = lambda _, fault=fault: fault  # type: ignore[misc]
                events.emit(JOB, "Normal", f"Reason{type(fault).__name__}{fault}"[:20], "x")
                await asyncio.sleep(1)
            api.before = lambda _: None
            events.emit(JOB, "Normal", "Stable", "it is stable")
            await asyncio.sleep(2e3)
        assert "Stable" in [event["reason"] for event in posted(api)]

    play(scenario)


def test_a_server_that_hangs_holds_up_nobody_and_memory_is_bounded() -> None:
    async def scenario() -> None:
        api = FakeApi(before=lambda _: 1e9)
        async with Posting(api) as events:
            for n in range(10_000):
                events.emit(JOB, "Warning", "Failed", f"number {n}")
            await asyncio.sleep(1)
            assert events._waiting.qsize() <= 1000
            assert len(events._known) <= 4096

    play(scenario)
