"""The snapshots that are triggered and not over: which of them are due for what, and whether there is room for another.

Asked by the coordinator, which decides what follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic

from flowjob.core.checkpoint_records import CheckpointRecord, PendingSnapshot, Phase, Status
from flowjob.core.checkpoint_settings import CheckpointSettings, Unaligned
from flowjob.core.coordinator_events import Kind, P, SavepointRequested
from flowjob.core.elements import Barrier, Stop
from flowjob.core.job_events import TaskId
from flowjob.core.snapshot_requests import Request, kind_of


class SnapshotsUnderWay(Generic[P]):
    """In order of their triggers."""

    def __init__(self, settings: CheckpointSettings) -> None:
        self.settings = settings
        self._found: dict[int, PendingSnapshot[P]] = {}

    def __len__(self) -> int:
        return len(self._found)

    def begin(
        self, checkpoint: int, request: Request | Kind, now: float, tasks: frozenset[TaskId]
    ) -> PendingSnapshot[P]:
        """`checkpoint` is triggered for a request, or without one."""
        kind = request if isinstance(request, Kind) else kind_of(request)
        name = None if isinstance(request, Kind) else request.request
        savepoint, stop = None, Stop.NO
        if isinstance(request, SavepointRequested):
            savepoint, stop = request.savepoint, request.stop
        always = self.settings.unaligned is Unaligned.ALWAYS
        unaligned = always and self.may_overtake(kind)
        barrier = Barrier(checkpoint, savepoint is not None, unaligned, stop)
        expires = now + self.settings.timeout
        snapshot = PendingSnapshot[P](barrier, kind, now, expires, tasks, savepoint, name)
        self._found[checkpoint] = snapshot
        return snapshot

    def remove(self, snapshot: PendingSnapshot[P]) -> None:
        del self._found[snapshot.checkpoint]

    def all(self) -> list[PendingSnapshot[P]]:
        return list(self._found.values())

    def find(self, checkpoint: int) -> PendingSnapshot[P] | None:
        return self._found.get(checkpoint)

    def storing(self, checkpoint: int) -> PendingSnapshot[P] | None:
        """That one, if it is being stored."""
        snapshot = self._found.get(checkpoint)
        return snapshot if snapshot is not None and snapshot.phase is Phase.STORING else None

    def retractable(self) -> list[PendingSnapshot[P]]:
        """What is not being stored: only these can be given up."""
        return [p for p in self._found.values() if p.phase is not Phase.STORING]

    def expired(self, now: float) -> list[PendingSnapshot[P]]:
        return [p for p in self.retractable() if p.expires <= now]

    def superseded_by(self, checkpoint: int) -> list[PendingSnapshot[P]]:
        """Older checkpoints; savepoints have a purpose of their own."""
        kinds = (Kind.CHECKPOINT, Kind.FINAL)
        return [p for p in self.retractable() if p.checkpoint < checkpoint and p.kind in kinds]

    def lacking(self, task: TaskId) -> list[PendingSnapshot[P]]:
        """Those the task has not acknowledged."""
        return [p for p in self._found.values() if task in p.tasks and task not in p.snapshots]

    def next_to_store(self, unpublished: Callable[[int], bool]) -> PendingSnapshot[P] | None:
        """One at a time, the newest restore point first: it makes older ones needless. A savepoint that others may
        start from while the job goes on must leave them nothing to commit: it waits while something that was prepared
        for it or before is `unpublished`."""
        if len(self.retractable()) < len(self._found):
            return None
        complete = [p for p in self._found.values() if p.phase is Phase.COMPLETE]
        ready = [p for p in complete if p.kind.is_restore_point]
        if not ready:
            ready = [p for p in complete if not unpublished(p.checkpoint)]
        return ready[-1] if ready else None

    def lacks_checkpoint(self, needs: Callable[[int], bool]) -> bool:
        """Whether a savepoint waits that `needs` a checkpoint behind it to publish its results, and none is under
        way."""
        found = self._found.values()
        newest = max((p.checkpoint for p in found if p.kind.is_restore_point), default=0)
        return any(needs(p.checkpoint) for p in found if _is_through(p) and p.checkpoint > newest)

    def may_overtake(self, kind: Kind) -> bool:
        """Whether barriers of this kind may overtake data."""
        return kind is Kind.CHECKPOINT and self.settings.unaligned is not Unaligned.NEVER

    def has_room(self, kind: Kind) -> bool:
        """A barrier that may overtake data would overtake other barriers, too: it has the job to itself. Savepoints
        that wait to be published take no room: what publishes them needs it."""
        kinds = [p.kind for p in self._found.values() if not _is_through(p)]
        if any(map(self.may_overtake, kinds)) or (kind is Kind.FINAL and kind in kinds):
            return False
        limit = 1 if self.may_overtake(kind) else self.settings.max_concurrent
        return len(kinds) < limit

    def records(self, now: float) -> tuple[CheckpointRecord, ...]:
        return tuple(
            p.record(now, Status.STORING if p.phase is Phase.STORING else Status.RUNNING)
            for p in self._found.values()
        )


def _is_through(snapshot: PendingSnapshot[P]) -> bool:
    """A savepoint whose barriers have come everywhere: only publishing keeps it."""
    return snapshot.kind is Kind.SAVEPOINT and snapshot.phase is Phase.COMPLETE
