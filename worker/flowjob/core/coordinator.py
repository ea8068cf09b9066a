"""When snapshots are taken, what makes one complete, and what follows: `handle(event, now) -> [Instruction]`.

One coordinator lives as long as its JobManager leads; restarts of tasks pass through it. It must not know clocks (`now`
is seconds of any monotonic one, `wake_at` says when to send a Tick), messages, storage, or what is in a snapshot."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Generic

from flowjob.core import checkpoint_records as cr
from flowjob.core import coordinator_events as ev
from flowjob.core.checkpoint_records import CheckpointRecord, PendingSnapshot, Phase, Status
from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob.core.commit_ledger import CommitLedger
from flowjob.core.coordinator_events import Kind, P
from flowjob.core.job_events import TaskId
from flowjob.core.retention import Retention
from flowjob.core.snapshot_requests import Request, SnapshotRequests, kind_of, too_late
from flowjob.core.snapshots_under_way import SnapshotsUnderWay
from flowjob.core.trigger_schedule import TriggerSchedule


class Coordinator(Generic[P]):
    """Snapshots of one job, under one leadership.

    Trigger ──all acknowledged──▶ Store ──Stored──▶ NotifyCommitted ──all TaskCommitted──▶ (Release)
       └── declined, expired ──┴── StoreFailed ──▶ Abort, and after too many in a row FailJob

    A Store that is on its way cannot be taken back: after TasksFailed its outcome is awaited before Restorable says
    where to restart, else the restart could begin before results that have just been published."""

    def __init__(
        self,
        settings: CheckpointSettings,
        generation: int,
        *,
        retained: Iterable[int] = (),
        newest: int | None = None,
        highest: int = 0,
        stopped: bool = False,
        told: cr.Told = cr.by_number,
    ) -> None:
        """What the log says: `retained` checkpoints (not savepoints), and the `newest` restore point of this run,
        None before its first. No id up to `highest` is used again. `stopped`: the newest is a stop whose commits were
        not seen to the end; they are all that is left to do."""
        retained = tuple(retained)
        self.settings, self._told = settings, told
        self.newest = newest
        self.last_id = max(highest, newest or 0, *retained)
        self._retention = Retention(settings.retained, retained)
        self._ledger = CommitLedger(settings, generation, newest or 0)
        self._history: deque[CheckpointRecord] = deque(maxlen=settings.history)
        self._pending: SnapshotsUnderWay[P] = SnapshotsUnderWay(settings)
        self._requests = SnapshotRequests()
        if stopped and newest is not None:
            self._requests.stop_is_stored(newest, interrupted=True)
        self._schedule = TriggerSchedule(settings)
        self._out: list[ev.Instruction[P]] = []
        self._now = 0.0
        self._closed = False
        # Of the current deployment.
        self._running = False
        self._tasks: frozenset[TaskId] = frozenset()
        self._sources: frozenset[TaskId] = frozenset()
        self._ended: set[TaskId] = set()
        self._failures = 0
        self._final: int | None = None  # stored: when all is committed, the job may end
        self._released = False
        # Across deployments.
        self._asked = False  # a TasksFailed waits for its Restorable

    # What people and the shell ask

    @property
    def retained(self) -> tuple[int, ...]:
        """Checkpoints in the log and not retired, oldest first."""
        return self._retention.kept

    @property
    def history(self) -> tuple[CheckpointRecord, ...]:
        """Snapshots that are over, oldest first: as many as `settings.history`."""
        return tuple(self._history)

    def under_way(self, now: float) -> tuple[CheckpointRecord, ...]:
        """Snapshots that are not over, in order of their triggers."""
        return self._pending.records(now)

    @property
    def wake_at(self) -> float | None:
        """When to handle a Tick unless something else happens before. Changes with every event."""
        if not self._running:
            return None
        times = [self._ledger.wake_at, *(p.expires for p in self._pending.retractable())]
        times += [self._due(k) for k in (Kind.FINAL, Kind.CHECKPOINT) if self._wants(k)]
        return min((t for t in times if t is not None), default=None)

    # Events

    def handle(self, event: ev.Event[P], now: float) -> list[ev.Instruction[P]]:
        """What to do about `event`, in order. Late, repeated and unknown ones do nothing."""
        if self._closed:
            return [*too_late(event)]
        self._now = max(now, self._now)
        self._take(event)
        self._advance()
        said, self._out = self._out, []
        return said

    def _take(self, event: ev.Event[P]) -> None:
        match event:
            case ev.Started():
                self._started(event)
            case ev.TasksFailed(reason):
                self._tasks_failed(reason)
            case ev.TaskEnded(task):
                self._task_ended(task)
            case ev.Acknowledged():
                self._acknowledged(event)
            case ev.Declined(checkpoint, task, reason):
                self._declined(checkpoint, task, reason)
            case ev.Stored(checkpoint):
                self._stored(checkpoint)
            case ev.StoreFailed(checkpoint, reason):
                self._store_failed(checkpoint, reason)
            case ev.TaskCommitted(checkpoint, task):
                if task in self._tasks:
                    self._ledger.committed(checkpoint, task)
            case ev.CheckpointRequested() | ev.SavepointRequested():
                self._requested(event)
            case ev.AbortRequested(checkpoint, reason):
                for snapshot in self._pending.retractable():
                    if snapshot.checkpoint == checkpoint:
                        self._give_up(snapshot, reason, Status.ABORTED)
            case ev.UseBegan(checkpoint):
                self._retention.use_began(checkpoint)
            case ev.UseEnded(checkpoint):
                self._out += self._retention.use_ended(checkpoint)
            case ev.SettingsChanged(settings):
                self._change(settings)
            case ev.Closed(reason):
                self._close(reason)

    def _change(self, settings: CheckpointSettings) -> None:
        for part in (self, self._ledger, self._pending, self._schedule):
            part.settings = settings
        self._out += self._retention.keep(settings.retained)

    # The life of tasks

    def _started(self, event: ev.Started) -> None:
        if self._running:
            self._halt("tasks were started anew")
        assert not self._pending, "tasks are started only after Restorable"
        new = event.tasks if event.restarted is None else event.restarted
        self._tasks, self._sources = event.tasks, event.sources
        self._ended = {t for t in self._ended if t in event.tasks and t not in new}
        self.last_id = max(self.last_id, event.restored)
        if not self._released:  # else tasks may be gone: no snapshot of all is possible, nor needed
            self._final = self._requests.stop_stored
        self._running, self._asked, self._failures, self._released = True, False, 0, False
        self._schedule.started(self._now, event.since)
        self._out += self._ledger.started(event, self._now)

    def _tasks_failed(self, reason: str) -> None:
        self._asked = True
        self._halt(reason)
        self._settle()

    def _halt(self, reason: str) -> None:
        """Tasks are about to be replaced: whatever can be taken back is."""
        self._running = False
        self._requests.tasks_failed()
        for snapshot in self._pending.retractable():
            self._drop(snapshot, reason, Status.ABORTED)
            if snapshot.kind is Kind.STOP:
                self._requests.stop_failed()
                self._out.append(ev.RestartJob(f"the stop was interrupted: {reason}"))
        self._out += self._requests.refuse(reason)

    def _settle(self) -> None:
        """Nothing is in doubt any more? Then say where a restart begins."""
        if self._asked and not self._pending:
            self._asked = False
            self._out.append(ev.Restorable(self.newest))

    def _task_ended(self, task: TaskId) -> None:
        if task not in self._tasks or task in self._ended:
            return
        self._ended.add(task)
        # Its barrier may have been under way on a channel that is closed now, or never have been sent.
        self._out += [
            ev.Trigger(p.barrier, (task,), p.savepoint) for p in self._pending.lacking(task)
        ]

    def _close(self, reason: str) -> None:
        self._running = False
        for snapshot in self._pending.retractable():
            self._drop(snapshot, reason, Status.ABORTED)
        for snapshot in self._pending.all():
            doubt = f"{reason}, while it was being stored: it may be complete"
            self._over(snapshot, Status.ABORTED, doubt)
            if snapshot.request is not None:
                name = snapshot.savepoint
                self._out.append(ev.Answer(snapshot.request, snapshot.checkpoint, name, doubt))
        self._out += self._requests.refuse(reason)
        self._out += self._requests.answer_stop(
            f"the savepoint is complete, but the job did not stop well: {reason}"
        )
        self._closed = True

    # The life of a snapshot

    def _acknowledged(self, event: ev.Acknowledged[P]) -> None:
        if event.checkpoint > self.last_id or event.task not in self._tasks:
            return
        self._ledger.prepared(event.checkpoint, event.task, event.prepared, self._now)
        snapshot = self._pending.find(event.checkpoint)
        if snapshot is None:
            self._out += self._retention.late(event.checkpoint)
        elif event.task in snapshot.tasks and event.task not in snapshot.snapshots:
            snapshot.acknowledge(event.task, event.snapshot, self._now)

    def _declined(self, checkpoint: int, task: TaskId, reason: str) -> None:
        snapshot = self._pending.find(checkpoint)
        if snapshot is None or task not in snapshot.tasks or task in snapshot.snapshots:
            return
        self._give_up(snapshot, f"{self._told(task)}: {reason}", Status.FAILED)

    def _stored(self, checkpoint: int) -> None:
        snapshot = self._pending.storing(checkpoint)
        if snapshot is None:
            return
        self._pending.remove(snapshot)
        self._over(snapshot, Status.COMPLETED)
        self._failures = 0
        if snapshot.kind.is_restore_point:
            self._commit(snapshot)
        if snapshot.request is not None and snapshot.kind is not Kind.STOP:
            self._out.append(ev.Answer(snapshot.request, checkpoint, snapshot.savepoint))
        self._settle()

    def _commit(self, snapshot: PendingSnapshot[P]) -> None:
        checkpoint = snapshot.checkpoint
        self.newest = self._ledger.upto = checkpoint
        for older in self._pending.superseded_by(checkpoint):
            self._supersede(older)
        if snapshot.kind is Kind.STOP:
            self._requests.stop_is_stored(checkpoint, interrupted=not self._running)
        if self._running:
            if snapshot.kind in (Kind.STOP, Kind.FINAL) or self._final is not None:
                self._final = checkpoint
            self._out.append(self._ledger.notify(sorted(self._tasks), self._now))
        self._out += self._retention.committed(checkpoint, is_savepoint=bool(snapshot.savepoint))

    def _supersede(self, snapshot: PendingSnapshot[P]) -> None:
        request, snapshot.request = snapshot.request, None
        self._drop(snapshot, f"checkpoint {self.newest} is complete", Status.ABORTED)
        if request is not None:  # a newer one is as good
            self._out.append(ev.Answer(request, self.newest))

    def _store_failed(self, checkpoint: int, reason: str) -> None:
        snapshot = self._pending.storing(checkpoint)
        if snapshot is None:
            return
        self._give_up(snapshot, reason, Status.FAILED if self._running else Status.ABORTED)
        self._settle()

    def _give_up(self, snapshot: PendingSnapshot[P], reason: str, status: Status) -> None:
        self._drop(snapshot, reason, status)
        if snapshot.kind is Kind.STOP:
            self._requests.stop_failed()
            self._halt(reason)
            self._out.append(ev.RestartJob(f"stopping with a savepoint failed: {reason}"))
        elif status is Status.FAILED and snapshot.kind is not Kind.SAVEPOINT:
            self._failures += 1
            self._schedule.failed(self._now)
            if self._failures > self.settings.tolerable_failures:
                self._fail(
                    f"{self._failures} checkpoints in a row failed, {self.settings.tolerable_failures} "
                    f"are tolerated; the last one ({snapshot.checkpoint}): {reason}"
                )

    def _drop(self, snapshot: PendingSnapshot[P], reason: str, status: Status) -> None:
        self._pending.remove(snapshot)
        self._over(snapshot, status, reason)
        self._out.append(ev.Abort(snapshot.checkpoint, reason))
        self._out += self._retention.failed(snapshot.checkpoint, snapshot.savepoint)
        if snapshot.request is not None:
            self._out.append(ev.Answer(snapshot.request, snapshot.checkpoint, failure=reason))

    def _over(self, snapshot: PendingSnapshot[P], status: Status, why: str | None = None) -> None:
        self._schedule.ended(self._now)
        self._history.append(snapshot.record(self._now, status, why))

    def _fail(self, reason: str) -> None:
        self._halt(reason)
        self._out.append(ev.FailJob(reason, self._ledger.is_hopeless))

    # Requests

    def _requested(self, event: ev.CheckpointRequested | ev.SavepointRequested) -> None:
        taken = any(p.request == event.request for p in self._pending.all())
        if taken or self._requests.knows(event.request):
            return
        refusal = self._refusal()
        if refusal is None:
            self._requests.add(event)
        else:
            self._out.append(ev.Answer(event.request, failure=refusal))

    def _refusal(self) -> str | None:
        if (stopping := self._requests.stopping) is not None:
            return stopping
        if not self._running:
            return "the job is starting or restarting; ask again when it runs"
        return "the job has just ended" if self._released else None

    # What time and the events before make due

    def _advance(self) -> None:
        first = (self._expire, self._store_next, self._trigger_requested)
        for step in (*first, self._trigger_unasked, self._ask_again, self._release):
            if self._running:
                step()

    def _expire(self) -> None:
        for snapshot in self._pending.expired(self._now):
            limit = f"not complete within {self.settings.timeout:g} s: {snapshot.why_incomplete(self._told)}"
            self._give_up(snapshot, limit, Status.FAILED)
            if not self._running:
                return  # the others were given up with it

    def _store_next(self) -> None:
        snapshot = self._pending.next_to_store(self._ledger.holds)
        if snapshot is None:
            return
        snapshot.phase = Phase.STORING
        checkpoint, kind, name = snapshot.checkpoint, snapshot.kind, snapshot.savepoint
        carried = self._ledger.carried(checkpoint)
        stop, snapshots = snapshot.barrier.stop, dict(snapshot.snapshots)
        self._out.append(ev.Store(checkpoint, kind, snapshots, carried, name, stop))

    def _trigger_requested(self) -> None:
        while self._requests and self._requests.stop is None:
            request = self._requests.first()
            if not self._pending.has_room(kind_of(request)):
                return
            self._out += self._requests.take()
            self._trigger(request)

    def _wants(self, kind: Kind) -> bool:
        """Whether one that nobody asked for may be triggered: the final one when all tasks have ended, else a
        periodic one. Nothing comes behind a stop, behind a final one only what a savepoint waits for."""
        all_ended = len(self._ended) == len(self._tasks)
        lacking = self._pending.lacks_checkpoint(self._ledger.needs_checkpoint)
        is_over = (self._final is not None and not lacking) or self._requests.stop is not None
        return all_ended == (kind is Kind.FINAL) and not is_over and self._pending.has_room(kind)

    def _trigger_unasked(self) -> None:
        for kind in (Kind.FINAL, Kind.CHECKPOINT):
            at = self._due(kind)
            if at is not None and self._now >= at and self._wants(kind):
                self._trigger(kind)

    def _due(self, kind: Kind) -> float | None:
        """A savepoint's results are published by a checkpoint right behind it."""
        due = self._schedule.due(kind)
        if not self._pending.lacks_checkpoint(self._ledger.needs_checkpoint):
            return due
        soon = self._schedule.soon
        return soon if due is None else min(due, soon)

    def _trigger(self, request: Request | Kind) -> None:
        self.last_id += 1
        snapshot = self._pending.begin(self.last_id, request, self._now, self._tasks)
        if snapshot.kind is Kind.CHECKPOINT:
            self._schedule.triggered(self._now)
        if snapshot.savepoint is not None:
            self._retention.reused(snapshot.savepoint)
        tasks = tuple(sorted(self._sources | self._ended))
        self._out.append(ev.Trigger(snapshot.barrier, tasks, snapshot.savepoint))

    def _ask_again(self) -> None:
        if overdue := self._ledger.overdue(self._now, self._told):
            self._fail(overdue)
        else:
            self._out += self._ledger.ask_again(self._now)

    def _release(self) -> None:
        """Everything is committed, nobody waits for a snapshot: the job may end."""
        if self._final is None or self._released or self._pending or self._requests:
            return
        if self._ledger.waiting():
            return
        self._released = True
        self._out += self._requests.answer_stop()
        end = ev.StopJob if self._requests.interrupted else ev.Release
        self._out.append(end(self._final))
