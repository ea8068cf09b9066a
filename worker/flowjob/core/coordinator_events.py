"""The words between the checkpoint coordinator and its shell: events in, instructions out.

Frozen plain data, so that tests enumerate them and the shell matches on them. `P` is what a task acknowledges with:
the coordinator hands it on and never looks into it. Times are seconds of one monotonic clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob.core.commits import CommitPermit
from flowjob.core.elements import Barrier, Stop
from flowjob.core.job_events import TaskId

P = TypeVar("P")


class Kind(Enum):
    """Why a snapshot is taken."""

    CHECKPOINT = "checkpoint"  # periodic, or asked for
    FINAL = "final checkpoint"  # all tasks have ended
    SAVEPOINT = "savepoint"  # a person's; the job goes on, and is never restarted from it by itself
    STOP = "stop with savepoint"

    @property
    def is_restore_point(self) -> bool:
        """Whether it is committed in the log, and a restart then begins there."""
        return self is not Kind.SAVEPOINT


class Prepared(NamedTuple):
    """What one sink of one task made ready to become visible: `items` in order of preparation."""

    task: TaskId
    sink: str
    items: tuple[bytes, ...]


# Events -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """All tasks run (first deployment, or after a restart). Comes before any event of the new attempt.

    tasks      all tasks of the job; `sources` those among them that barriers start from
    restored   the snapshot they continue from, 0 for none; no id up to it is used again
    pending    what that snapshot holds prepared and nobody is known to have committed, dealt to current tasks
    restarted  the tasks that are new; None: all. What others have acknowledged, ended and committed still holds.
    since      seconds since `restored` was taken, where another JobManager's tasks go on; else 0
    """

    tasks: frozenset[TaskId]
    sources: frozenset[TaskId]
    restored: int = 0
    pending: tuple[Prepared, ...] = ()
    restarted: frozenset[TaskId] | None = None
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class TasksFailed:
    """A region or the whole job went down. No trigger until Started; answered by one Restorable."""

    reason: str


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """A task's input has ended; it only waits for its last commit."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class Acknowledged(Generic[P]):
    """A task's part is stored. `prepared`: what its sinks made ready, by sink. Nothing of an earlier attempt of the
    task may come after Started: whoever hands messages on drops it.

    A task gives everything it prepared and has not committed, not only what is new since the last barrier: the
    acknowledgement of an earlier barrier may never arrive."""

    checkpoint: int
    task: TaskId
    snapshot: P
    prepared: tuple[Prepared, ...] = ()


@dataclass(frozen=True, slots=True)
class Declined:
    checkpoint: int
    task: TaskId
    reason: str


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer to Store: the manifest is written and, for a restore point, the log has taken it."""

    checkpoint: int


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """The answer to Store: it is certain that the log has not taken it and never will."""

    checkpoint: int
    reason: str


@dataclass(frozen=True, slots=True)
class TaskCommitted:
    """All sinks of the task have committed what they prepared up to this snapshot."""

    checkpoint: int
    task: TaskId


@dataclass(frozen=True, slots=True)
class CheckpointRequested:
    """Somebody wants a checkpoint now. `request` is a name nobody used before."""

    request: str


@dataclass(frozen=True, slots=True)
class SavepointRequested:
    """Somebody wants a savepoint at `savepoint` (a name the shell understands), and with `stop` the job's end."""

    request: str
    savepoint: str
    stop: Stop = Stop.NO


@dataclass(frozen=True, slots=True)
class AbortRequested:
    checkpoint: int
    reason: str


@dataclass(frozen=True, slots=True)
class UseBegan:
    """Somebody reads this checkpoint: it is not retired until UseEnded."""

    checkpoint: int


@dataclass(frozen=True, slots=True)
class UseEnded:
    checkpoint: int


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """They hold from here on; snapshots under way keep their time."""

    settings: CheckpointSettings


@dataclass(frozen=True, slots=True)
class Tick:
    """`Coordinator.wake_at` has come."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The job is over. Whoever waits for an answer gets this reason; nothing comes after."""

    reason: str


Event = (
    Started
    | TasksFailed
    | TaskEnded
    | Acknowledged[P]
    | Declined
    | Stored
    | StoreFailed
    | TaskCommitted
    | CheckpointRequested
    | SavepointRequested
    | AbortRequested
    | UseBegan
    | UseEnded
    | SettingsChanged
    | Tick
    | Closed
)


# Instructions -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trigger:
    """Tell `tasks` (sources, and tasks that have ended) to take part. `savepoint`: where it goes, else it is a
    checkpoint."""

    barrier: Barrier
    tasks: tuple[TaskId, ...]
    savepoint: str | None = None


@dataclass(frozen=True, slots=True)
class Abort:
    """Tell all tasks that nobody waits for this snapshot any more."""

    checkpoint: int
    reason: str


@dataclass(frozen=True, slots=True)
class Store(Generic[P]):
    """Write the manifest; for a restore point then append its Commit to the log. Answer Stored or StoreFailed, once,
    when the outcome is certain. There is never a second Store before that.

    carried  prepared before this snapshot and not known to be committed: goes into the manifest too. For a savepoint of
             a job that goes on there is none, and what its tasks have prepared for it is published
    """

    checkpoint: int
    kind: Kind
    snapshots: Mapping[TaskId, P]
    carried: tuple[Prepared, ...] = ()
    savepoint: str | None = None
    stop: Stop = Stop.NO


@dataclass(frozen=True, slots=True)
class NotifyCommitted:
    """Tell `tasks` that what they prepared up to `permit.checkpoint` is committed; `former` (of earlier lives) goes
    with it to its tasks, to be committed first. Those with sinks answer TaskCommitted."""

    permit: CommitPermit
    tasks: tuple[TaskId, ...]
    former: tuple[Prepared, ...] = ()


@dataclass(frozen=True, slots=True)
class Retire:
    """Log that this checkpoint is not needed any more, then delete it. Comes after a newer one is committed."""

    checkpoint: int


@dataclass(frozen=True, slots=True)
class Discard:
    """Delete what a snapshot that was never committed has left. May come again when a task was late. `savepoint`: it
    was to be one, there."""

    checkpoint: int
    savepoint: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """To a requester, exactly once. `failure` None: done. A failed stop may still have left a savepoint."""

    request: str
    checkpoint: int | None = None
    savepoint: str | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class FailJob:
    """The job fails, as by a task: the restart strategy decides, unless it is `final`. TasksFailed is expected."""

    reason: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class RestartJob:
    """A stop failed after sources may have stopped: restart all tasks at once, without asking the restart strategy.
    TasksFailed is expected."""

    reason: str


@dataclass(frozen=True, slots=True)
class Restorable:
    """After TasksFailed: nothing is in doubt any more; restart from this snapshot. None: none of this coordinator's."""

    checkpoint: int | None


@dataclass(frozen=True, slots=True)
class Release:
    """All is committed and nobody waits: tasks that have ended may finish."""

    checkpoint: int


@dataclass(frozen=True, slots=True)
class StopJob:
    """All is committed after a stop that a failure interrupted: end the job as stopped. Its tasks run again, and what
    they did since is in no snapshot."""

    checkpoint: int


Instruction = (
    Trigger
    | Abort
    | Store[P]
    | NotifyCommitted
    | Retire
    | Discard
    | Answer
    | FailJob
    | RestartJob
    | Restorable
    | Release
    | StopJob
)
