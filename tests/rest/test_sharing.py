"""Answers that many share: for how long, with whom, and how many are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from flowjob_api.sharing import UNKNOWN, Sharing


class Asked:
    """A clock, and questions that count themselves."""

    def __init__(self, **more: Any) -> None:
        self.now = 0.0
        clock: Any = self
        self.sharing = Sharing(clock, **more)
        self.count = 0
        self.open = asyncio.Event()
        self.open.set()
        self.fails = False

    def monotonic(self) -> float:
        return self.now

    async def question(self) -> int:
        self.count += 1
        number = self.count
        await self.open.wait()
        if self.fails:
            raise ValueError(str(number))
        return number

    async def ask(self, key: Any = "a", again: float | None = None) -> int:
        found: int = await self.sharing.ask(key, 10.0, self.question, again)
        return found


def run(test: Callable[[Asked], Awaitable[None]], **more: Any) -> None:
    async def work() -> None:
        await test(Asked(**more))

    asyncio.run(work())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_an_answer_is_as_old_as_its_question() -> None:
    async def test(asked: Asked) -> None:
        asked.open.clear()
        first = asyncio.ensure_future(asked.ask())
        await settle()
        asked.now = 6.0
        asked.open.set()
        assert await first == 1
        asked.now = 9.9
        assert (await asked.ask(), asked.sharing.known("a", 10.0)) == (1, 1)
        asked.now = 10.0
        assert asked.sharing.known("a", 10.0) is UNKNOWN
        assert await asked.ask() == 2

    run(test)


def test_all_who_wait_get_the_answer_and_its_failure_is_theirs_alone() -> None:
    async def test(asked: Asked) -> None:
        asked.open.clear()
        asked.fails = True
        waiting = [asyncio.ensure_future(asked.ask()) for _ in range(3)]
        await settle()
        asked.open.set()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert [str(one) for one in answers] == ["1"] * 3
        asked.fails = False
        assert await asked.ask() == 2

    run(test)


def test_what_is_asked_for_often_is_asked_again_before_it_is_over_and_nobody_waits() -> None:
    async def test(asked: Asked) -> None:
        assert await asked.ask(again=7.0) == 1
        asked.now = 7.0
        asked.open.clear()
        assert [await asked.ask(again=7.0) for _ in range(3)] == [1, 1, 1]
        await settle()
        asked.open.set()
        await settle()
        assert (await asked.ask(again=7.0), asked.count) == (2, 2)
        asked.now = 16.9
        assert asked.sharing.known("a", 10.0) == 2

    run(test)


def test_a_failure_of_that_does_not_make_an_answer_last_longer() -> None:
    async def test(asked: Asked) -> None:
        await asked.ask(again=7.0)
        asked.now, asked.fails = 8.0, True
        assert await asked.ask(again=7.0) == 1
        await settle()
        asked.now = 10.0
        with pytest.raises(ValueError, match="3"):
            await asked.ask(again=7.0)

    run(test)


def test_so_many_are_kept_and_the_oldest_go_first() -> None:
    async def test(asked: Asked) -> None:
        for key in range(100):
            await asked.ask(key)
        assert len(asked.sharing) == 8
        assert asked.sharing.known(92, 10.0) == 93
        assert asked.sharing.known(91, 10.0) is UNKNOWN

    run(test, most=8)


def test_what_is_over_goes_as_soon_as_something_else_is_asked() -> None:
    async def test(asked: Asked) -> None:
        for key in range(5):
            await asked.ask(key)
        asked.now = 1.0
        await asked.ask("other")
        assert len(asked.sharing) == 1

    run(test, forgotten_after=1.0)


def test_a_question_ends_when_nobody_waits_for_it_any_more() -> None:
    async def test(asked: Asked) -> None:
        asked.open.clear()
        waiting = [asyncio.ensure_future(asked.ask()) for _ in range(2)]
        await settle()
        waiting[0].cancel()
        await settle()
        assert len(asked.sharing) == 1
        waiting[1].cancel()
        await settle()
        assert len(asked.sharing) == 0

    run(test)
