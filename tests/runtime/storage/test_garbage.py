"""What the log has given up goes, in the background; what anybody may need stays."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.core.snapshot_log import Commit, LogState
from flowjob.errors import StorageError
from flowjob.runtime.storage import garbage as garbage_module
from flowjob.runtime.storage.garbage import UNFINISHED_MICROS, Garbage, Orphans
from flowjob.runtime.storage.local import LocalStore
from flowjob.runtime.storage.memory import MemoryObjects, MemoryStore, NoFaults
from flowjob.runtime.storage.object_store import ObjectStore
from flowjob.runtime.storage.paths import JobPaths
from flowjob.runtime.storage.shared_files import SharedFiles
from flowjob.testing import MockClock, run_virtually
from flowjob.testing.virtual_time import run_inline
from tests.runtime.storage.fakes import SeededRandom

PATHS = JobPaths.of("j")


class Counting(NoFaults):
    """Deletions take a second each; the first few fail."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.running = self.most = 0

    async def before(self, operation: str, name: str) -> None:
        if operation != "delete":
            return
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(1)
        self.running -= 1
        if self.failures:
            self.failures -= 1
            raise StorageError("delete: refused")


async def filled(store: ObjectStore, *names: str) -> None:
    for name in names:
        await store.put(name, b"x")


def test_directories_are_deleted_whole_few_at_a_time_and_nothing_else() -> None:
    async def scenario() -> None:
        faults = Counting()
        store = MemoryStore(faults=faults)
        for id in range(10):
            await filled(store, *(f"{PATHS.checkpoint(id)}/{n}" for n in "abc"))
        await filled(store, PATHS.log_entry(1))
        garbage = Garbage(store, MockClock(), at_once=2)
        for id in range(1, 10):
            garbage.delete(PATHS.checkpoint(id))
            garbage.delete(PATHS.checkpoint(id))
        assert garbage.waiting == 9
        await garbage.finished()
        assert faults.most == 2
        left = [PATHS.checkpoint_of(name) for name in store.objects.found]
        assert left == [0, 0, 0, None]

    run_virtually(scenario())


def test_what_cannot_be_deleted_is_told_once_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        store = MemoryStore(faults=Counting(failures=4))
        await filled(store, "d/a", "d/b")
        garbage = Garbage(store, MockClock())
        garbage.delete("d")
        await garbage.finished()
        assert store.objects.found == {}
        assert asyncio.get_running_loop().time() > 5 + 10 + 20 + 40

    with caplog.at_level(logging.INFO, "flowjob.storage"):
        run_virtually(scenario())
    assert [r.getMessage() for r in caplog.records] == ["delete: refused; trying again later"]


def test_what_waits_is_bounded_and_given_up_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage_module, "MOST_WAITING", 3)

    async def scenario() -> None:
        store = MemoryStore(faults=Counting(failures=1000))
        garbage = Garbage(store, MockClock())
        for id in range(9):
            garbage.delete(f"d/{id}")
        assert garbage.waiting == 3
        await garbage.close()
        assert garbage.waiting == 0

    run_virtually(scenario())


def test_a_large_directory_goes_in_several_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage_module, "NAMES_AT_ONCE", 4)

    async def scenario() -> None:
        store = MemoryStore()
        await filled(store, *(f"d/{n}" for n in range(30)), "d2/x")
        await garbage_module.delete_all(store, "d")
        assert list(store.objects.found) == ["d2/x"]

    run_virtually(scenario())


# -- what crashes have left


def test_what_a_killed_writer_has_begun_goes_with_the_directory(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = LocalStore(str(tmp_path), SeededRandom(), run_inline)
        await filled(store, "a/1/x", "a/2/x")
        for directory in ("a/1", "a/2"):
            (tmp_path / directory / ".unfinished-by-the-killed").touch()
        garbage = Garbage(store, MockClock())
        garbage.delete("a/1", unfinished=True)
        garbage.delete("a/2")
        await garbage.finished()

    run_virtually(scenario())
    left = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert left == [Path("a/2/.unfinished-by-the-killed")]


def test_a_start_finds_what_can_never_be_committed_and_what_nobody_needs() -> None:
    async def scenario() -> None:
        objects = MemoryObjects()
        day = UNFINISHED_MICROS
        old, new = (MemoryStore(objects, now=lambda at=at: at) for at in (day, 3 * day))  # type: ignore[misc]
        shared = [PATHS.shared_file(g, t) for g, t in ((1, "needed"), (2, "orphan"), (3, "own"))]
        await filled(
            old,
            *(f"{PATHS.checkpoint(id)}/state" for id in (3, 5, 6)),
            *(f"{PATHS.checkpoint(*of)}/state" for of in ((6, 2), (7, 1), (7, 2), (8, 2), (8, 3))),
            *shared,
            PATHS.probe("old"),
            PATHS.log_entry(1),
            *(f"{PATHS.savepoint(s)}/1/splits/0.arrow" for s in ("s", "nested", "unfinished")),
            f"{PATHS.savepoint('s')}/manifest.json",
            f"{PATHS.savepoint('nested')}/2024/manifest.json",
            "other/checkpoints/3/state",
        )
        await filled(new, PATHS.probe("new"), f"{PATHS.savepoint('begun')}/1/splits/0.arrow")
        state = LogState(
            generation=3,
            highest=7,
            committed=(
                Commit(1, 5, "checkpoints/5/manifest.json", 0),
                Commit(2, 7, "checkpoints/7/g2/manifest.json", 0),
            ),
        )
        orphans = Orphans(new, PATHS, state, {shared[0]})
        assert await orphans.find(3 * day) == [
            PATHS.checkpoint(3),
            PATHS.checkpoint(6),
            PATHS.checkpoint(7, 1),
            PATHS.checkpoint(8, 2),
            shared[1],
            PATHS.probe("old"),
            PATHS.savepoint("unfinished"),
        ]
        garbage = Garbage(new, MockClock())
        await orphans.sweep(garbage, 3 * day)
        await garbage.finished()
        assert await orphans.find(3 * day) == []
        assert len(objects.found) == 13

    run_virtually(scenario())


def test_a_store_that_fails_while_orphans_are_looked_for_does_no_harm() -> None:
    class NoListings(NoFaults):
        async def before(self, operation: str, name: str) -> None:
            if operation == "scan":
                raise StorageError("listing refused")

    async def scenario() -> None:
        store = MemoryStore(faults=NoListings())
        garbage = Garbage(store, MockClock())
        await Orphans(store, PATHS, LogState(), frozenset()).sweep(garbage, 0)
        assert garbage.waiting == 0

    run_virtually(scenario())


# -- shared files


def test_a_shared_file_goes_when_no_snapshot_needs_it_and_none_can_begin_on_it() -> None:
    files = SharedFiles()
    files.committed(5, ["a", "b"])
    files.committed(6, ["b", "c"])
    files.retired(5)
    assert files.needed == {"b", "c"}
    assert files.deletable(5) == []  # a snapshot that was begun on top of 5 may still name it
    assert files.deletable(6) == ["a"]
    assert files.deletable(9) == []


def test_a_file_that_was_given_up_and_is_needed_after_all_stays() -> None:
    files = SharedFiles()
    files.committed(5, ["a"])
    files.committed(6, [])
    files.retired(5)
    files.committed(7, ["a"])  # was begun on top of 5
    assert files.deletable(7) == []
    files.committed(8, [])
    files.retired(7)
    assert files.deletable(8) == ["a"]


@given(
    st.lists(st.frozensets(st.integers(0, 5), max_size=4), min_size=1, max_size=12),
    st.integers(1, 3),
)
def test_no_shared_file_goes_early_and_none_stays(
    manifests: list[frozenset[int]], retained: int
) -> None:
    """Each snapshot takes some files of its predecessor over and adds one of its own."""
    files = SharedFiles()
    live: dict[int, set[str]] = {}
    deleted: set[str] = set()
    ever: set[str] = set()
    for id, kept in enumerate(manifests, 1):
        before = sorted(live.get(id - 1, set()))
        live[id] = {name for n, name in enumerate(before) if n in kept} | {f"f{id}"}
        ever |= live[id]
        files.committed(id, live[id])
        while len(live) > retained:
            oldest = min(live)
            del live[oldest]
            files.retired(oldest)
        deleted |= set(files.deletable(id))
        needed = set().union(*live.values())
        assert deleted.isdisjoint(needed)
        assert deleted == ever - needed


def test_the_end_finds_what_tasks_wrote_for_snapshots_that_had_come_to_nothing() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        tries = ((4, 2), (5, 2), (5, 3), (6, 2), (8, 2))
        await filled(store, *(f"{PATHS.checkpoint(*of)}/state" for of in tries))
        committed = (Commit(2, 6, "checkpoints/6/g2/manifest.json", 0),)
        state = LogState(generation=3, highest=6, committed=committed)
        orphans = Orphans(store, PATHS, state, frozenset())
        # Not what another generation has, and not what may yet be found to be committed: the outcome is not known.
        mine = [PATHS.checkpoint(4, 2), PATHS.checkpoint(5, 2)]
        assert await orphans.of_generation(2) == mine
        assert await orphans.of_generation(2, deposed=True) == [*mine, PATHS.checkpoint(8, 2)]

    run_virtually(scenario())
