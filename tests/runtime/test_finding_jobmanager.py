"""Whoever looks for a JobManager and finds none says whom it has asked, and what came of it."""

from __future__ import annotations

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from flowjob.runtime import messages
from flowjob.runtime.finding_jobmanager import (
    EARLY,
    EARLY_PAUSE,
    LONGEST_PAUSE,
    JobManagerSearch,
    SentAway,
)
from flowjob.runtime.real.clock import RealRandom
from flowjob.testing import MockClock, run_virtually


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "[Errno 111] Connection refused"),
        (TimeoutError(), "nobody answered in time"),  # as asyncio raises it: without a word
    ],
)
def test_the_last_error_is_told_also_where_it_has_no_words(error: OSError, said: str) -> None:
    class Away:
        async def connect(self, url: str, token: str, *, deadline: float) -> None:
            raise error

    env: Any = SimpleNamespace(clock=MockClock(), random=RealRandom(), control=Away())
    search = JobManagerSearch(env, ["ws://a:1", "ws://b:1"], "token", lambda: None)  # type: ignore[arg-type,return-value]

    async def look() -> None:
        with pytest.raises(SentAway) as raised:
            await search.find(3.0, asyncio.Event())
        assert str(raised.value) == (
            f"no JobManager at ws://a:1 or ws://b:1 for 3 s (last error: {said})"
        )

    run_virtually(look())


def test_whoever_is_to_end_does_not_wait_for_an_address_that_swallows_everything() -> None:
    class Silent:
        closed = False

        async def connect(self, url: str, token: str, *, deadline: float) -> None:
            try:
                await clock.sleep(deadline)
            finally:
                self.closed = True

    clock, control, ending = MockClock(), Silent(), asyncio.Event()
    env: Any = SimpleNamespace(clock=clock, random=RealRandom(), control=control)
    search = JobManagerSearch(env, ["ws://a:1"], "token", lambda: None)  # type: ignore[arg-type,return-value]

    async def look() -> None:
        began = clock.monotonic()
        finding = asyncio.ensure_future(search.find(60.0, ending))
        await clock.sleep(0.2)
        ending.set()
        assert await finding is None
        assert clock.monotonic() - began < 1.0
        assert control.closed

    run_virtually(look())


class Answers:
    """JobManagers by address: what each answers to one who registers, in turn."""

    def __init__(self, clock: MockClock, **answers: list[messages.ToTaskManager]) -> None:
        self.asked: list[tuple[str, float]] = []
        self._clock = clock
        self._answers = {f"ws://{name}:1": answer for name, answer in answers.items()}

    async def connect(self, url: str, token: str, *, deadline: float) -> Any:
        self.asked.append((url, self._clock.monotonic()))
        said = self._answers[url]
        answer = said.pop(0) if len(said) > 1 else said[0]

        async def send(_: bytes) -> None: ...

        async def receive() -> bytes:
            return messages.to_taskmanager.encode(answer)

        async def close() -> None: ...

        return SimpleNamespace(send=send, receive=receive, close=close)


def hello() -> messages.Register:
    return messages.Register(
        protocol=messages.PROTOCOL, taskmanager="tm", slots=1, pid=1, host="here", generation=1
    )


def found_at(answers: Answers, clock: MockClock, *urls: str) -> str | None:
    env: Any = SimpleNamespace(clock=clock, random=RealRandom(), control=answers)
    search = JobManagerSearch(env, urls, "token", hello)
    run_virtually(search.find(3.0, asyncio.Event()))
    return answers.asked[-1][0]


WELCOME = messages.Welcome(keep=[], generation=2)


def test_whoever_is_named_as_the_leader_is_asked_at_once() -> None:
    clock = MockClock()
    answers = Answers(
        clock, standby=[messages.NotLeading(leader="ws://leader:1")], leader=[WELCOME]
    )
    assert found_at(answers, clock, "ws://standby:1") == "ws://leader:1"
    assert answers.asked[-1][1] == answers.asked[0][1]


def test_one_that_leads_meanwhile_is_asked_again_at_once() -> None:
    clock = MockClock()
    answers = Answers(clock, a=[messages.NotLeading(come_again=True), WELCOME])
    assert found_at(answers, clock, "ws://a:1") == "ws://a:1"
    assert answers.asked[-1][1] == answers.asked[0][1]


def test_two_that_name_each_other_are_not_asked_without_a_pause() -> None:
    clock = MockClock()
    a, b = (messages.NotLeading(leader=f"ws://{name}:1") for name in "ba")
    answers = Answers(clock, a=[a], b=[b])
    with pytest.raises(SentAway):
        found_at(answers, clock, "ws://a:1")
    assert len(answers.asked) < 100


def test_the_next_jobmanager_is_found_soon_after_it_has_come_and_one_that_stays_away_is_left_in_peace() -> (
    None
):
    clock = MockClock()
    answers = Answers(clock, a=[messages.NotLeading()])
    env: Any = SimpleNamespace(clock=clock, random=RealRandom(), control=answers)
    search = JobManagerSearch(env, ["ws://a:1"], "token", hello)
    with pytest.raises(SentAway):
        run_virtually(search.find(120.0, asyncio.Event()))
    rounds = [when for _, when in answers.asked]
    pauses = [after - before for before, after in itertools.pairwise(rounds)]
    early = [pause for when, pause in zip(rounds, pauses) if when - rounds[0] < EARLY]
    assert max(early) <= EARLY_PAUSE
    assert sum(pauses[-50:]) / 50 > LONGEST_PAUSE / 2
