"""The coordinator's decisions carried out: what slots are asked, what is in the store and the log, and what is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import flowjob as fj
from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob.core.coordinator_events import SavepointRequested
from flowjob.core.elements import Stop
from flowjob.core.job_events import (
    Event,
    RestartRequested,
    SnapshotSaved,
    SnapshotsFailed,
    StopCompleted,
    TaskId,
)
from flowjob.errors import LostLeadership, StorageError
from flowjob.plan import compile_job
from flowjob.runtime import messages as m
from flowjob.runtime.checkpoint.manifest import OperatorState, TaskSnapshot
from flowjob.runtime.checkpoint.manifest_io import read_manifest
from flowjob.runtime.env import Env, StoreLocation
from flowjob.runtime.jobmanager.checkpoints import CheckpointService, Shell, all_tasks
from flowjob.runtime.jobmanager.manifests import JobAtHand
from flowjob.runtime.jobmanager.request import JobEvent, SnapshotFailed
from flowjob.runtime.jobmanager.snapshot_store import SnapshotStore
from flowjob.runtime.storage.memory import MemoryObjects, MemoryStore, NoFaults
from flowjob.testing import MockClock
from flowjob.testing.virtual_time import run_inline, run_virtually
from tests.runtime.storage.fakes import SeededRandom

SETTINGS = CheckpointSettings(interval=1.0, min_pause=0.0, retained=2, tolerable_failures=1)
SINK = "the sink's uid"


class Numbers(fj.Schema):
    x: int


def graph() -> Any:
    job = fj.Job("j")
    job.write(job.read(fj.from_rows([Numbers(1)], Numbers)), fj.discard())
    return compile_job(job, parallelism=2)


class Broken(NoFaults):
    """Fails whatever writes a manifest, while told to."""

    on = False

    async def before(self, operation: str, name: str) -> None:
        if self.on and name.endswith("manifest.json") and operation in ("put", "create"):
            raise StorageError("the disk is full")


class Bench:
    """A service with slots that answer at once, unless `silent`."""

    def __init__(
        self,
        objects: MemoryObjects,
        faults: NoFaults | None = None,
        clock: MockClock | None = None,
    ) -> None:
        clock, chance = clock or MockClock(), SeededRandom()
        missing: Any = None
        self.objects = objects

        def open_store(location: StoreLocation) -> MemoryStore:
            return MemoryStore(objects, now=clock.wall, faults=faults)

        env = Env(clock, missing, missing, missing, chance, Path("/"), run_inline, None, open_store)
        self.env = env
        self.graph = graph()
        self.sent: list[tuple[int, m.ToSlotBody]] = []
        self.events: list[Event] = []
        self.told: list[JobEvent] = []
        self.broken: list[Exception] = []
        self.silent = False
        self.commits = True
        self.store = SnapshotStore(env, StoreLocation("memory"), "j")
        job = JobAtHand(self.graph, "run", "plan")
        shell = Shell(
            self._send, lambda: [0, 1], self.events.append, self.told.append, self.broken.append
        )
        self.service = CheckpointService(env, SETTINGS, self.store, job, shell)

    async def lead(self) -> None:
        await self.store.claim("revision")
        await self.store.begin("run", "")
        self.service.open(None)
        self.service.started(None)

    def _send(self, slot: int, message: m.ToSlotBody) -> None:
        self.sent.append((slot, message))
        if self.silent:
            return
        match message:
            case m.TriggerSnapshot(barrier=barrier):
                for task in all_tasks(self.graph):  # the barrier comes to all
                    asyncio.get_running_loop().call_soon(self._answer, task, barrier.checkpoint)
            case m.CommitSnapshot(checkpoint=checkpoint) if self.commits:
                for task in all_tasks(self.graph):
                    if task.subtask == slot:
                        committed = m.SnapshotCommitted(checkpoint=checkpoint, task=task)
                        asyncio.get_running_loop().call_soon(self.service.received, committed)

    def _answer(self, task: TaskId, checkpoint: int) -> None:
        sink = OperatorState(uid=SINK, name="s", kind="sink", committables=[b"%d" % checkpoint])
        snapshot = TaskSnapshot(task=task, operators=[sink])
        self.service.received(m.SnapshotTaken(checkpoint=checkpoint, snapshot=snapshot))

    @property
    def released(self) -> list[int]:
        """Slots whose tasks may go."""
        return [slot for slot, said in self.sent if isinstance(said, m.ReleaseTasks)]

    def end(self) -> None:
        """All tasks have read everything."""
        for task in all_tasks(self.graph):
            self.service.received(m.TaskEnded(task=task))

    def names(self, part: str) -> list[str]:
        return sorted(n for n in self.objects.found if part in n)

    def committed(self) -> list[int]:
        return [c.snapshot for c in self.store.state.committed]


def virtually(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run_virtually(main())


def test_checkpoints_are_committed_kept_and_retired() -> None:
    async def main() -> None:
        bench = Bench(MemoryObjects())
        await bench.lead()
        await asyncio.sleep(4.5)
        assert bench.committed() == [3, 4]
        assert bench.names("manifest") == [f"j/checkpoints/{n}/g1/manifest.json" for n in (3, 4)]
        assert bench.events == [SnapshotSaved()] * 4
        newest = bench.service.newest
        assert newest is not None
        assert newest.name == "j/checkpoints/4/g1/manifest.json"
        assert {v.name for v in newest.manifest.vertices} == {v.name for v in bench.graph.vertices}
        await bench.service.close("the test is over")

    virtually(main)


@pytest.mark.parametrize(("going_on", "first"), [(True, [1, 2]), (False, [1])])
def test_who_takes_over_tasks_that_go_on_takes_the_checkpoint_that_was_due_at_once(
    going_on: bool, first: list[int]
) -> None:
    async def main() -> None:
        bench = Bench(MemoryObjects())
        await bench.lead()
        await asyncio.sleep(1.9)
        bench.service.tasks_failed("the JobManager was lost")
        await asyncio.sleep(5)
        bench.service.took_over(1, going_on=going_on)
        bench.service.started(None)
        await asyncio.sleep(0.5)
        assert bench.committed() == first
        await bench.service.close("the test is over")

    virtually(main)


def test_the_end_waits_for_nothing_when_there_is_nothing_to_do() -> None:
    async def main() -> None:
        bench = Bench(MemoryObjects())
        await bench.lead()
        await asyncio.sleep(1.5)
        before = asyncio.get_running_loop().time()
        await bench.service.close("the test is over")
        assert asyncio.get_running_loop().time() == before

    virtually(main)


def test_a_timer_that_rings_a_little_early_is_set_again() -> None:
    class Early(MockClock):
        async def sleep(self, seconds: float) -> None:
            await asyncio.sleep(seconds - 0.001 if seconds > 0.001 else seconds)

    async def main() -> None:
        bench = Bench(MemoryObjects(), clock=Early())
        await bench.lead()
        await asyncio.sleep(2.5)
        assert bench.committed() == [1, 2]
        await bench.service.close("the test is over")

    virtually(main)


def test_sinks_commit_when_the_log_has_it_and_are_asked_again() -> None:
    async def main() -> None:
        bench = Bench(MemoryObjects())
        bench.commits = False
        await bench.lead()
        await asyncio.sleep(1.5)
        first = [s for s, x in bench.sent if isinstance(x, m.CommitSnapshot)]
        assert sorted(first) == [0, 1]
        await asyncio.sleep(SETTINGS.resend)
        again = [s for s, x in bench.sent if isinstance(x, m.CommitSnapshot)]
        assert len(again) > len(first)
        await bench.service.close("the test is over")

    virtually(main)


def test_a_manifest_that_cannot_be_written_fails_the_checkpoint_and_then_the_job() -> None:
    async def main() -> None:
        faults = Broken()
        bench = Bench(MemoryObjects(), faults)
        await bench.lead()
        faults.on = True
        await asyncio.sleep(3.5)
        assert bench.committed() == []
        failures = [e for e in bench.told if isinstance(e, SnapshotFailed)]
        assert failures[0].text == "checkpoint 1 failed: the disk is full"
        (failed,) = [e for e in bench.events if isinstance(e, SnapshotsFailed)]
        assert failed.error.code == "SNAPSHOTS_FAILED"
        assert "the disk is full" in failed.error.message
        await bench.service.close("the test is over")

    virtually(main)


def test_a_restart_begins_at_the_newest_checkpoint_and_deals_what_sinks_had_pending() -> None:
    async def main() -> None:
        bench = Bench(MemoryObjects())
        await bench.lead()
        await asyncio.sleep(1.5)
        bench.service.tasks_failed("a slot was killed")
        point = await bench.service.settled()
        assert point is not None
        assert point.manifest.id == 1
        bench.sent.clear()
        bench.silent = True
        bench.service.started(None)
        await asyncio.sleep(1.5)
        barriers = [x.barrier for _, x in bench.sent if isinstance(x, m.TriggerSnapshot)]
        assert {b.checkpoint for b in barriers} == {2}
        await bench.service.close("the test is over")

    virtually(main)


def test_a_failure_waits_for_the_checkpoint_that_is_being_committed() -> None:
    class Slow(NoFaults):
        async def before(self, operation: str, name: str) -> None:
            if "/log/" in name and name.endswith("3.json") and operation == "create":
                await asyncio.sleep(10)

    async def main() -> None:
        bench = Bench(MemoryObjects(), Slow())
        await bench.lead()
        await asyncio.sleep(2.0)
        bench.service.tasks_failed("a slot was killed")
        waiting = asyncio.ensure_future(bench.service.settled())
        await asyncio.sleep(1.0)
        assert not waiting.done()
        point = await waiting
        assert point is not None, "it was on its way, and came to be"
        assert point.manifest.id == 1
        await bench.service.close("the test is over")

    virtually(main)


def test_whoever_has_lost_leadership_says_so_and_commits_nothing() -> None:
    async def main() -> None:
        objects = MemoryObjects()
        old, new = Bench(objects), Bench(objects)
        await old.lead()
        await new.store.claim("another")
        await asyncio.sleep(2.5)
        assert isinstance(old.broken[0], LostLeadership)
        assert old.committed() == []
        assert old.names("/g1/")
        await old.service.close("the test is over")
        assert old.names("/g1/") == [], "what it wrote in vain is its own to delete"
        await new.store.close()

    virtually(main)


def test_a_defect_ends_the_jobmanager_and_leaves_no_job_standing() -> None:
    class Defective(NoFaults):
        on = ""

        async def before(self, operation: str, name: str) -> None:
            if self.on and self.on in name and operation == "create":
                raise ZeroDivisionError("nobody has thought of it")

    async def main(where: str, seconds: float) -> None:
        faults = Defective()
        bench = Bench(MemoryObjects(), faults)
        await bench.lead()
        await asyncio.sleep(seconds)
        faults.on = where
        await asyncio.sleep(1.0)
        assert [type(error) for error in bench.broken] == [ZeroDivisionError]
        faults.on = ""
        await bench.service.close("the test is over")

    virtually(lambda: main("/log/", 0.5))  # while a checkpoint is committed
    virtually(lambda: main("0006.json", 2.5))  # while one is retired


def test_a_savepoint_is_answered_and_stays_when_checkpoints_are_retired() -> None:
    async def main() -> None:
        bench = Bench(MemoryObjects())
        await bench.lead()
        answer = await bench.service.request(SavepointRequested("r", "before the change"))
        assert (answer.failure, answer.savepoint) == (None, "before the change")
        await asyncio.sleep(5.0)
        place = "j/savepoints/before%20the%20change"
        manifest = await read_manifest(bench.store.store, place)
        states = [state for task in manifest.tasks for state in task.operators]
        pending = [state.committables for state in states]
        assert pending == [[], [], []], "who begins there has nothing to publish"
        assert bench.names("savepoints/") == [f"{place}/manifest.json"]
        assert bench.service.savepoint_place("before the change").endswith(place)
        again = await bench.service.request(SavepointRequested("r2", "before the change"))
        assert again.failure is not None
        assert "Choose another name" in again.failure
        await bench.service.close("the test is over")

    virtually(main)


def test_a_stop_that_is_not_logged_leaves_no_savepoint_whose_results_nobody_publishes() -> None:
    """Its manifest was there already."""

    class NoLog(NoFaults):
        on = False

        async def before(self, operation: str, name: str) -> None:
            if self.on and "/log/" in name and operation == "create":
                raise StorageError("the log is away")

    async def main() -> None:
        faults = NoLog()
        bench = Bench(MemoryObjects(), faults)
        await bench.lead()
        faults.on = True
        asked = asyncio.ensure_future(
            bench.service.request(SavepointRequested("r", "end", Stop.SUSPEND))
        )
        await asyncio.sleep(100.0)
        assert bench.names("savepoints/") == ["j/savepoints/end/manifest.json"]
        faults.on = False
        assert (await asked).failure == "another outcome is in the log"
        assert any(isinstance(e, RestartRequested) for e in bench.events)
        bench.service.tasks_failed("it is restarted")
        await bench.service.settled()
        bench.service.started(None)
        await asyncio.sleep(2.5)
        assert bench.committed()
        assert bench.names("savepoints/") == []
        await bench.service.close("the test is over")

    virtually(main)


def test_a_stop_is_answered_when_all_is_committed_and_tasks_are_released() -> None:
    async def main() -> None:
        bench = Bench(MemoryObjects())
        await bench.lead()
        asked = asyncio.ensure_future(
            bench.service.request(SavepointRequested("r", "end", Stop.SUSPEND))
        )
        await asyncio.sleep(0.1)
        bench.end()
        answer = await asked
        assert answer.failure is None
        await asyncio.sleep(0.1)
        assert bench.released == [0, 1]
        triggers = [x for _, x in bench.sent if isinstance(x, m.TriggerSnapshot)]
        assert {t.barrier.stop for t in triggers} == {"suspend"}
        assert {t.directory for t in triggers} == {"savepoints/end"}
        assert StopCompleted() not in bench.events
        assert bench.committed() == [1]
        await bench.service.close("the test is over")
        assert bench.store.state.published == (1,)

    virtually(main)


class Slow(NoFaults):
    """Whatever is created takes so long, from when it is set."""

    seconds = 0.0

    async def before(self, operation: str, name: str) -> None:
        if operation == "create":
            await asyncio.sleep(self.seconds)


def last_words(seconds: float) -> tuple[Bench, Callable[[], Coroutine[Any, Any, None]]]:
    """A job whose sinks publish the last of it when the returned function is called; the log takes `seconds` then."""
    slow = Slow()
    bench = Bench(MemoryObjects(), slow)
    bench.commits = False

    async def publish() -> None:
        await bench.lead()
        bench.end()
        await asyncio.sleep(0.1)
        assert bench.committed() == [1]
        slow.seconds = seconds
        for task in all_tasks(bench.graph):
            bench.service.received(m.SnapshotCommitted(checkpoint=1, task=task))

    return bench, publish


def test_tasks_go_when_the_log_says_that_all_is_published_and_not_before() -> None:
    async def main() -> None:
        bench, publish = last_words(1.0)
        await publish()
        await asyncio.sleep(0.9)
        assert bench.released == []
        await asyncio.sleep(0.2)
        assert bench.store.state.published == (1,)
        assert bench.released == [0, 1]
        await bench.service.close("the test is over")

    virtually(main)


def test_tasks_stay_for_the_next_jobmanager_where_the_log_does_not_take_it() -> None:
    async def main() -> None:
        bench, publish = last_words(1.0)
        await publish()
        await Bench(bench.objects).store.claim("another JobManager")
        await asyncio.sleep(100.0)
        assert [type(error) for error in bench.broken] == [LostLeadership]
        assert bench.released == []
        await bench.service.close("it has lost")

    virtually(main)


def test_a_store_that_does_not_answer_keeps_no_job_from_its_end() -> None:
    async def main() -> None:
        bench, publish = last_words(1e6)
        await publish()
        await asyncio.sleep(4.9)
        assert bench.released == []
        await asyncio.sleep(0.2)
        assert bench.released == [0, 1]
        await bench.service.close("the test is over")

    virtually(main)


def test_tasks_that_fail_while_that_is_said_are_not_told_to_go() -> None:
    async def main() -> None:
        bench, publish = last_words(1.0)
        await publish()
        bench.service.tasks_failed("a slot died")
        await bench.service.settled()
        await asyncio.sleep(10.0)
        assert bench.released == []
        bench.service.started(None)
        await asyncio.sleep(0.1)
        for task in all_tasks(bench.graph):
            bench.service.received(m.SnapshotCommitted(checkpoint=1, task=task))
        bench.end()
        await asyncio.sleep(5.0)
        assert bench.released == [0, 1]
        await bench.service.close("the test is over")

    virtually(main)
