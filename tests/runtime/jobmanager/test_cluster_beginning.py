"""What the storage of a cluster's job says before it begins: earlier jobs of its name, snapshots that are expected."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from flowjob.core.beginning import Code, FromLog, FromNothing, FromPlace, Prior, Refused, Wish
from flowjob.core.snapshot_log import Begin, Commit
from flowjob.errors import OutdatedRevision, PriorState
from flowjob.runtime.env import StoreLocation
from flowjob.runtime.jobmanager.cluster_beginning import as_error, decide, say_that_it_lives
from flowjob.runtime.jobmanager.snapshot_store import SnapshotStore
from flowjob.runtime.real.env import real_env
from flowjob.runtime.storage.job_log import Terms
from flowjob.runtime.storage.paths import JobPaths, Lives, segment

OLD, NEW = Lives("data", "flights", "u-1"), Lives("data", "flights", "u-2")


def test_a_job_has_its_namespace_name_and_uid_in_the_store() -> None:
    assert OLD.paths == JobPaths("data/flights/u-1")
    assert OLD.of_marker(OLD.marker) == OLD.paths
    assert NEW.of_marker(OLD.marker) == OLD.paths
    assert NEW.of_marker("data/flights/u-1/log/1.json") is None
    assert Lives("data", "x/../y", "u").paths.root == f"data/{segment('x/../y')}/u"


class World:
    """One directory, in which jobs of one name come and go."""

    def __init__(self, directory: Path) -> None:
        self.env: Any = real_env(directory)
        self.location = StoreLocation(str(directory / "store"))

    async def life(
        self, lives: Lives, *, revision: int = 1, snapshot: int = 0, manifest: bool = True
    ) -> SnapshotStore:
        """A job that has claimed its log, and perhaps completed a snapshot."""
        store = SnapshotStore(self.env, self.location, lives.paths.root)
        store.introduce(Terms(revision, 1, 1))
        await say_that_it_lives(store, lives)
        await store.claim("plan")
        if snapshot:
            name = f"checkpoints/{snapshot}/g1/manifest.json"
            if manifest:
                await store.store.put(store.paths.full(name), b"{}")
            await store._append(Begin(1, "a", "", "1", 1))
            await store._append(Commit(1, snapshot, name))
        return store


def decided(directory: Path, wish: Wish, **old: Any) -> Any:
    async def scenario() -> Any:
        world = World(directory)
        before = await world.life(OLD, **old)
        store = await world.life(NEW)
        try:
            return await decide(world.env, store, wish, NEW)
        finally:
            await before.close()
            await store.close()

    return asyncio.run(scenario())


def test_a_job_that_is_made_again_under_its_name_does_not_begin_empty(tmp_path: Path) -> None:
    found = decided(tmp_path, Wish(), snapshot=7)
    assert isinstance(found, Refused)
    assert found.code is Code.PRIOR_STATE
    place = f"{tmp_path}/store/data/flights/u-1/checkpoints/7/g1"
    assert place in found.reason
    assert isinstance(as_error(found), PriorState)


def test_it_resumes_or_leaves_it_alone_when_that_is_said(tmp_path: Path) -> None:
    place = f"{tmp_path}/store/data/flights/u-1/checkpoints/7/g1"
    assert decided(tmp_path, Wish(prior=Prior.RESUME), snapshot=7) == FromPlace(place)
    assert decided(tmp_path / "other", Wish(prior=Prior.IGNORE), snapshot=7) == FromNothing()


@pytest.mark.parametrize("old", [{}, {"snapshot": 7, "manifest": False}])
def test_one_that_has_left_nothing_is_no_prior_state(tmp_path: Path, old: dict[str, Any]) -> None:
    assert decided(tmp_path, Wish(), **old) == FromNothing()


def test_what_is_expected_is_looked_for_in_the_log_and_elsewhere(tmp_path: Path) -> None:
    async def scenario() -> None:
        world = World(tmp_path)
        store = await world.life(OLD, snapshot=7)
        own = f"{tmp_path}/store/data/flights/u-1"
        for path, expected in [
            (f"{own}/checkpoints/7/g1", FromLog()),
            (f"{own}/checkpoints/6/g1", FromLog()),
            (f"{tmp_path}/elsewhere/savepoints/s", FromLog()),
        ]:
            assert await decide(world.env, store, Wish(expected=path), OLD) == expected
        later = await decide(world.env, store, Wish(expected=f"{own}/checkpoints/8/g1"), OLD)
        assert isinstance(later, Refused)
        assert later.code is Code.STATE_MISSING
        await store.close()

    asyncio.run(scenario())


def test_a_jobmanager_of_an_older_revision_is_refused_and_hears_who_led(tmp_path: Path) -> None:
    async def scenario() -> None:
        world = World(tmp_path)
        store = SnapshotStore(world.env, world.location, OLD.paths.root)
        store.introduce(Terms(2, 1, 1))
        await store.claim("plan", "10.0.0.1:7400")
        older = SnapshotStore(world.env, world.location, OLD.paths.root)
        older.introduce(Terms(1, 1, 1))
        with pytest.raises(OutdatedRevision, match="revision 2 has led") as refused:
            await older.claim("plan")
        assert refused.value.leader == "10.0.0.1:7400"
        assert await store.leads()
        await store.close()
        await older.close()

    asyncio.run(scenario())


def test_who_has_resigned_appends_nothing_more(tmp_path: Path) -> None:
    async def scenario() -> None:
        world = World(tmp_path)
        store = await world.life(OLD, snapshot=7)
        await store.resign()
        with pytest.raises(Exception, match="given up"):
            await store.finish("succeeded")
        await store.close()

    asyncio.run(scenario())
