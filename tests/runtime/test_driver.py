"""What goes on beside a task is over before its chain is closed, and never hides why that happened."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowjob.runtime.driver import Driver, first_of
from flowjob.testing.virtual_time import MockClock, run_virtually

SECOND = 1


class Closing:
    """A chain whose operators take a second to close, and fail when they are used after that has begun."""

    def __init__(self) -> None:
        self.closing = False
        self.uses = 0

    def use(self) -> None:
        assert not self.closing, "used while it is closed"
        self.uses += 1

    async def close(self) -> None:
        self.closing = True
        await asyncio.sleep(SECOND)


async def fails_after(seconds: float, text: str) -> None:
    await asyncio.sleep(seconds)
    raise ValueError(text)


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def test_a_chain_that_is_being_closed_is_not_used_any_more_and_the_failure_is_the_tasks() -> None:
    chain = Closing()

    async def commits() -> None:
        while True:
            await asyncio.sleep(0.3)
            chain.use()

    async def main() -> None:
        driver: Any = Driver(chain, MockClock())  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="a bad row"):
            await driver.live(fails_after(1, "a bad row"), commits())

    run_virtually(main())
    assert chain.uses == 3
    assert chain.closing


def test_a_failure_beside_a_task_ends_it_and_closes_its_chain() -> None:
    chain = Closing()

    async def main() -> None:
        driver: Any = Driver(chain, MockClock())  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="cannot commit"):
            await driver.live(for_ever(), fails_after(1, "cannot commit"))

    run_virtually(main())
    assert chain.closing


def test_of_two_failures_at_once_the_first_named_is_told() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="work"):
            await first_of(fails_after(1, "work"), fails_after(1, "beside"))

    run_virtually(main())


def test_work_that_is_done_ends_what_goes_on_beside_it() -> None:
    ended: list[str] = []

    async def beside() -> None:
        try:
            await for_ever()
        finally:
            ended.append("beside")

    run_virtually(first_of(asyncio.sleep(1), beside()))
    assert ended == ["beside"]


def test_work_that_cancels_itself_is_cancelled() -> None:
    async def cancels() -> None:
        raise asyncio.CancelledError

    async def main() -> None:
        with pytest.raises(asyncio.CancelledError):
            await first_of(cancels(), for_ever())

    run_virtually(main())
