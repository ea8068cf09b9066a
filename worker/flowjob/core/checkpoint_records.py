"""A snapshot under way, and what is remembered of one that is over.

Records are frozen and few, for the API and the command line; what tasks acknowledged with is dropped with the snapshot.
Times are seconds of the coordinator's clock. It must not decide anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, NamedTuple

from flowjob.core.coordinator_events import Kind, P
from flowjob.core.elements import Barrier, Stop
from flowjob.core.job_events import TaskId

Told = Callable[[TaskId], str]
"""A task, for people."""


def by_number(task: TaskId) -> str:
    """Where nobody knows names."""
    return f"task {task.vertex}/{task.subtask}"


class Status(Enum):
    RUNNING = "running"  # not all tasks have acknowledged
    STORING = "storing"
    COMPLETED = "completed"
    FAILED = "failed"  # counts towards tolerable failures
    ABORTED = "aborted"  # nobody's fault: superseded, cancelled, or the job restarted


class TaskAck(NamedTuple):
    """`after`: seconds from the trigger to the acknowledgement."""

    task: TaskId
    after: float


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """One snapshot, for people.

    triggered  when; `duration` from then to its end (or to now, under way)
    acks       in order of arrival; `tasks` is how many there have to be
    reason     why it failed or was aborted
    """

    checkpoint: int
    kind: Kind
    status: Status
    triggered: float
    duration: float
    tasks: int
    acks: tuple[TaskAck, ...]
    savepoint: str | None = None
    stop: Stop = Stop.NO
    reason: str | None = None


class Phase(Enum):
    COLLECTING = "collecting acknowledgements"
    COMPLETE = "all tasks have acknowledged"
    STORING = "its manifest is being written"


@dataclass(slots=True)
class PendingSnapshot(Generic[P]):
    """From the trigger until it is stored or given up."""

    barrier: Barrier
    kind: Kind
    triggered: float
    expires: float
    tasks: frozenset[TaskId]
    savepoint: str | None = None
    request: str | None = None
    phase: Phase = Phase.COLLECTING
    snapshots: dict[TaskId, P] = field(default_factory=dict)
    acks: list[TaskAck] = field(default_factory=list)

    @property
    def checkpoint(self) -> int:
        return self.barrier.checkpoint

    def acknowledge(self, task: TaskId, snapshot: P, now: float) -> None:
        """Once per task of it."""
        self.snapshots[task] = snapshot
        self.acks.append(TaskAck(task, now - self.triggered))
        if len(self.snapshots) == len(self.tasks):
            self.phase = Phase.COMPLETE

    def why_incomplete(self, told: Told, most: int = 5) -> str:
        """Who holds it up, for a message: `not acknowledged by read 2/4, window 1/4`."""
        if self.phase is Phase.COMPLETE:
            return "results of what came before it were not published"
        late = sorted(self.tasks - self.snapshots.keys())
        names = ", ".join(told(task) for task in late[:most])
        more = "" if len(late) <= most else f" and {len(late) - most} more"
        return f"not acknowledged by {names}{more}"

    def record(self, now: float, status: Status, reason: str | None = None) -> CheckpointRecord:
        return CheckpointRecord(
            checkpoint=self.checkpoint,
            kind=self.kind,
            status=status,
            triggered=self.triggered,
            duration=now - self.triggered,
            tasks=len(self.tasks),
            acks=tuple(self.acks),
            savepoint=self.savepoint,
            stop=self.barrier.stop,
            reason=reason,
        )
