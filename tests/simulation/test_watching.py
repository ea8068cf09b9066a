"""Who watches the store sees what is early, late or forged, at the moment when it happens."""

from __future__ import annotations

from collections import Counter

import msgspec

from flowjob.core.job_events import TaskId
from flowjob.core.snapshot_log import Begin, Claim, Commit, Record, Retire
from flowjob.runtime.checkpoint.manifest import (
    Manifest,
    OperatorState,
    PartEntry,
    TaskSnapshot,
)
from flowjob.runtime.checkpoint.manifest_io import digest, encode_manifest
from flowjob.runtime.storage.memory import MemoryObjects, MemoryStore
from flowjob.runtime.storage.paths import JobPaths
from flowjob.testing import run_virtually
from flowjob.testing.simulation.lives import Leave
from flowjob.testing.simulation.scenario import Phase, scenario_of
from flowjob.testing.simulation.watching import StoreWatch

PATHS = JobPaths("j")


class Watched:
    """A store with a log, and its watch."""

    def __init__(self) -> None:
        self.objects = MemoryObjects()
        self.watch = StoreWatch(PATHS, self.objects)
        self._length = 0
        self.now = 1.0

    def put(self, name: str, data: bytes) -> None:
        run_virtually(MemoryStore(self.objects).put(name, data))

    def log(self, record: Record) -> list[str]:
        """What is said about it."""
        self._length += 1
        name = PATHS.log_entry(self._length)
        self.put(name, msgspec.json.encode({"record": record}))
        before = len(self.watch.faults)
        self.watch.created(name, self.now)
        return self.watch.faults[before:]

    def store(self, checkpoint: int, *, state: bool = True) -> Commit:
        """A snapshot with one object; its commit."""
        directory = f"checkpoints/{checkpoint}"
        part = PartEntry(
            section="s", distribution="keyed", rows=0, length=1, crc32=0, object="task"
        )
        manifest = Manifest(
            id=checkpoint,
            kind="checkpoint",
            job="j",
            run_id="r",
            created=0,
            max_parallelism=128,
            vertices=[],
            tasks=[
                TaskSnapshot(
                    task=TaskId(0, 0),
                    operators=[OperatorState(uid="u", name="u", kind="k", parts=[part])],
                )
            ],
        )
        data = encode_manifest(manifest)
        self.put(PATHS.full(f"{directory}/manifest.json"), data)
        if state:
            self.put(PATHS.full(f"{directory}/task"), b"x")
        return Commit(1, checkpoint, f"{directory}/manifest.json", digest=digest(data))


def test_a_commit_names_a_manifest_that_is_there_with_all_it_names() -> None:
    watched = Watched()
    assert watched.log(Claim(1, "a")) == []
    assert watched.log(watched.store(1)) == []
    assert "before its manifest" in watched.log(Commit(1, 2, "checkpoints/2/manifest.json"))[0]
    assert "were not stored" in watched.log(watched.store(3, state=False))[0]
    forged = msgspec.structs.replace(watched.store(4), digest="0")
    assert "another manifest" in watched.log(forged)[0]


def test_who_leads_no_more_logs_nothing() -> None:
    watched = Watched()
    watched.log(Claim(1, "a"))
    watched.log(Claim(2, "b"))
    assert "leads no more" in watched.log(watched.store(1))[0]
    assert not watched.watch.log.committed


def test_what_counts_is_not_deleted_before_it_is_retired() -> None:
    watched = Watched()
    watched.log(Claim(1, "a"))
    for checkpoint in (1, 2):
        watched.log(watched.store(checkpoint))
    name = PATHS.full("checkpoints/1/task")
    watched.watch.deleted(name)
    assert "snapshot 1 needs it" in watched.watch.faults.pop()
    watched.log(Retire(1, 1))
    watched.watch.deleted(name)
    assert watched.watch.faults == []


def test_what_nobody_needs_does_not_stay_for_long() -> None:
    watched = Watched()
    watched.log(Claim(1, "a"))
    commits = [watched.store(checkpoint) for checkpoint in (1, 2, 3, 4, 5)]
    for record in (commits[0], commits[2], Retire(1, 1), commits[3]):  # the second one has failed
        watched.log(record)
    assert watched.watch.lingers == []
    watched.now += 10.0
    watched.log(commits[4])
    assert [text.split()[4] for text in watched.watch.lingers] == ["1", "2"]


def test_sinks_may_publish_what_is_logged_or_what_a_run_began_from() -> None:
    watched = Watched()
    watched.log(Claim(1, "a"))
    watched.log(watched.store(1))
    watched.store(7)
    assert [watched.watch.is_published(n) for n in (1, 7)] == [True, False]
    watched.log(Begin(1, "r", f"memory://x/{PATHS.full('checkpoints/7/manifest.json')}"))
    assert watched.watch.is_published(7)


def test_seeds_have_lives_that_end_in_every_way_and_strikes_at_every_time() -> None:
    scenarios = [scenario_of(seed) for seed in range(400)]
    leaves = Counter(d.leave for s in scenarios for d in s.departures)
    assert set(leaves) == set(Leave)
    assert {f.phase for s in scenarios for f in s.faults} == set(Phase)
    assert any(d.from_savepoint for s in scenarios for d in s.departures)
