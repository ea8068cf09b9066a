"""One task's share in snapshots: describes its operators' state, stores it, reports, and commits what sinks prepared.

State that is described quickly is described in line, other in a frozen copy of the process; either way the stream goes
on while it is stored. It must not know barriers' ways through the job, nor who decides that a snapshot is complete."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from flowjob.core.commits import CommitPermit
from flowjob.core.elements import Barrier
from flowjob.core.job_events import TaskId
from flowjob.core.snapshot_pace import SnapshotPace
from flowjob.errors import FlowjobError
from flowjob.plan.specs import SinkSpec
from flowjob.runtime.blame import EXITS
from flowjob.runtime.chain import Chain, Link
from flowjob.runtime.checkpoint.describing import (
    STATE,
    Described,
    Description,
    Parts,
    Written,
    unpack,
)
from flowjob.runtime.checkpoint.in_flight import write_in_flight
from flowjob.runtime.checkpoint.manifest import (
    OperatorState,
    PartEntry,
    SnapshotFigures,
    TaskSnapshot,
)
from flowjob.runtime.checkpoint.ranges import together
from flowjob.runtime.checkpoint.sections import Section
from flowjob.runtime.checkpoint.state_files import inlined, placed
from flowjob.runtime.env import Env
from flowjob.runtime.exchange.overtaking import InFlight, SkippedBarrier
from flowjob.runtime.failures import one_line
from flowjob.runtime.job_description import CheckpointPlan
from flowjob.runtime.storage.object_store import ObjectStore
from flowjob.runtime.storage.paths import JobPaths, in_flight_object, join, task_object

FREEZE_FROM = 256 << 10
"""Bytes of state from which on a copy of the process may be made: a fork costs a few milliseconds itself."""


class Reports(Protocol):
    """What becomes of a task's part in snapshots, for the JobManager."""

    def snapshot_taken(self, checkpoint: int, snapshot: TaskSnapshot) -> None: ...

    def snapshot_declined(self, checkpoint: int, task: TaskId, reason: str) -> None: ...

    def snapshot_committed(self, checkpoint: int, task: TaskId) -> None: ...

    def task_ended(self, task: TaskId) -> None: ...


@dataclass(frozen=True, slots=True)
class SnapshotSettings:
    """What holds for the snapshots of all tasks of a slot."""

    env: Env
    plan: CheckpointPlan
    store: ObjectStore
    attempt: int
    max_parallelism: int
    reports: Reports
    on_copy: Callable[[], None] = lambda: None
    """Called when a copy of the process has been made."""


@dataclass(frozen=True, slots=True)
class Taking:
    """A snapshot that the task has just aligned for. Times are seconds.

    began      monotonic, when the task stopped for it
    alignment  before that, from its first barrier on
    sections   more state than the operators have themselves, by uid
    in_flight  gives the data that the barrier has overtaken, once it is known
    """

    barrier: Barrier
    began: float
    alignment: float = 0.0
    ended: bool = False
    sections: Mapping[str, Sequence[Section]] = field(default_factory=dict)
    in_flight: Callable[[], Awaitable[list[InFlight]]] | None = None


class TaskSnapshots:
    """Of one task. Run `commits()` beside it, and `close()` it in the end.

    `take` must be called with the chain flushed and prepared, before anything else reaches it."""

    def __init__(self, settings: SnapshotSettings, task: TaskId, chain: Chain) -> None:
        self.reports = settings.reports
        self.task = task
        self._settings = settings
        self._stateful = [link for link in chain.links if link.node.uid is not None]
        self._prepared: list[tuple[int, Link, bytes]] = []
        self._storing: dict[int, asyncio.Task[None]] = {}
        self._to_commit: asyncio.Queue[_Commit] = asyncio.Queue()
        self._pace = SnapshotPace()

    # -- taking

    def take(self, taking: Taking) -> None:
        """Describes the state as it is now; storing it and the report follow by themselves."""
        checkpoint = taking.barrier.checkpoint
        env = self._settings.env
        committables = self._collect(checkpoint)
        description = Description(
            [_described(link, taking) for link in self._stateful],
            self._settings.max_parallelism,
            separate=taking.barrier.savepoint,
            location=self._settings.plan.location.url,
        )
        size = sum(link.operator.state_bytes for link in self._stateful)
        task = self.task
        path = env.directory / f"snapshot-{task.vertex}-{task.subtask}-{checkpoint}"
        try:
            written = self._describe(description, size, path)
        except Exception as error:  # noqa: BLE001 - the stream goes on without this snapshot
            shutil.rmtree(path, ignore_errors=True)
            self.decline(checkpoint, _told(error))
            return
        sync = env.clock.monotonic() - taking.began
        storing = self._store(_Storing(taking, sync, committables, written, path))
        made = asyncio.get_running_loop().create_task(storing)
        self._storing[checkpoint] = made
        made.add_done_callback(lambda _: self._over(checkpoint, written, path))

    def _describe(
        self, description: Description, size: int, path: Path
    ) -> Written | asyncio.Future[Written]:
        """`size`: about how many bytes of state there are. What it returns goes on by itself."""
        freezer = self._settings.env.freezer
        if size < FREEZE_FROM or freezer is None:
            return description.write(path)
        words = all(x.operator.state_is_words for x in self._stateful if x.operator.state_bytes)
        if self._pace.in_line(size, words=words):
            began = freezer.spent()
            put = description.detached()
            self._pace.took(freezer.spent() - began, size, in_line=True)
            return asyncio.ensure_future(self._put(put, path))
        work = description.work(path, freezer.spent)
        frozen = freezer.freeze(work, deadline=self._settings.plan.expires)
        self._settings.on_copy()
        return asyncio.ensure_future(self._unfrozen(frozen, size, path))

    async def _put(self, put: Callable[[Path], Written], path: Path) -> Written:
        putting = asyncio.ensure_future(self._settings.env.run_blocking(put, path))
        try:
            return await asyncio.shield(putting)
        except asyncio.CancelledError:  # the thread goes on, and may make the directory only now
            putting.add_done_callback(lambda _: shutil.rmtree(path, ignore_errors=True))
            raise

    async def _unfrozen(self, frozen: Awaitable[bytes], size: int, path: Path) -> Written:
        written, seconds = unpack(await frozen, path)
        self._pace.took(seconds, size, in_line=False)
        return written

    def decline(self, checkpoint: int, reason: str) -> None:
        """The task does not take part in this one."""
        self.reports.snapshot_declined(checkpoint, self.task, reason)

    def abort(self, checkpoint: int) -> None:
        """Nobody waits for it any more: what is being stored of it is given up."""
        storing = self._storing.get(checkpoint)
        if storing is not None:
            storing.cancel()

    def _collect(self, checkpoint: int) -> dict[str, list[bytes]]:
        """By uid, what is to be committed with this snapshot: also what earlier ones prepared and nobody has committed
        yet, for they may never be complete."""
        for link in self._stateful:
            self._prepared += [(checkpoint, link, c) for c in link.operator.committables()]
        collected: dict[str, list[bytes]] = {}
        for _, link, committable in self._prepared:
            collected.setdefault(link.node.uid or "", []).append(committable)
        return collected

    def _over(
        self, checkpoint: int, written: Written | asyncio.Future[Written], path: Path
    ) -> None:
        """Runs also when storing was given up before it began."""
        self._storing.pop(checkpoint, None)
        if isinstance(written, asyncio.Future) and not written.cancel() and not written.cancelled():
            written.exception()  # whoever wanted it is gone
        shutil.rmtree(path, ignore_errors=True)

    async def _store(self, storing: _Storing) -> None:
        clock, plan, taking = self._settings.env.clock, self._settings.plan, storing.taking
        checkpoint = taking.barrier.checkpoint
        began = clock.monotonic()
        try:
            async with asyncio.timeout(plan.expires):
                written = storing.written
                if isinstance(written, asyncio.Future):
                    written = await written
                parts = await self._upload(taking.barrier, written)
                in_flight = await self._store_in_flight(taking)
        except TimeoutError:
            self.decline(checkpoint, f"its state was not stored within {plan.expires:g} s")
        except Exception as error:  # noqa: BLE001 - the stream goes on without this snapshot
            self.decline(checkpoint, _told(error))
        else:
            figures = SnapshotFigures(
                alignment_ms=taking.alignment * 1e3,
                sync_ms=storing.sync * 1e3,
                async_ms=(clock.monotonic() - began) * 1e3,
                bytes=written.size,
                in_flight_bytes=sum(entry.length for entry in in_flight),
            )
            operators = [
                OperatorState(
                    uid=uid,
                    name=link.node.name,
                    kind=type(link.node.spec).__name__.removesuffix("Spec").lower(),
                    parts=parts[uid],
                    committables=storing.committables.get(uid, []),
                )
                for link in self._stateful
                if (uid := link.node.uid) is not None
            ]
            taken = TaskSnapshot(
                task=self.task,
                operators=operators,
                ended=taking.ended,
                in_flight=in_flight,
                figures=figures,
            )
            self.reports.snapshot_taken(checkpoint, taken)

    async def _upload(self, barrier: Barrier, written: Written) -> Parts:
        """Stores what is to be stored; the parts then say where they are."""
        store, plan = self._settings.store, self._settings.plan
        directory = JobPaths(plan.root).full(barrier.directory)
        if barrier.savepoint:
            names = [entry.object for entries in written.parts.values() for entry in entries]
            await together(store.put(join(directory, n), written.path / n) for n in names)
            return written.parts
        if not written.size:
            return written.parts
        data = written.data
        if written.size <= plan.inline_bytes:
            if data is None:
                data = await self._settings.env.run_blocking((written.path / STATE).read_bytes)
            return {uid: inlined(entries, data) for uid, entries in written.parts.items()}
        name = task_object(self.task, self._settings.attempt)
        await store.put(join(directory, name), written.path / STATE if data is None else data)
        return {uid: placed(entries, name) for uid, entries in written.parts.items()}

    async def _store_in_flight(self, taking: Taking) -> list[PartEntry]:
        if taking.in_flight is None:
            return []
        entries, data = write_in_flight(await taking.in_flight())
        if len(data) <= self._settings.plan.inline_bytes:
            return inlined(entries, data)
        directory = JobPaths(self._settings.plan.root).full(taking.barrier.directory)
        name = in_flight_object(self.task, self._settings.attempt)
        await self._settings.store.put(join(directory, name), data)
        return placed(entries, name)

    # -- committing

    def commit(self, permit: CommitPermit, given: Mapping[str, list[bytes]]) -> None:
        """Snapshot `permit.checkpoint` is committed. `given`, by uid, was prepared in former lives."""
        self._to_commit.put_nowait(_Commit(permit, given))

    async def commits(self) -> None:
        """Commits in the order asked for, beside the stream. Never returns; raises what a sink raised.

        What is asked for while a sink is busy is done at once when it is ready: a slow one is asked again and again,
        and would never come to the end of that."""
        while True:
            commit = await self._to_commit.get()
            while not self._to_commit.empty():
                commit = commit.then(self._to_commit.get_nowait())
            asked = commit.permit.checkpoint
            for link in self._stateful:
                await self._commit(link, commit)
            if any(isinstance(link.node.spec, SinkSpec) for link in self._stateful):
                self.reports.snapshot_committed(asked, self.task)

    async def _commit(self, link: Link, commit: _Commit) -> None:
        asked = commit.permit.checkpoint
        own = [p for p in self._prepared if p[1] is link and p[0] <= asked]
        everything = [*commit.given.get(link.node.uid or "", ()), *(c for _, _, c in own)]
        if not everything:
            return
        try:
            waiting = link.operator.commit(list(dict.fromkeys(everything)), commit.permit)
            if waiting is not None:
                await waiting
        except EXITS as error:
            link.blame(error)
        self._prepared = [p for p in self._prepared if p not in own]

    async def close(self) -> None:
        """Gives up what is being stored."""
        storing = list(self._storing.values())
        for task in storing:
            task.cancel()
        await asyncio.gather(*storing, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Commit:
    permit: CommitPermit
    given: Mapping[str, list[bytes]]

    def then(self, later: _Commit) -> _Commit:
        """Both as one. Items that occur in both are committed once (see `_commit`)."""
        given = {uid: [*items] for uid, items in self.given.items()}
        for uid, items in later.given.items():
            given.setdefault(uid, []).extend(items)
        newest = max(self.permit, later.permit, key=lambda p: p.checkpoint)
        return _Commit(newest, given)


@dataclass(frozen=True, slots=True)
class _Storing:
    """What was taken; `sync` seconds it took."""

    taking: Taking
    sync: float
    committables: dict[str, list[bytes]]
    written: Written | asyncio.Future[Written]
    path: Path


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, FlowjobError | SkippedBarrier) else one_line(error)


def _described(link: Link, taking: Taking) -> Described:
    uid, context, snapshot = link.node.uid or "", link.context, link.operator.snapshot
    extra = taking.sections.get(uid, ())
    return Described(uid, context.subtask, context.key_groups, lambda: [*extra, *snapshot()])
