"""A task that has failed closes its sinks; what is committed meanwhile never hides why."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowjob.runtime.driver import Driver
from flowjob.runtime.task_set import committing
from flowjob.testing.virtual_time import MockClock, run_virtually


class Closing:
    """A chain whose operators take a second to close, and remember what the driver said then."""

    def __init__(self) -> None:
        self.driver: Driver | None = None
        self.failed: bool | None = None

    async def close(self) -> None:
        assert self.driver is not None
        self.failed = self.driver.failed
        await asyncio.sleep(1)


class Commits:
    """Fails after half a second."""

    async def commits(self) -> None:
        await asyncio.sleep(0.5)
        raise AssertionError("a sink is opened before it is used")


def driven() -> tuple[Any, Closing]:
    chain: Any = Closing()
    chain.driver = Driver(chain, MockClock())
    return chain.driver, chain


async def fails() -> None:
    raise ValueError("a bad row")


def test_a_chain_is_known_to_have_failed_before_it_is_closed() -> None:
    driver, chain = driven()

    async def main() -> None:
        with pytest.raises(ValueError, match="a bad row"):
            await driver.live(fails())

    run_virtually(main())
    assert chain.failed


def test_a_chain_that_ends_has_not_failed() -> None:
    driver, chain = driven()
    run_virtually(driver.live(asyncio.sleep(1)))
    assert chain.failed is False


def test_a_commit_that_fails_as_the_sink_is_closed_does_not_hide_why_the_task_failed() -> None:
    driver, _ = driven()
    snapshots: Any = Commits()

    async def main() -> None:
        beside = asyncio.ensure_future(committing(snapshots, driver))
        with pytest.raises(ValueError, match="a bad row"):
            await driver.live(fails())
        assert not beside.done()
        beside.cancel()

    run_virtually(main())


def test_a_commit_that_fails_by_itself_is_told() -> None:
    driver, _ = driven()
    snapshots: Any = Commits()

    async def main() -> None:
        with pytest.raises(AssertionError, match="opened before"):
            await committing(snapshots, driver)

    run_virtually(main())
