"""A newest checkpoint that cannot be read: an older one stands in where that is exactly once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import flowjob as fj
from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob.core.snapshot_log import Commit
from flowjob.errors import DamagedSnapshot, SnapshotError
from flowjob.plan import compile_job
from flowjob.plan.job_graph import JobGraph
from flowjob.runtime.checkpoint.manifest import Manifest, OperatorState, TaskSnapshot
from flowjob.runtime.checkpoint.sections import Distribution, Section
from flowjob.runtime.checkpoint.state_files import placed, write_parts
from flowjob.runtime.checkpoint.verifying import verify_snapshot
from flowjob.runtime.env import StoreLocation
from flowjob.runtime.jobmanager.request import JobEvent
from flowjob.runtime.jobmanager.snapshot_store import RestorePoint, SnapshotStore
from flowjob.runtime.jobmanager.standing_in import (
    BeginningAgain,
    OlderCheckpointUsed,
    newest_that_is_whole,
)
from flowjob.testing.virtual_time import run_virtually
from tests.runtime.jobmanager.test_sinks_of_whole_jobs import Directory, Number, until
from tests.runtime.jobmanager.whole_jobs import Run, Strikes, Struck, World

Damage = Callable[[dict[str, Any]], None]
"""Of the objects of a store."""


def no_manifest(found: dict[str, Any]) -> None:
    del found["j/checkpoints/3/g1/manifest.json"]


def another_manifest(found: dict[str, Any]) -> None:
    found["j/checkpoints/3/g1/manifest.json"] = found["j/checkpoints/2/g1/manifest.json"]


def no_object(found: dict[str, Any]) -> None:
    del found["j/checkpoints/3/g1/state"]


def cut_object(found: dict[str, Any]) -> None:
    found["j/checkpoints/3/g1/state"] = found["j/checkpoints/2/g1/state"]


DAMAGES = [no_manifest, another_manifest, no_object, cut_object]


def changed(found: dict[str, Any], checkpoint: int) -> None:
    """A byte of its object, which is as long as before."""
    name = f"j/checkpoints/{checkpoint}/g1/state"
    data = found[name].data
    found[name] = replace(found[name], data=data[:-200] + bytes([data[-200] ^ 1]) + data[-199:])


async def three_checkpoints(world: World, *results: int) -> SnapshotStore:
    """Of one run, each with an object; sinks have prepared so many results for them."""
    store = SnapshotStore(world.env, StoreLocation("memory:"), "j")
    await store.claim("revision")
    await store.begin("run", "")
    for number, count in enumerate(results, 1):
        directory = f"checkpoints/{number}/g1"
        file = BytesIO()
        rows = pa.table({"n": list(range(100 * number))})
        parts = write_parts([Section("s", Distribution.UNION, rows)], 128, range(128), file)
        items = [b"%d" % i for i in range(count)]
        states = [
            OperatorState(
                uid="u", name="n", kind="k", parts=placed(parts, "state"), committables=items
            )
        ]
        manifest = Manifest(
            id=number,
            kind="checkpoint",
            job="j",
            run_id="run",
            created=0,
            max_parallelism=128,
            vertices=[],
            tasks=[TaskSnapshot(task=(0, 0), operators=states)],  # type: ignore[arg-type]
        )
        await store.store.put(f"j/{directory}/state", file.getvalue())
        await store.write(manifest, directory)
        assert await store.commit(manifest, directory)
    return store


@pytest.mark.parametrize("damage", DAMAGES)
def test_where_nothing_was_published_since_an_older_one_stands_in(
    tmp_path: Path, damage: Damage
) -> None:
    world, told = World(tmp_path), list[JobEvent]()

    async def main() -> None:
        store = await three_checkpoints(world, 1, 1, 0)
        damage(world.objects.found)
        point = await newest_that_is_whole(store, store.state, told.append)
        assert point.manifest.id == 2
        assert (store.state.newest, store.state.run) == (None, "run")
        assert store.state.source.endswith("j/checkpoints/2/g1/manifest.json")
        await store.close()

    run_virtually(main())
    (event,) = told
    assert isinstance(event, OlderCheckpointUsed)
    assert event.text.startswith("checkpoint 3 cannot be read (")
    assert "beginning from checkpoint 2: no sink has committed anything since" in event.text


@pytest.mark.parametrize("damage", DAMAGES)
def test_where_something_may_have_been_published_nothing_stands_in_and_all_that_can_be_done_is_said(
    tmp_path: Path, damage: Damage
) -> None:
    world = World(tmp_path)

    async def main() -> None:
        store = await three_checkpoints(world, 0, 0, 1)
        damage(world.objects.found)
        with pytest.raises(DamagedSnapshot) as refused:
            await newest_that_is_whole(store, store.state, lambda _: None)
        text = str(refused.value)
        assert text.startswith("checkpoint 3, the newest of the job, cannot be read: ")
        assert "flowjob savepoint verify memory:/j/checkpoints/3/g1" in text
        assert "2 (memory:/j/checkpoints/2/g1), 1 (memory:/j/checkpoints/1/g1)" in text
        assert "--from PATH" in text
        assert store.state.newest_id == 3
        await store.close()

    run_virtually(main())


@pytest.mark.parametrize(
    "harm", [lambda found: found.pop("j/checkpoints/2/g1/state"), lambda found: changed(found, 2)]
)
def test_a_stand_in_that_is_damaged_too_is_passed_over(tmp_path: Path, harm: Damage) -> None:
    world = World(tmp_path)

    async def main() -> None:
        store = await three_checkpoints(world, 1, 0, 0)
        no_object(world.objects.found)
        harm(world.objects.found)
        point = await newest_that_is_whole(store, store.state, lambda _: None)
        assert point.manifest.id == 1
        await store.close()

    run_virtually(main())


async def read_all(point: RestorePoint | None, store: SnapshotStore) -> str | None:
    """As slots do: what is wrong with its bytes."""
    assert point is not None
    found = await verify_snapshot(store.store, point.directory, point.manifest)
    return found[0] if found else None


def test_bytes_that_only_slots_find_changed_are_stood_in_for_at_the_next_restart(
    tmp_path: Path,
) -> None:
    world, told = World(tmp_path), list[JobEvent]()

    async def main() -> None:
        store = await three_checkpoints(world, 1, 0, 0)
        changed(world.objects.found, 3)
        again = BeginningAgain(store)
        point = await again.point(None, told.append)
        what = await read_all(point, store)
        assert point is not None
        assert point.manifest.id == 3, "it looks well from outside"
        assert what is not None
        assert again.found_damaged(point, what)
        assert not again.found_damaged(point, "another slot says so, too")
        point = await again.point(point, told.append)
        assert point is not None
        assert point.manifest.id == 2
        assert await read_all(point, store) is None
        assert not again.found_damaged(point, "nothing stands in for a stand-in")
        assert await again.point(point, told.append) == point
        await store.close()

    run_virtually(main())
    (event,) = told
    assert "checkpoint 3 cannot be read (section `s` in object j/checkpoints/3" in event.text


def test_where_nothing_may_stand_in_it_is_said_what_can_be_done(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def main() -> None:
        store = await three_checkpoints(world, 0, 0, 1)
        again = BeginningAgain(store)
        point = await again.point(None, lambda _: None)
        assert again.found_damaged(point, "bytes have changed")
        with pytest.raises(DamagedSnapshot, match=r"bytes have changed.*--from PATH"):
            await again.point(point, lambda _: None)
        await store.close()

    run_virtually(main())


@pytest.mark.parametrize("named", [False, True])
def test_the_latest_of_an_earlier_run_is_stood_in_for_but_not_a_snapshot_that_was_named(
    tmp_path: Path, named: bool
) -> None:
    world = World(tmp_path)

    async def main() -> None:
        store = await three_checkpoints(world, 1, 0, 0)
        before = store.state
        assert before.newest is not None
        initial = await store.read(before.newest)
        await store.begin("run", initial.name)
        again = BeginningAgain(store, None if named else before)
        assert await again.point(initial, lambda _: None) == initial
        assert again.found_damaged(initial, "bytes have changed") is not named
        point = await again.point(initial, lambda _: None)
        assert point is not None
        assert point.manifest.id == (3 if named else 2)
        assert store.state.source.endswith(f"checkpoints/{3 if named else 2}/g1/manifest.json")
        await store.close()

    run_virtually(main())


def test_manifests_in_older_logs_are_checked_by_their_crc(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def main() -> None:
        store = await three_checkpoints(world, 0)
        newest = store.state.newest
        assert newest is not None
        assert newest.digest.startswith("sha256:")
        old = Commit(1, 1, newest.manifest, 4711)
        with pytest.raises(SnapshotError, match="not the manifest that was committed"):
            await store.read(old)
        await store.close()

    run_virtually(main())


def graph(directory: Path, strikes: Strikes, first: int) -> JobGraph:
    """Shows rows from `first` on."""
    job = fj.Job("j")
    source = fj.datagen(Number, {"n": fj.values.sequence()}, rows=120, rate=100, splits=3)
    sink = Struck(fj.files.csv(directory / "out"), strikes)
    job.write(job.read(source).filter(fj.col("n") >= first), sink)
    return compile_job(job, parallelism=2)


@pytest.mark.parametrize(("first", "stands_in"), [(90, True), (0, False)])
def test_a_job_whose_newest_checkpoint_vanishes_restarts_from_one_before_or_ends(
    tmp_path: Path, first: int, stands_in: bool
) -> None:
    world = World(tmp_path)
    settings = CheckpointSettings(interval=0.2, min_pause=0.0)
    strikes = Strikes(lambda step, number: step == "prepare" and number == 7)

    async def main() -> None:
        run = Run(world, graph(tmp_path, strikes, first), "j", settings)

        def vanish() -> None:
            newest = run.store.state.newest
            assert newest is not None
            del world.objects.found[f"j/{newest.manifest}"]

        strikes.also = vanish
        living = asyncio.ensure_future(run.live())
        await until(living.done)
        if stands_in:
            await living
            assert any(isinstance(e, OlderCheckpointUsed) for e in run.told)
        else:
            with pytest.raises(DamagedSnapshot, match="published since"):
                await living

    run_virtually(main())
    assert strikes.struck == 1
    found = Directory(tmp_path).visible("out")
    assert max(found.values()) == 1
    if stands_in:
        assert found == Counter(range(first, 120))
