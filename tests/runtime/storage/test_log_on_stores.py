"""The job's log on real stores: leaders that race, and a server that goes away in the middle."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from flowjob.errors import LostLeadership
from flowjob.runtime.env import Env, StoreLocation
from flowjob.runtime.real.env import real_env
from flowjob.runtime.storage.job_log import JobLog
from flowjob.runtime.storage.object_store import ObjectStore
from flowjob.runtime.storage.paths import JobPaths
from tests.runtime.storage.fakes import said, story
from tests.s3_servers import S3Server, versitygw

PATHS = JobPaths.of("prices")


def opened(env: Env, location: StoreLocation) -> ObjectStore:
    assert env.open_store is not None
    return env.open_store(location)


async def race(env: Env, location: StoreLocation, leaders: int) -> None:
    """Each claims, says three words, and is pushed out sooner or later: the log has what was acknowledged, once."""
    stores = [opened(env, location) for _ in range(leaders)]
    sure: list[str] = []

    async def lead(who: int) -> None:
        log = JobLog(stores[who], PATHS, env.clock, env.random)
        await log.claim(f"revision {who}")
        for n in range(3):
            try:
                await log.append(said(log, f"{who}-{n}"))
            except LostLeadership:
                return
            sure.append(f"{who}-{n}")

    await asyncio.gather(*(lead(who) for who in range(leaders)))
    reader = JobLog(stores[0], PATHS, env.clock, env.random)
    assert sorted(story(await reader.read())) == sorted(sure)
    assert reader.state.generation == leaders
    assert reader.length == leaders + len(sure)
    for store in stores:
        await store.close()


def test_racing_leaders_in_a_directory(tmp_path: Path) -> None:
    asyncio.run(race(real_env(tmp_path), StoreLocation(str(tmp_path / "store")), 5))


def test_racing_leaders_in_a_bucket(s3_server: S3Server, tmp_path: Path) -> None:
    env = real_env(tmp_path)
    asyncio.run(race(env, s3_server.location(f"race-{env.random.token()}"), 5))


@pytest.mark.s3
def test_appends_go_on_when_the_server_is_killed_and_comes_back(tmp_path: Path) -> None:
    async def scenario(server: S3Server) -> None:
        env = real_env(tmp_path)
        store = opened(env, server.location("killed"))
        log = JobLog(store, PATHS, env.clock, env.random)
        await log.claim("r1")
        words = [f"w{n}" for n in range(200)]

        async def interrupt() -> None:
            await env.run_blocking(server.kill)
            await env.run_blocking(server.start)

        interruptions = []
        for word in words:
            if word in ("w20", "w90", "w150"):
                interruptions.append(asyncio.create_task(interrupt()))
            await log.append(said(log, word))
        await asyncio.gather(*interruptions)
        assert story(await JobLog(store, PATHS, env.clock, env.random).read()) == words
        await store.close()

    with versitygw() as server:
        asyncio.run(scenario(server))
