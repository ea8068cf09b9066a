"""JobManagers that wait beside a leader."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from flowjob.core.snapshot_log import LogState
from flowjob.runtime.env import StoreLocation
from flowjob.runtime.jobmanager.cluster import Endpoint
from flowjob.runtime.jobmanager.leading import stand_by
from flowjob.runtime.jobmanager.snapshot_store import SnapshotStore
from flowjob.runtime.jobmanager.standing_by import until_nobody_leads
from flowjob.runtime.storage.memory import MemoryStore
from flowjob.testing.virtual_time import run_virtually
from tests.runtime.storage.fakes import SeededRandom

HERE = Endpoint("ws://10.0.0.2:7000", "token")


class Log:
    """Says that somebody leads."""

    async def look(self) -> LogState:
        return LogState(generation=1, address="10.0.0.1:7000")


class Silence:
    """Where nobody ever answers, nor refuses."""

    async def connect(self, *_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()


class NobodyThere:
    """A process that has ended: its host says so."""

    async def connect(self, *_: Any, **__: Any) -> Any:
        raise ConnectionRefusedError


def unheard(_: str) -> None:
    """Nobody wants to know who leads."""


class LoopClock:
    def wall(self) -> int:
        return int(self.monotonic() * 1e6)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def test_one_that_is_told_to_leave_leaves_nothing_waiting() -> None:
    async def scenario() -> None:
        env: Any = SimpleNamespace(clock=LoopClock(), random=None, control=Silence())
        log: Any = Log()
        waiting = asyncio.ensure_future(
            until_nobody_leads(env, log, HERE, lambda _: False, unheard)
        )
        await asyncio.sleep(0.5)  # virtual: it asks, and pauses until it asks again
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtually(scenario())


def test_one_that_led_before_at_the_same_address_need_not_ask_itself() -> None:
    async def scenario() -> None:
        env: Any = SimpleNamespace(clock=LoopClock(), random=None, control=Silence())
        log: Any = Log()
        await until_nobody_leads(
            env, log, Endpoint("ws://10.0.0.1:7000", "token"), lambda _: False, unheard
        )
        assert asyncio.get_running_loop().time() == 0

    run_virtually(scenario())


def test_the_only_one_there_is_to_be_asks_once_and_does_not_wait_long() -> None:
    async def scenario() -> None:
        env: Any = SimpleNamespace(clock=LoopClock(), random=None, control=Silence())
        log: Any = Log()
        await until_nobody_leads(env, log, HERE, lambda _: False, unheard, 1)
        assert asyncio.get_running_loop().time() == 0.25

    run_virtually(scenario())


@pytest.mark.parametrize(("there", "seconds"), [(Silence(), 3), (NobodyThere(), 0.5)])
def test_a_leader_whose_process_has_ended_is_followed_sooner_than_a_silent_one(
    there: Any, seconds: float
) -> None:
    async def scenario() -> None:
        env: Any = SimpleNamespace(clock=LoopClock(), random=None, control=there)
        log: Any = Log()
        told: list[str] = []
        await until_nobody_leads(env, log, HERE, lambda _: False, told.append)
        assert asyncio.get_running_loop().time() == seconds
        assert told == ["", "", ""], "TaskManagers would be sent to it"

    run_virtually(scenario())


def test_a_leader_of_an_older_revision_is_not_waited_for() -> None:
    async def scenario() -> None:
        env: Any = SimpleNamespace(clock=LoopClock(), random=None, control=Silence())
        log: Any = Log()
        await until_nobody_leads(env, log, HERE, lambda state: state.job_revision < 1, unheard)
        assert asyncio.get_running_loop().time() == 0

    run_virtually(scenario())


def request_of_a_standby() -> Any:
    return SimpleNamespace(
        service=SimpleNamespace(standby=True, run="run", cluster=None, misses=1),
        job=SimpleNamespace(checkpoints=SimpleNamespace(location="memory", root="j")),
        checkpoints=object(),
    )


class Closing(MemoryStore):
    """Knows whether it was closed."""

    closed = False

    async def close(self) -> None:
        self.closed = True


def test_one_whose_turn_has_come_leads_with_the_log_that_it_has_read() -> None:
    async def scenario() -> None:
        store = Closing()
        env: Any = SimpleNamespace(
            clock=LoopClock(), random=SeededRandom(), control=Silence(), open_store=lambda _: store
        )
        found = await stand_by(env, request_of_a_standby(), HERE, unheard)
        assert found is not None
        assert found.state == LogState()
        assert not store.closed

    run_virtually(scenario())


def test_one_whose_turn_never_comes_closes_the_store_it_looked_into() -> None:
    async def scenario() -> None:
        store = Closing()
        env: Any = SimpleNamespace(
            clock=LoopClock(), random=SeededRandom(), control=Silence(), open_store=lambda _: store
        )
        leader = SnapshotStore(env, StoreLocation("memory"), "j")
        await leader.claim("revision", "10.0.0.1:7000")
        store.closed = False
        waiting = asyncio.ensure_future(stand_by(env, request_of_a_standby(), HERE, unheard))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert store.closed

    run_virtually(scenario())
