"""One task's share in snapshots: stored beside the stream, given up when nobody wants it, committed in order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from flowjob.core.commits import CommitPermit
from flowjob.core.elements import Barrier
from flowjob.core.job_events import TaskId
from flowjob.plan.job_graph import ChainNode
from flowjob.plan.specs import SinkSpec, UnionSpec
from flowjob.plan.types import StreamType
from flowjob.runtime.blame import Blamed
from flowjob.runtime.chain import Chain, Link
from flowjob.runtime.checkpoint import task_snapshot
from flowjob.runtime.checkpoint.manifest import TaskSnapshot
from flowjob.runtime.checkpoint.sections import Distribution, Section
from flowjob.runtime.checkpoint.task_snapshot import SnapshotSettings, Taking, TaskSnapshots
from flowjob.runtime.env import StoreLocation
from flowjob.runtime.job_description import CheckpointPlan
from flowjob.runtime.operators.base import Operator, OperatorContext
from flowjob.runtime.real.freezer import ForkFreezer
from flowjob.runtime.storage.memory import MemoryStore, NoFaults
from flowjob.runtime.storage.object_store import StorageError
from flowjob.testing.virtual_time import (
    InlineFreezer,
    MockClock,
    env_of_one_process,
    run_virtually,
)

NUMBERS = StreamType(pa.schema([("n", pa.int64())]))
TASK = TaskId(3, 1)
PLAN = CheckpointPlan(location=StoreLocation("memory:"), root="job", inline_bytes=0, expires=30.0)


class Stateful(Operator):
    """Has a table, and committables that it is told to have."""

    def __init__(self, rows: int = 3, failure: Exception | None = None) -> None:
        self.rows = rows
        self.failure = failure
        self.fresh: list[bytes] = []
        self.committed: list[tuple[int, list[bytes]]] = []
        self.commit_fails: Exception | None = None

    @property
    def state_bytes(self) -> int:
        return 8 * self.rows

    def snapshot(self) -> Iterable[Section]:
        if self.failure is not None:
            raise self.failure
        table = pa.table({"n": pa.array(range(self.rows), pa.int64())})
        yield Section("numbers", Distribution.UNION, table)

    def committables(self) -> list[bytes]:
        fresh, self.fresh = self.fresh, []
        return fresh

    async def commit(self, committables: list[bytes], permit: CommitPermit) -> None:
        if self.commit_fails is not None:
            raise self.commit_fails
        self.committed.append((permit.checkpoint, committables))


class Reports:
    def __init__(self) -> None:
        self.taken: list[tuple[int, TaskSnapshot]] = []
        self.said: list[str] = []

    def snapshot_taken(self, checkpoint: int, snapshot: TaskSnapshot) -> None:
        self.taken.append((checkpoint, snapshot))

    def snapshot_declined(self, checkpoint: int, task: TaskId, reason: str) -> None:
        self.said.append(f"declined {checkpoint}: {reason}")

    def snapshot_committed(self, checkpoint: int, task: TaskId) -> None:
        self.said.append(f"committed {checkpoint}")

    def task_ended(self, task: TaskId) -> None: ...


class Stuck(NoFaults):
    """Nothing is ever stored."""

    async def before(self, operation: str, name: str) -> None:
        await asyncio.Event().wait()


class Refusing(NoFaults):
    async def before(self, operation: str, name: str) -> None:
        raise StorageError("the bucket is gone")


class Scene:
    """A task with one operator, its store and what it reports."""

    def __init__(
        self,
        directory: Path,
        operator: Operator,
        plan: CheckpointPlan = PLAN,
        faults: Any = None,
        on_copy: Callable[[], None] = lambda: None,
    ) -> None:
        nothing: Any = None
        self.directory = directory
        self.env = env_of_one_process(directory, freezer=InlineFreezer(directory))
        self.store = MemoryStore(faults=faults)
        self.reports = Reports()
        sink: Any = SinkSpec(input=NUMBERS, output=NUMBERS, sink=nothing)
        spec = sink if isinstance(operator, Stateful) else UnionSpec(input=NUMBERS, output=NUMBERS)
        node = ChainNode("numbers", spec, uid="numbers-1")
        context = OperatorContext(self.env, "numbers", "numbers-1", 1, 2, 128)
        self.chain = Chain([Link(node, operator, context)])
        settings = SnapshotSettings(self.env, plan, self.store, 4, 128, self.reports, on_copy)
        self.snapshots = TaskSnapshots(settings, TASK, self.chain)

    def take(self, checkpoint: int = 1, *, savepoint: bool = False) -> None:
        barrier = Barrier(checkpoint, savepoint, directory=f"checkpoints/{checkpoint}")
        self.snapshots.take(Taking(barrier, self.env.clock.monotonic()))

    async def settle(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    @property
    def objects(self) -> list[str]:
        return sorted(self.store.objects.found)


def virtually(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run_virtually(scenario())


@pytest.mark.parametrize("freeze_from", [0, 1 << 40])
def test_state_is_one_object_of_the_attempt(
    tmp_path: Path, freeze_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_snapshot, "FREEZE_FROM", freeze_from)

    async def scenario() -> None:
        scene = Scene(tmp_path, Stateful())
        scene.take()
        await scene.settle()
        ((checkpoint, taken),) = scene.reports.taken
        assert (checkpoint, taken.task) == (1, TASK)
        (operator,) = taken.operators
        assert (operator.uid, operator.name, operator.kind) == ("numbers-1", "numbers", "sink")
        (part,) = operator.parts
        assert (part.object, part.rows) == ("task-3-1-4.state", 3)
        assert scene.objects == ["job/checkpoints/1/task-3-1-4.state"]
        assert taken.figures.bytes == part.length
        assert os.listdir(tmp_path) == []

    virtually(scenario)


@pytest.mark.parametrize("freeze_from", [0, 1 << 40])
def test_little_state_travels_in_the_acknowledgement(
    tmp_path: Path, freeze_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_snapshot, "FREEZE_FROM", freeze_from)

    async def scenario() -> None:
        plan = msgspec.structs.replace(PLAN, inline_bytes=100_000)
        scene = Scene(tmp_path, Stateful(), plan)
        scene.take()
        await scene.settle()
        (part,) = scene.reports.taken[0][1].operators[0].parts
        assert part.inline is not None
        assert pa.ipc.open_file(part.inline).read_all().to_pydict() == {"n": [0, 1, 2]}
        assert scene.objects == []

    virtually(scenario)


@pytest.mark.parametrize("freeze_from", [0, 1 << 40])
def test_a_savepoint_has_an_object_per_section(
    tmp_path: Path, freeze_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_snapshot, "FREEZE_FROM", freeze_from)

    async def scenario() -> None:
        scene = Scene(tmp_path, Stateful(), msgspec.structs.replace(PLAN, inline_bytes=100_000))
        scene.take(savepoint=True)
        await scene.settle()
        (part,) = scene.reports.taken[0][1].operators[0].parts
        assert part.object == "numbers-1/numbers/1.arrow"
        assert scene.objects == ["job/checkpoints/1/numbers-1/numbers/1.arrow"]
        assert os.listdir(tmp_path) == []

    virtually(scenario)


class QuickFreezer(InlineFreezer):
    """What is done takes no time, so that copies are not worth it."""

    copies = 0

    def freeze(self, work: Callable[[Path], bytes], *, deadline: float) -> Awaitable[bytes]:
        self.copies += 1
        return super().freeze(work, deadline=deadline)

    def spent(self) -> float:
        return 0.0


@pytest.mark.parametrize("savepoint", [False, True])
def test_state_that_is_described_quickly_is_not_copied_again(
    tmp_path: Path, savepoint: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_snapshot, "FREEZE_FROM", 0)

    async def scenario() -> None:
        operator = Stateful()
        scene = Scene(tmp_path, operator)
        freezer = QuickFreezer(tmp_path)
        object.__setattr__(scene.env, "freezer", freezer)
        for checkpoint in (1, 2, 3):
            scene.take(checkpoint, savepoint=savepoint)
            operator.rows += 1  # what was taken is what was there
            await scene.settle()
        assert freezer.copies == 1
        assert [t.operators[0].parts[0].rows for _, t in scene.reports.taken] == [3, 4, 5]
        assert [t.figures.bytes > 0 for _, t in scene.reports.taken] == [True] * 3
        assert len(scene.objects) == 3
        assert os.listdir(tmp_path) == []

    virtually(scenario)


def test_the_others_of_the_slot_are_told_of_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_snapshot, "FREEZE_FROM", 0)

    async def scenario() -> None:
        told: list[int] = []
        scene = Scene(tmp_path, Stateful(), on_copy=lambda: told.append(1))
        scene.take()
        await scene.settle()
        assert told == [1]

    virtually(scenario)


def test_a_snapshot_given_up_while_a_thread_writes_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_snapshot, "FREEZE_FROM", 0)

    async def scenario() -> None:
        operator = Stateful()
        scene = Scene(tmp_path, operator)
        object.__setattr__(scene.env, "freezer", QuickFreezer(tmp_path))
        scene.take(1)
        await scene.settle()
        go_on = asyncio.Event()

        async def slowly(function: Callable[..., Any], *arguments: Any) -> Any:
            await go_on.wait()
            return function(*arguments)

        object.__setattr__(scene.env, "run_blocking", slowly)
        scene.take(2)
        await asyncio.sleep(0)
        scene.snapshots.abort(2)
        await scene.settle()
        go_on.set()
        await scene.settle()
        assert [checkpoint for checkpoint, _ in scene.reports.taken] == [1]
        assert os.listdir(tmp_path) == []

    virtually(scenario)


def test_an_operator_without_state_costs_no_object(tmp_path: Path) -> None:
    async def scenario() -> None:
        scene = Scene(tmp_path, Operator())
        scene.take()
        await scene.settle()
        assert scene.reports.taken[0][1].operators[0].parts == []
        assert scene.objects == []

    virtually(scenario)


@pytest.mark.parametrize("freeze_from", [0, 1 << 40])
def test_state_that_cannot_be_described_declines_the_snapshot_and_the_task_goes_on(
    tmp_path: Path, freeze_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_snapshot, "FREEZE_FROM", freeze_from)

    async def scenario() -> None:
        scene = Scene(tmp_path, Stateful(failure=TypeError("no bytes for this")))
        scene.take()
        await scene.settle()
        (said,) = scene.reports.said
        assert said.startswith("declined 1: ")
        assert "no bytes for this" in said
        assert os.listdir(tmp_path) == []

    virtually(scenario)


def test_a_store_that_refuses_declines_the_snapshot(tmp_path: Path) -> None:
    async def scenario() -> None:
        scene = Scene(tmp_path, Stateful(), faults=Refusing())
        scene.take()
        await scene.settle()
        assert scene.reports.said == ["declined 1: the bucket is gone"]

    virtually(scenario)


def test_a_snapshot_that_is_not_stored_in_time_is_declined(tmp_path: Path) -> None:
    async def scenario() -> None:
        scene = Scene(tmp_path, Stateful(), faults=Stuck())
        scene.take()
        await asyncio.sleep(29)
        assert scene.reports.said == []
        await asyncio.sleep(2)
        assert scene.reports.said == ["declined 1: its state was not stored within 30 s"]

    virtually(scenario)


@pytest.mark.parametrize("turns", [0, 5])
def test_an_aborted_snapshot_is_given_up_without_a_word(tmp_path: Path, turns: int) -> None:
    async def scenario() -> None:
        scene = Scene(tmp_path, Stateful(), faults=Stuck())
        scene.take(1)
        scene.take(2)
        for _ in range(turns):
            await asyncio.sleep(0)
        scene.snapshots.abort(1)
        await asyncio.sleep(40)
        assert scene.reports.said == ["declined 2: its state was not stored within 30 s"]
        assert scene.reports.taken == []

    virtually(scenario)


@pytest.mark.parametrize("turns", [0, 5])
def test_an_aborted_copy_of_the_process_is_gone_with_its_files(
    tmp_path: Path, turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_snapshot, "FREEZE_FROM", 0)

    async def scenario() -> None:
        scene = Scene(tmp_path, Stateful(rows=300_000))
        object.__setattr__(scene.env, "freezer", ForkFreezer(tmp_path))
        object.__setattr__(scene.env, "clock", _Clock())
        scene.take(1)
        for _ in range(turns):
            await asyncio.sleep(0)
        scene.snapshots.abort(1)
        await scene.snapshots.close()
        await scene.settle()
        assert scene.reports.taken == []
        assert os.listdir(tmp_path) == []

    asyncio.run(scenario())


class _Clock(MockClock):
    def monotonic(self) -> float:
        return 0.0


def test_what_is_prepared_is_committed_in_order_and_acknowledged(tmp_path: Path) -> None:
    async def scenario() -> None:
        operator = Stateful()
        scene = Scene(tmp_path, operator)
        working = asyncio.ensure_future(scene.snapshots.commits())
        for checkpoint in (1, 2, 3):
            operator.fresh = [b"%d" % checkpoint]
            scene.take(checkpoint)
        for checkpoint in (2, 3):
            scene.snapshots.commit(CommitPermit(checkpoint, 1), {})
            await scene.settle()
        assert operator.committed == [(2, [b"1", b"2"]), (3, [b"3"])]
        assert scene.reports.said == ["committed 2", "committed 3"]
        working.cancel()

    virtually(scenario)


def test_what_a_busy_sink_is_asked_meanwhile_is_done_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        operator = Stateful()
        scene = Scene(tmp_path, operator)
        former = {"numbers-1": [b"old"]}
        for checkpoint in (1, 2, 3):
            operator.fresh = [b"%d" % checkpoint]
            scene.take(checkpoint)
            scene.snapshots.commit(CommitPermit(checkpoint, 1), former)
        working = asyncio.ensure_future(scene.snapshots.commits())
        await scene.settle()
        assert operator.committed == [(3, [b"old", b"1", b"2", b"3"])]
        assert scene.reports.said == ["committed 3"]
        working.cancel()

    virtually(scenario)


def test_what_nobody_has_committed_yet_is_in_every_later_snapshot(tmp_path: Path) -> None:
    async def scenario() -> None:
        operator = Stateful()
        scene = Scene(tmp_path, operator)
        working = asyncio.ensure_future(scene.snapshots.commits())
        operator.fresh = [b"a"]
        scene.take(1)
        scene.snapshots.abort(1)
        operator.fresh = [b"b"]
        scene.take(2)
        await scene.settle()
        scene.snapshots.commit(CommitPermit(2, 1), {})
        await scene.settle()
        scene.take(3)
        await scene.settle()
        committables = {c: t.operators[0].committables for c, t in scene.reports.taken}
        assert committables == {2: [b"a", b"b"], 3: []}
        working.cancel()

    virtually(scenario)


def test_what_former_lives_prepared_comes_first_and_a_repeated_notice_is_answered_again(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        operator = Stateful()
        scene = Scene(tmp_path, operator)
        working = asyncio.ensure_future(scene.snapshots.commits())
        operator.fresh = [b"new"]
        scene.take(8)
        for given in ({"numbers-1": [b"old", b"older"]}, {}):
            scene.snapshots.commit(CommitPermit(8, 1), given)
            await scene.settle()
        assert operator.committed == [(8, [b"old", b"older", b"new"])]
        assert scene.reports.said == ["committed 8", "committed 8"]
        working.cancel()

    virtually(scenario)


def test_a_commit_that_fails_is_blamed_on_its_operator_and_not_acknowledged(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        operator = Stateful()
        operator.commit_fails = OSError("disk full")
        operator.fresh = [b"a"]
        scene = Scene(tmp_path, operator)
        scene.take(1)
        scene.snapshots.commit(CommitPermit(1, 1), {})
        with pytest.raises(Blamed, match="numbers"):
            await scene.snapshots.commits()
        assert scene.reports.said == []

    virtually(scenario)
