"""The words between the job machine and its shell: the job's shape, events in, instructions out.

Frozen plain data, so that tests enumerate them and the shell matches on them. A `slot` is the
slot's number in the job; `attempt` says which deployment of the job an event is about, and older
ones are dropped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from flowjob.core.failures import ErrorInfo
from flowjob.core.job_outcomes import Cancelled as Cancelled
from flowjob.core.job_outcomes import Failed as Failed
from flowjob.core.job_outcomes import GaveUp as GaveUp
from flowjob.core.job_outcomes import Lost as Lost
from flowjob.core.job_outcomes import Notice as Notice
from flowjob.core.job_outcomes import Outcome as Outcome
from flowjob.core.job_outcomes import Restarted as Restarted
from flowjob.core.job_outcomes import Restarting as Restarting
from flowjob.core.job_outcomes import Succeeded as Succeeded


class TaskId(NamedTuple):
    """One subtask of one vertex."""

    vertex: int
    subtask: int


class Address(NamedTuple):
    """Where a slot's data plane listens."""

    host: str
    port: int


class TaskPlace(NamedTuple):
    """Which slot runs a task, and where that slot listens."""

    task: TaskId
    slot: int
    address: Address


@dataclass(frozen=True, slots=True)
class VertexShape:
    id: int
    name: str
    parallelism: int


@dataclass(frozen=True, slots=True)
class JobShape:
    """What placement needs to know of a job graph.

    regions  slots that exchange data with each other, directly or through others: they can only be restarted
             together. Empty: all slots are one region
    """

    vertices: tuple[VertexShape, ...]
    regions: tuple[tuple[int, ...], ...] = ()

    @property
    def all_regions(self) -> tuple[tuple[int, ...], ...]:
        """Every slot in exactly one of them."""
        return self.regions or (tuple(range(self.slots)),)

    @property
    def slots(self) -> int:
        """Slots the job needs: one per subtask of its widest vertex."""
        return max((v.parallelism for v in self.vertices), default=0)

    def tasks_of(self, slot: int) -> tuple[TaskId, ...]:
        """Slot sharing: slot i runs subtask i of every vertex that has one."""
        return tuple(TaskId(v.id, slot) for v in self.vertices if v.parallelism > slot)

    def tasks(self) -> frozenset[TaskId]:
        return frozenset(t for slot in range(self.slots) for t in self.tasks_of(slot))

    def describe(self, slot: int) -> str:
        """The slot's tasks for a person: `read 2/4, window 2/2`."""
        return ", ".join(
            f"{v.name} {slot + 1}/{v.parallelism}" for v in self.vertices if v.parallelism > slot
        )


HEARTBEAT_TIMEOUT = 10.0
"""Seconds of silence behind which JobManager and TaskManager of a service are lost to each other: less than a new
JobManager waits for reports, so that tasks of one that hangs are adopted, too."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds each wait may take. Every one ends in a message that says who is missing."""

    registration: float = 30.0
    slot_ready: float = 60.0
    deploy: float = 60.0
    root_cause: float = 5.0  # after a lost connection, for the reason behind it to show
    stop: float = 5.0  # for slots to close what they have open
    clear: float = 10.0  # before a restart, for the killed slots to be gone
    kill: float = 5.0  # for killed processes to be reaped


class Wait(Enum):
    """What a deadline is about; there is at most one of each for the job, or for each region."""

    REGISTRATION = "registration"  # the job's
    SLOT_READY = "slot ready"
    DEPLOY = "deploy"
    ROOT_CAUSE = "root cause"
    CLEAR = "clear"
    PAUSE = "pause"
    STOP = "stop"  # the job's
    KILL = "kill"  # the job's


# Events -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TaskManagerRegistered:
    taskmanager: str
    slots: int


@dataclass(frozen=True, slots=True)
class TaskManagerLost:
    """Its process ended or its connection is gone; so are its slots. `reason` follows its name in a
    sentence: `was killed by signal 9 (SIGKILL)`. `fatal`: it will not come back, even if it never
    came."""

    taskmanager: str
    reason: str
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class SlotStarted:
    slot: int
    attempt: int
    pid: int


@dataclass(frozen=True, slots=True)
class SlotReady:
    """The slot has rebuilt the job, found the same plan, and listens at `address`."""

    slot: int
    attempt: int
    address: Address


@dataclass(frozen=True, slots=True)
class SlotFailed:
    """The slot could not get ready or deploy, or one of its tasks failed."""

    slot: int
    attempt: int
    error: ErrorInfo


@dataclass(frozen=True, slots=True)
class Deployed:
    slot: int
    attempt: int


@dataclass(frozen=True, slots=True)
class TaskFinished:
    slot: int
    attempt: int
    task: TaskId


@dataclass(frozen=True, slots=True)
class SlotExited:
    """The slot's process has ended and is reaped. `reason`: `was killed by signal 9 (SIGKILL)`."""

    slot: int
    attempt: int
    reason: str
    last_output: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EnumeratorFailed:
    vertex: int
    error: ErrorInfo


@dataclass(frozen=True, slots=True)
class SnapshotsFailed:
    """Snapshots cannot go on, or the one to restart from cannot be read: a failure of all tasks."""

    error: ErrorInfo


@dataclass(frozen=True, slots=True)
class SnapshotSaved:
    """A restart would begin there, and no longer at the run's beginning."""


@dataclass(frozen=True, slots=True)
class RestartRequested:
    """All tasks must begin anew, whatever the restart strategy says. `without` a TaskManager: only the regions that
    have slots there, which are to be had elsewhere."""

    reason: str
    without: str | None = None


@dataclass(frozen=True, slots=True)
class StopCompleted:
    """Everything that was to come of the job is committed: it ends well, whatever its tasks do now."""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """A second one kills what the first one did not stop yet."""

    reason: str


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    wait: Wait
    region: int = 0


Event = (
    TaskManagerRegistered
    | TaskManagerLost
    | SlotStarted
    | SlotReady
    | SlotFailed
    | Deployed
    | TaskFinished
    | SlotExited
    | EnumeratorFailed
    | SnapshotsFailed
    | SnapshotSaved
    | RestartRequested
    | StopCompleted
    | CancelRequested
    | DeadlinePassed
)


# Instructions -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartSlot:
    taskmanager: str
    slot: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Deploy:
    taskmanager: str
    slot: int
    attempt: int
    tasks: tuple[TaskId, ...]
    places: tuple[TaskPlace, ...]


@dataclass(frozen=True, slots=True)
class StartEnumerators:
    """Look for splits; comes first, so that it overlaps with the start of processes."""


@dataclass(frozen=True, slots=True)
class ResetTasks:
    """Nothing of these tasks is left; soon they are deployed again, from the newest snapshot. Whatever belongs to
    their last attempt (splits, snapshots under way) is void."""

    slots: tuple[int, ...]
    tasks: tuple[TaskId, ...]


@dataclass(frozen=True, slots=True)
class ReplaceTaskManager:
    """Whoever runs TaskManagers should end what is left of this one, and bring up another."""

    taskmanager: str


@dataclass(frozen=True, slots=True)
class Run:
    taskmanager: str
    slot: int
    attempt: int


@dataclass(frozen=True, slots=True)
class StopSlot:
    """Ask the slot to close and exit; with `kill` end it at once."""

    taskmanager: str
    slot: int
    attempt: int
    reason: str
    kill: bool = False


@dataclass(frozen=True, slots=True)
class SetDeadline:
    """Replaces an earlier one of the same wait and region."""

    wait: Wait
    seconds: float
    region: int = 0


@dataclass(frozen=True, slots=True)
class CancelDeadline:
    wait: Wait
    region: int = 0


@dataclass(frozen=True, slots=True)
class Tell:
    """For whoever watches the job."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class Finish:
    """The job has ended; comes exactly once and last. `unstopped` names slots that even SIGKILL did
    not end."""

    outcome: Outcome
    unstopped: tuple[str, ...] = ()


Instruction = (
    StartSlot
    | Deploy
    | StartEnumerators
    | ResetTasks
    | ReplaceTaskManager
    | Run
    | StopSlot
    | SetDeadline
    | CancelDeadline
    | Tell
    | Finish
)
