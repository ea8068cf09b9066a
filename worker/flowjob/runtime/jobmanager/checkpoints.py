"""Carries out what core/coordinator.py decides: asks tasks for snapshots, stores and commits them, lets sinks commit.

Events go in one after the other and never wait; what takes time (stores) runs beside and comes back as an event. It
must not know TaskManagers or how messages travel: `Shell` is all it sees of its JobManager."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Any

from flowjob.core import coordinator_events as ev
from flowjob.core import job_events
from flowjob.core.checkpoint_records import CheckpointRecord, Status
from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob.core.coordinator import Coordinator
from flowjob.core.elements import Barrier
from flowjob.core.failures import ErrorInfo, ErrorKind
from flowjob.core.job_events import TaskId
from flowjob.core.outages import Outage
from flowjob.core.snapshot_log import LogState
from flowjob.errors import FlowjobError, LostLeadership
from flowjob.plan.job_graph import JobGraph
from flowjob.plan.specs import SourceSpec
from flowjob.runtime import messages
from flowjob.runtime.checkpoint.manifest import TaskSnapshot
from flowjob.runtime.env import Env, StoreLocation
from flowjob.runtime.jobmanager import committables
from flowjob.runtime.jobmanager.last_work import wait_for_last_work
from flowjob.runtime.jobmanager.letting_go import LettingGo
from flowjob.runtime.jobmanager.manifests import JobAtHand, manifest_of
from flowjob.runtime.jobmanager.request import SnapshotFailed, SnapshotsAgain
from flowjob.runtime.jobmanager.shell import Shell as Shell
from flowjob.runtime.jobmanager.snapshot_store import RestorePoint, SnapshotStore, why
from flowjob.runtime.jobmanager.standing_in import BeginningAgain
from flowjob.runtime.outbox import cancel_all
from flowjob.runtime.storage.paths import JobPaths

_log = logging.getLogger("flowjob.jobmanager")

_BELOW = JobPaths("")
"""Names of snapshots below the job's root."""

MOST_ABORTED = 64
"""Snapshots of an earlier JobManager that are called off: more are never under way."""


class CheckpointService:
    """Of one job under one leadership. `initial`: what the run starts from. Call `open` first."""

    def __init__(
        self,
        env: Env,
        settings: CheckpointSettings,
        snapshots: SnapshotStore,
        job: JobAtHand,
        shell: Shell,
    ) -> None:
        self._env = env
        self._settings = settings
        self._snapshots = snapshots
        self._job = job
        self._shell = shell
        self._coordinator: Coordinator[TaskSnapshot] = Coordinator(settings, 0)
        self._newest: RestorePoint | None = None
        self.completed = 0
        self._outage = Outage()
        self._again = BeginningAgain(snapshots)
        self._letting_go = LettingGo(snapshots, shell)
        self._generation: int | None = None
        self._events: list[ev.Event[TaskSnapshot]] = []
        self._handling = False
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at: float | None = None
        self._storing: set[asyncio.Task[None]] = set()
        self._cleaning: asyncio.Queue[Coroutine[Any, Any, None]] = asyncio.Queue()
        self._cleaner: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._settled.set()
        self._answers: dict[str, asyncio.Future[ev.Answer]] = {}
        self._since = 0.0

    # -- the beginning and the end

    def open(self, initial: RestorePoint | None, chosen_by: LogState | None = None) -> None:
        """Begins to lead: the store's log has been claimed, and says that a run begins from `initial`. `chosen_by`: the
        log of which that is the newest; None: a person has named it, or it is none."""
        state = self._snapshots.state
        self._again = BeginningAgain(self._snapshots, chosen_by)
        # Also after the log was claimed again to settle something: directories must not change under a snapshot.
        self._generation = state.generation
        self._newest = initial
        self._coordinator = Coordinator(
            self._settings,
            state.generation,
            retained=state.retained,
            newest=state.newest_id or None,
            highest=max(state.highest, initial.manifest.id if initial is not None else 0),
            stopped=state.stopped,
            told=self._job.told,
        )
        self._cleaner = asyncio.ensure_future(self._clean())
        self._cleaner.add_done_callback(self._over)
        self._cleaning.put_nowait(self._snapshots.sweep(state, initial))

    async def close(self, reason: str, *, tidy: bool = True, hurry: bool = False) -> None:
        """The job is over. Old snapshots are deleted, for as long as that gets on (last_work.py); `hurry`: they get a
        moment. Not `tidy`: the job goes on without us, and what we have stored last may count, for all we know."""
        hurry = hurry or not tidy
        self.handle(ev.Closed(reason))
        self._set_alarm(None)
        if self._storing:
            await asyncio.wait(self._storing, timeout=self._settings.resend)
        await cancel_all(list(self._storing))
        await self._letting_go.close()
        if self._cleaner is not None:
            cleaned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._cleaning.put_nowait(_say(cleaned))
            await wait_for_last_work(cleaned, self._cleaning.qsize, hurry=hurry)
            await cancel_all([self._cleaner, cleaned])
        while not self._cleaning.empty():
            self._cleaning.get_nowait().close()
        await self._snapshots.close(self._generation if tidy else None, hurry=hurry)

    # -- what people ask

    @property
    def has_begun(self) -> bool:
        """Tasks have been started, and something is due some time."""
        return self._coordinator.wake_at is not None

    @property
    def newest(self) -> RestorePoint | None:
        """Where a restart would begin now."""
        return self._newest

    @property
    def store(self) -> SnapshotStore:
        """Of the job's snapshots."""
        return self._snapshots

    def abort(self, savepoint: str, reason: str) -> None:
        """Gives up the savepoint of that name, unless it is being stored already."""
        for record in self.history():
            if record.savepoint == savepoint and record.status is Status.RUNNING:
                self.handle(ev.AbortRequested(record.checkpoint, reason))

    @property
    def location(self) -> StoreLocation:
        """Where the job's snapshots are."""
        return self._snapshots.location

    def savepoint_place(self, name: str) -> str:
        """Where a savepoint is, for people and `--from`."""
        return f"{self._snapshots.store.url.rstrip('/')}/{self._snapshots.paths.savepoint(name)}"

    async def savepoint_in_the_way(self, name: str) -> str | None:
        """Why a savepoint cannot get this name, for people. Raises StorageError."""
        return await self._snapshots.in_the_way(_BELOW.savepoint(name))

    @property
    def settings(self) -> CheckpointSettings:
        """As they hold now."""
        return self._settings

    def change(self, settings: CheckpointSettings) -> None:
        """They hold from here on."""
        self._settings = settings
        self.handle(ev.SettingsChanged(settings))

    def history(self) -> tuple[CheckpointRecord, ...]:
        """Snapshots that are over and those under way."""
        now = self._env.clock.monotonic()
        return (*self._coordinator.history, *self._coordinator.under_way(now))

    async def request(self, event: ev.CheckpointRequested | ev.SavepointRequested) -> ev.Answer:
        """Waits for the answer; its `failure` says why there is no snapshot."""
        answer: asyncio.Future[ev.Answer] = asyncio.get_running_loop().create_future()
        self._answers[event.request] = answer
        self.handle(event)
        return await answer

    # -- what happens

    def started(self, restarted: frozenset[TaskId] | None) -> None:
        """All tasks run. `restarted`: the new ones among them; None: all."""
        graph = self._job.graph
        tasks = all_tasks(graph)
        sources = frozenset(
            TaskId(v.id, i)
            for v in graph.vertices
            if isinstance(v.nodes[0].spec, SourceSpec)
            for i in range(v.parallelism)
        )
        newest = self._newest
        pending: tuple[ev.Prepared, ...] = ()
        if newest is not None:
            pending = committables.dealt(newest.manifest, graph, restarted or tasks)
        restored = 0 if newest is None else newest.manifest.id
        since, self._since = self._since, 0.0
        self.handle(ev.Started(tasks, sources, restored, pending, restarted, since))

    def took_over(self, highest: int, *, going_on: bool) -> None:
        """From an earlier JobManager, of whose tasks some are `going_on`, or none. They have heard of snapshots up to
        `highest`, and nobody has those."""
        first = max(self._coordinator.newest or 0, highest - MOST_ABORTED) + 1
        for checkpoint in range(first, highest + 1):
            for slot in self._shell.slots():
                reason = "its JobManager is gone"
                self._shell.send(slot, messages.AbortSnapshot(checkpoint=checkpoint, reason=reason))
        self._coordinator.last_id = max(self._coordinator.last_id, highest)
        if self._newest is not None and going_on:
            passed = self._env.clock.wall() - self._newest.manifest.created
            self._since = max(passed / 1e6, 0.0)  # clocks of two machines differ

    def tasks_failed(self, reason: str) -> None:
        """Some or all tasks go down. `settled` then says when it is clear where to restart."""
        self._settled.clear()
        self.handle(ev.TasksFailed(reason))

    async def settled(self) -> RestorePoint | None:
        """Where to restart: clear at last. None: from nothing. Raises SnapshotError when that cannot be read, and
        StorageError."""
        await self._settled.wait()
        self._newest = await self._again.point(self._newest, self._shell.tell)
        return self._newest

    def found_damaged(self, what: str) -> bool:
        """Whoever reads the snapshot that tasks are started from says what is wrong with it. Whether to start again."""
        return self._again.found_damaged(self._newest, what)

    def received(self, message: messages.FromSlotBody) -> None:
        """A slot's message about snapshots."""
        match message:
            case messages.TaskEnded(task=task):
                self.handle(ev.TaskEnded(task))
            case messages.SnapshotTaken(checkpoint=checkpoint, snapshot=snapshot):
                prepared = committables.prepared_of(snapshot)
                self.handle(ev.Acknowledged(checkpoint, snapshot.task, snapshot, prepared))
            case messages.SnapshotDeclined(checkpoint=checkpoint, task=task, reason=reason):
                self.handle(ev.Declined(checkpoint, task, reason))
            case messages.SnapshotCommitted(checkpoint=checkpoint, task=task):
                self.handle(ev.TaskCommitted(checkpoint, task))

    def handle(self, event: ev.Event[TaskSnapshot]) -> None:
        """In order, also what is said while an earlier event is being handled."""
        if isinstance(event, ev.TasksFailed | ev.Closed):
            self._letting_go.forget()
        self._events.append(event)
        if self._handling:
            return
        self._handling = True
        try:
            while self._events:
                now = self._env.clock.monotonic()
                for instruction in self._coordinator.handle(self._events.pop(0), now):
                    self._apply(instruction)
        finally:
            self._handling = False
        self._set_alarm(self._coordinator.wake_at)

    # -- what to do

    def _apply(self, instruction: ev.Instruction[TaskSnapshot]) -> None:
        match instruction:
            case ev.Trigger(barrier, tasks, savepoint):
                self._trigger(barrier, tasks, self._directory(barrier.checkpoint, savepoint))
            case ev.Abort(checkpoint, reason):
                self._abort(checkpoint, reason)
            case ev.Store():
                storing = asyncio.ensure_future(self._store(instruction))
                self._storing.add(storing)
                storing.add_done_callback(self._over)
            case ev.NotifyCommitted(permit, tasks, former):
                for slot in sorted({t.subtask for t in tasks}):
                    given = committables.of_slot(former, slot)
                    told = messages.CommitSnapshot(checkpoint=permit.checkpoint, committables=given)
                    self._shell.send(slot, told)
            case ev.Retire(checkpoint):
                self._cleaning.put_nowait(self._snapshots.retire(checkpoint))
            case ev.Discard(checkpoint, savepoint):
                directory = self._directory(checkpoint, savepoint)
                self._cleaning.put_nowait(self._snapshots.discard(directory, checkpoint))
            case ev.Answer(request):
                answer = self._answers.pop(request, None)
                if answer is not None and not answer.done():
                    answer.set_result(instruction)
            case ev.FailJob(reason, final):
                kind = ErrorKind.REFUSED if final else ErrorKind.ENGINE
                error = ErrorInfo(kind, "SNAPSHOTS_FAILED", reason)
                self._shell.happened(job_events.SnapshotsFailed(error))
            case ev.RestartJob(reason):
                self._shell.happened(job_events.RestartRequested(reason))
            case ev.Restorable():
                self._settled.set()
            case ev.Release(checkpoint):
                self._letting_go.tasks(checkpoint)
            case ev.StopJob(checkpoint):
                self._letting_go.job(checkpoint)

    def _trigger(self, barrier: Barrier, tasks: Iterable[TaskId], directory: str) -> None:
        by_slot: dict[int, list[TaskId]] = {}
        for task in tasks:
            by_slot.setdefault(task.subtask, []).append(task)
        wire = messages.WireBarrier(
            barrier.checkpoint, barrier.savepoint, barrier.unaligned, barrier.stop.value
        )
        for slot, theirs in by_slot.items():
            message = messages.TriggerSnapshot(tasks=theirs, barrier=wire, directory=directory)
            self._shell.send(slot, message)

    def _abort(self, checkpoint: int, reason: str) -> None:
        for slot in self._shell.slots():
            self._shell.send(slot, messages.AbortSnapshot(checkpoint=checkpoint, reason=reason))
        last = self._coordinator.history[-1:]
        if last and last[0].checkpoint == checkpoint and last[0].status is Status.FAILED:
            said = f"{last[0].kind.value} {checkpoint} failed: {reason}"
            if last[0].savepoint or self._outage.begins(self._env.clock.monotonic()):
                self._shell.tell(SnapshotFailed(said))

    async def _store(self, store: ev.Store[TaskSnapshot]) -> None:
        if store.kind.is_restore_point:
            tasks = committables.with_carried(store.snapshots, store.carried)
        else:
            tasks = committables.published(store.snapshots)
        manifest = manifest_of(self._job, store, tasks, self._env.clock.wall())
        directory = self._directory(store.checkpoint, store.savepoint)
        try:
            await self._snapshots.write(manifest, directory)
            counts = not store.kind.is_restore_point
            counts = counts or await self._snapshots.commit(manifest, directory)
            self.completed += counts
            if counts and (said := self._outage.ends(self._env.clock.monotonic())):
                self._shell.tell(SnapshotsAgain(said))
        except LostLeadership as error:
            self._shell.broken(error)
        except FlowjobError as error:
            self.handle(ev.StoreFailed(store.checkpoint, why(error)))
        else:
            if counts and store.kind.is_restore_point:
                whole = self._snapshots.paths.full(directory)
                self._newest = RestorePoint(self._snapshots.location, whole, manifest)
                self._shell.happened(job_events.SnapshotSaved())
            lost = "another outcome is in the log"
            stored = ev.Stored(store.checkpoint)
            self.handle(stored if counts else ev.StoreFailed(store.checkpoint, lost))

    def _over(self, work: asyncio.Task[None]) -> None:
        """A defect must not leave the job waiting for an answer that never comes."""
        self._storing.discard(work)
        error = None if work.cancelled() else work.exception()
        if isinstance(error, Exception):
            self._shell.broken(error)

    def _directory(self, checkpoint: int, savepoint: str | None) -> str:
        """Of a snapshot, below the job's root."""
        if savepoint is not None:
            return _BELOW.savepoint(savepoint)
        return _BELOW.checkpoint(checkpoint, self._generation)

    # -- time

    def _set_alarm(self, at: float | None) -> None:
        if at == self._alarm_at and self._alarm is not None and not self._alarm.done():
            return
        if self._alarm is not None and self._alarm is not asyncio.current_task():
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = None if at is None else asyncio.ensure_future(self._ring(at))

    async def _ring(self, at: float) -> None:
        clock = self._env.clock
        await clock.sleep(max(0.0, at - clock.monotonic()))
        self._alarm = None  # timers may ring a little early: then there is another
        self.handle(ev.Tick())

    async def _clean(self) -> None:
        """Retires one thing after the other: records of the log have an order."""
        while True:
            work = await self._cleaning.get()
            try:
                await work
            except LostLeadership as error:
                self._shell.broken(error)
            except FlowjobError as error:
                _log.warning("something old could not be deleted: %s", error)


async def _say(cleaned: asyncio.Future[None]) -> None:
    """Work that only says that all before it is done."""
    cleaned.set_result(None)


def all_tasks(graph: JobGraph) -> frozenset[TaskId]:
    return frozenset(TaskId(v.id, i) for v in graph.vertices for i in range(v.parallelism))
