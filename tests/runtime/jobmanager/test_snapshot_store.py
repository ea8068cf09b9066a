"""What the job's log says after its store has not answered: records wait for each other, and none is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from flowjob.errors import LostLeadership, StorageError
from flowjob.runtime.checkpoint.manifest import Manifest
from flowjob.runtime.env import Env, StoreLocation
from flowjob.runtime.jobmanager.snapshot_store import SnapshotStore
from flowjob.runtime.storage.memory import MemoryObjects, MemoryStore, NoFaults
from flowjob.testing import MockClock
from flowjob.testing.virtual_time import run_inline, run_virtually
from tests.runtime.storage.fakes import SeededRandom

Write = Callable[[SnapshotStore], Awaitable[Any]]


class Dark(NoFaults):
    """While `on`, the log takes nothing and tells nothing. `obeys`: it takes the first one, and does not say so."""

    on = False
    obeys = False

    async def before(self, operation: str, name: str) -> None:
        if self.on and "/log/" in name and not (self.obeys and operation == "create"):
            raise StorageError("the store is away")

    async def after(self, operation: str, name: str) -> None:
        if self.on and "/log/" in name:
            self.obeys = False
            raise StorageError("the store does not answer")


def opened(objects: MemoryObjects, faults: NoFaults | None = None) -> SnapshotStore:
    clock, missing = MockClock(), None
    without: Any = missing

    def open_store(location: StoreLocation) -> MemoryStore:
        return MemoryStore(objects, now=clock.wall, faults=faults)

    chance = SeededRandom()
    env = Env(clock, without, without, without, chance, Path("/"), run_inline, None, open_store)
    return SnapshotStore(env, StoreLocation("memory"), "j")


async def commit(store: SnapshotStore, checkpoint: int) -> bool:
    directory = f"checkpoints/{checkpoint}"
    manifest = Manifest(
        id=checkpoint,
        kind="checkpoint",
        job="j",
        run_id="run",
        created=0,
        max_parallelism=128,
        vertices=[],
        tasks=[],
    )
    await store.write(manifest, directory)
    return await store.commit(manifest, directory)


async def begun(store: SnapshotStore, *checkpoints: int) -> None:
    await store.claim("revision")
    await store.begin("run", "")
    for checkpoint in checkpoints:
        assert await commit(store, checkpoint)


async def through_the_dark(faults: Dark, *writes: Awaitable[Any]) -> list[Any]:
    """What becomes of them when the log is away for so long that it is not known what it has taken."""
    faults.on = True
    writing = asyncio.gather(*writes)
    await asyncio.sleep(100.0)
    assert not writing.done()
    faults.on = False
    return await writing


@pytest.mark.parametrize("obeys", [False, True])
def test_a_commit_that_waits_behind_a_record_of_unknown_outcome_counts(obeys: bool) -> None:
    async def main() -> None:
        faults = Dark()
        store = opened(MemoryObjects(), faults)
        await begun(store, 1, 2)
        faults.obeys = obeys
        _, counts = await through_the_dark(faults, store.retire(1), commit(store, 3))
        assert counts, "it has leadership as before, only claimed anew"
        assert store.state.newest_id == 3
        assert store.state.retired == (1,)
        await store.close()

    run_virtually(main())


@pytest.mark.parametrize("obeys", [False, True])
def test_a_commit_of_unknown_outcome_counts_if_the_log_has_it(obeys: bool) -> None:
    async def main() -> None:
        faults = Dark()
        store = opened(MemoryObjects(), faults)
        await begun(store, 1)
        faults.obeys = obeys
        assert await through_the_dark(faults, commit(store, 2)) == [obeys]
        assert store.state.newest_id == 1 + obeys
        assert await commit(store, 3)
        await store.close()

    run_virtually(main())


WRITES: dict[str, tuple[Write, Callable[[SnapshotStore], bool]]] = {
    "retire": (lambda s: s.retire(1), lambda s: s.state.retired == (1,)),
    "published": (lambda s: s.say_published(2), lambda s: s.state.published == (2,)),
    "finish": (lambda s: s.finish("succeeded"), lambda s: s.state.ended == "succeeded"),
    "begin": (lambda s: s.begin("another", "x"), lambda s: s.state.run == "another"),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_record_that_the_log_has_not_taken_is_appended_again(name: str) -> None:
    write, is_in = WRITES[name]

    async def main() -> None:
        faults, objects = Dark(), MemoryObjects()
        store = opened(objects, faults)
        await begun(store, 1, 2)
        await through_the_dark(faults, write(store))
        assert is_in(store)
        fresh = opened(objects)
        assert await fresh.look() == store.state, "and so says who reads it"
        await fresh.close()
        await store.close()

    run_virtually(main())


def test_nothing_is_deleted_before_the_log_says_that_it_is_retired() -> None:
    class Watched(Dark):
        said: bool | None = None

        async def before(self, operation: str, name: str) -> None:
            if operation == "delete" and "/checkpoints/" in name and self.said is None:
                entries = [o.data for n, o in objects.found.items() if "/log/" in n]
                self.said = any(b'"retire"' in data for data in entries)
            await super().before(operation, name)

    objects = MemoryObjects()

    async def main() -> None:
        faults = Watched()
        store = opened(objects, faults)
        await begun(store, 1, 2)
        await through_the_dark(faults, store.retire(1))
        await store.close()
        assert "j/checkpoints/1/manifest.json" not in objects.found
        assert faults.said, "an append of unknown outcome says nothing"

    run_virtually(main())


def test_who_has_lost_the_job_meanwhile_hears_so_whatever_it_writes() -> None:
    async def main() -> None:
        objects = MemoryObjects()
        old, new = opened(objects), opened(objects)
        await begun(old, 1, 2)
        await new.claim("another")
        await old.look()
        writes: list[Write] = [write for write, _ in WRITES.values()]
        for write in [*writes, lambda s: commit(s, 3)]:
            with pytest.raises(LostLeadership):
                await write(old)
        await old.close()
        await new.close()

    run_virtually(main())
