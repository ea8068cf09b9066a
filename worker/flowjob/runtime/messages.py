"""The words of the control plane: what JobManager, TaskManagers and slots say to each other.

Tagged msgpack structs in four directions. A TaskManager only reads envelopes: what JobManager and
slot say to each other passes through it as bytes, so it needs nothing but this module and stays
light. Every message carries the generation of the JobManager and the attempt it is about; receivers
drop older ones. Fields are only ever added, with defaults; anything else raises PROTOCOL."""

from __future__ import annotations

from typing import TypeVar

import msgspec
import msgspec.structs

from flowjob.core.failures import ErrorInfo
from flowjob.core.job_events import Address, TaskId, TaskPlace
from flowjob.runtime.checkpoint.manifest import TaskSnapshot
from flowjob.runtime.codec import MAX_MESSAGE as MAX_MESSAGE
from flowjob.runtime.codec import Codec
from flowjob.runtime.env import StoreLocation
from flowjob.runtime.job_description import JobDescription
from flowjob.runtime.speaking import Mark
from flowjob.runtime.wire import SaidLine as SaidLine
from flowjob.runtime.wire import SplitProgress as SplitProgress
from flowjob.runtime.wire import TaskInventory as TaskInventory
from flowjob.runtime.wire import TaskMetrics as TaskMetrics
from flowjob.runtime.wire import WireBarrier as WireBarrier
from flowjob.runtime.wire import WireSplit as WireSplit

PROTOCOL = 1
"""Version of this module's words; both sides must have the same."""


class Message(msgspec.Struct, tag=True, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all. attempt 0: not about a deployment."""

    generation: int = 1
    attempt: int = 0


T = TypeVar("T", bound=Message)


def stamped(message: T, generation: int) -> T:
    """The same message as said under `generation`."""
    return msgspec.structs.replace(message, generation=generation)


# JobManager -> TaskManager ------------------------------------------------------------------------


class Welcome(Message, frozen=True):
    """The answer to Register. `keep` names the slots (number, attempt) the JobManager still wants."""

    keep: list[tuple[int, int]] = []
    heartbeat_interval: float = 1.0
    heartbeat_timeout: float = 30.0


class Refused(Message, frozen=True):
    """`again`: not for good, so try again soon."""

    reason: str
    again: bool = False


class NotLeading(Message, frozen=True):
    """This JobManager does not lead the job, or not yet. `leader`: the control address of one that may.

    come_again  it leads since it was asked, and wants to hear what is the case now"""

    leader: str = ""
    come_again: bool = False


class StartSlot(Message, frozen=True):
    """Fork a slot and hand it `launch` (an encoded Launch)."""

    slot: int
    launch: bytes


class StopSlot(Message, frozen=True):
    """Ask the slot to end and kill it after `grace` seconds (0: at once)."""

    slot: int
    reason: str
    grace: float


class ToSlot(Message, frozen=True):
    """`body` is an encoded message for the slot."""

    slot: int
    body: bytes


class JobManagerAlive(Message, frozen=True):
    pass


class Shutdown(Message, frozen=True):
    """Stop all slots and exit."""

    reason: str


class Answered(Message, frozen=True):
    """The answer to Ask. `failure`: why it was not done; `place`: where the savepoint is."""

    state: str
    failure: str | None = None
    place: str | None = None


ToTaskManager = (
    Welcome | Refused | NotLeading | StartSlot | StopSlot | ToSlot | JobManagerAlive | Shutdown | Answered
)  # fmt: skip


# TaskManager -> JobManager ------------------------------------------------------------------------


class Register(Message, frozen=True):
    """First on every connection. `running` names the slots (number, attempt) still at work, `pids` their processes."""

    protocol: int
    taskmanager: str
    slots: int
    pid: int
    host: str
    running: list[tuple[int, int]] = []
    pids: list[int] = []


class TaskManagerAlive(Message, frozen=True):
    """`lines`: what it has said since the last one. `dropped`: lines that were too many, in all its life."""

    lines: list[SaidLine] = []
    dropped: int = 0


class Leaving(Message, frozen=True):
    """This TaskManager ends of its own will; its slots are killed. `within` seconds, unless they are taken before."""

    reason: str
    within: float = 0.0


class SlotForked(Message, frozen=True):
    slot: int
    pid: int


class SlotGone(Message, frozen=True):
    """The slot's process is reaped, or could not be started. `reason` continues `slot 1 …`."""

    slot: int
    reason: str
    last_output: list[str] = []


class SlotOutput(Message, frozen=True):
    """Lines a slot printed, to `stdout` or `stderr`. `marks`: by which task each, None: by none; empty: all by none."""

    slot: int
    stream: str
    lines: list[str]
    marks: list[Mark | None] = []


class SlotSilent(Message, frozen=True):
    """A slot's loop has said nothing for `seconds`; its stacks are on their way as output."""

    slot: int
    seconds: float


class FromSlot(Message, frozen=True):
    """`body` is an encoded message of the slot."""

    slot: int
    body: bytes


class Ask(Message, frozen=True):
    """A person's wish, first and last on a connection of its own; Answered follows, which may take minutes.

    what       `state`, `savepoint`, `stop` (with a savepoint) or `cancel`
    savepoint  its name; empty: one is made
    drain      `stop`: time runs to its end first, windows fire
    """

    what: str
    savepoint: str = ""
    drain: bool = False


ToJobManager = (
    Ask
    | Register
    | TaskManagerAlive
    | Leaving
    | SlotForked
    | SlotGone
    | SlotOutput
    | SlotSilent
    | FromSlot
)


# JobManager (and TaskManager) -> slot -------------------------------------------------------------


class Launch(Message, frozen=True):
    """First to every slot: who it is and what the job is. `host` is where its data plane
    listens."""

    slot: int
    host: str
    job: JobDescription


class DeployTasks(Message, frozen=True):
    """Build `tasks`; `places` is where all tasks of the region are. `restore`: the manifest to restore from, by the
    whole name of its object in the store at `restore_location` (None: in the job's own, CheckpointPlan.location); state
    that is not there starts empty."""

    tasks: list[TaskId]
    places: list[TaskPlace]
    restore: str | None = None
    restore_location: StoreLocation | None = None


class RunTasks(Message, frozen=True):
    """All slots have deployed: connect and run."""


class AssignSplits(Message, frozen=True):
    """The answer to RequestSplits. `complete`: there will be no more for this subtask."""

    task: TaskId
    splits: list[WireSplit]
    complete: bool


class TriggerSnapshot(Message, frozen=True):
    """`tasks` (sources, and tasks that have ended) take part in a snapshot now. `directory` is where its objects go,
    below the job's root."""

    tasks: list[TaskId]
    barrier: WireBarrier
    directory: str


class AbortSnapshot(Message, frozen=True):
    """Nobody waits for this snapshot any more."""

    checkpoint: int
    reason: str


class CommitSnapshot(Message, frozen=True):
    """The snapshot is committed: sinks make visible what they prepared for it, and acknowledge. `committables`, by
    task and sink uid, are ones of former lives, to be committed first."""

    checkpoint: int
    committables: list[tuple[TaskId, str, list[bytes]]] = []


class ReleaseTasks(Message, frozen=True):
    """All is committed: tasks that have ended may end."""


class ReportTasks(Message, frozen=True):
    """A new JobManager takes over: from here on older ones' messages do not count. SlotInventory is the answer."""


class StopTasks(Message, frozen=True):
    """Close everything and exit."""

    reason: str


ToSlotBody = (
    Launch
    | DeployTasks
    | RunTasks
    | AssignSplits
    | TriggerSnapshot
    | AbortSnapshot
    | CommitSnapshot
    | ReleaseTasks
    | ReportTasks
    | StopTasks
)


# slot -> JobManager -------------------------------------------------------------------------------


class SlotIsReady(Message, frozen=True):
    address: Address
    digest: str


class TasksDeployed(Message, frozen=True):
    pass


class TaskDone(Message, frozen=True):
    task: TaskId


class TaskEnded(Message, frozen=True):
    """All input of the task has ended and everything that follows from it is sent; it waits for its last commit."""

    task: TaskId


class SnapshotTaken(Message, frozen=True):
    """A task's part of a snapshot is stored."""

    checkpoint: int
    snapshot: TaskSnapshot


class SnapshotDeclined(Message, frozen=True):
    """A task could not take part."""

    checkpoint: int
    task: TaskId
    reason: str


class SnapshotCommitted(Message, frozen=True):
    """All sinks of a task have committed what they had for snapshots up to this one."""

    checkpoint: int
    task: TaskId


class SlotInventory(Message, frozen=True):
    """What the slot is and has. `running`: its tasks were told to run, and none has failed. `highest`: the newest
    snapshot it was told to trigger. Questions that an earlier JobManager has not answered follow once more."""

    run_id: str
    digest: str
    running: bool
    address: Address | None = None
    highest: int = 0
    tasks: list[TaskInventory] = []


class SlotError(Message, frozen=True):
    """The slot can't go on; it waits to be stopped."""

    error: ErrorInfo


class RequestSplits(Message, frozen=True):
    task: TaskId


class SinkReport(Message, frozen=True):
    """Bytes from a sink writer for whoever watches the job; `sink` is the operator's name."""

    task: TaskId
    sink: str
    data: bytes


class MetricsReport(Message, frozen=True):
    tasks: list[TaskMetrics]
    final: bool = False


FromSlotBody = (
    SlotIsReady
    | SlotInventory
    | TasksDeployed
    | TaskDone
    | TaskEnded
    | SnapshotTaken
    | SnapshotDeclined
    | SnapshotCommitted
    | SlotError
    | RequestSplits
    | SinkReport
    | MetricsReport
)


# Codecs -------------------------------------------------------------------------------------------

to_taskmanager: Codec[ToTaskManager] = Codec(ToTaskManager)
to_jobmanager: Codec[ToJobManager] = Codec(ToJobManager)
to_slot: Codec[ToSlotBody] = Codec(ToSlotBody)
from_slot: Codec[FromSlotBody] = Codec(FromSlotBody)
