"""The words of the control plane: what JobManager, TaskManagers and slots say to each other.

Tagged msgpack structs in four directions. A TaskManager only reads envelopes: what JobManager and
slot say to each other passes through it as bytes, so it needs nothing but this module and stays
light. Every message carries the generation of the JobManager and the attempt it is about; receivers
drop older ones. Fields are only ever added, with defaults; anything else raises PROTOCOL."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec
import msgspec.structs

from flowjob.core.failures import ErrorInfo
from flowjob.core.job_events import Address, TaskId, TaskPlace
from flowjob.errors import ProtocolError

PROTOCOL = 1
"""Version of this module's words; both sides must have the same."""

MAX_MESSAGE = 64 << 20
"""Bytes of the largest message taken from a peer."""


class Message(msgspec.Struct, tag=True, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all. attempt 0: not about a deployment."""

    generation: int = 1
    attempt: int = 0


T = TypeVar("T", bound=Message)


def stamped(message: T, generation: int) -> T:
    """The same message as said under `generation`."""
    return msgspec.structs.replace(message, generation=generation)


# How a slot gets the job --------------------------------------------------------------------------


class EntrypointSource(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The job is imported: what flowjob.entrypoint.Entrypoint says. `directory` is the client's current one."""

    target: str
    args: dict[str, Any] = {}
    sys_path: list[str] = []
    directory: str | None = None


class PickledSource(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The job was defined interactively: cloudpickle bytes of the Job."""

    data: bytes
    sys_path: list[str] = []
    directory: str | None = None


JobSource = EntrypointSource | PickledSource


class JobDescription(msgspec.Struct, frozen=True, kw_only=True):
    """All a slot needs to rebuild the job and to see that it is the same one.

    planner  module with `compile_job`, `digest` and `job_graph_text`
    runner   `module:attribute` of the TaskRunner factory
    token    shown by slots to each other in the data plane
    run      options for the runner; msgpack-able
    """

    name: str
    run_id: str
    source: JobSource
    parallelism: int
    digest: str
    explain: str
    token: str
    planner: str = "flowjob.plan"
    runner: str = "flowjob.runtime.slot_tasks:SlotTasks"
    run: dict[str, Any] = {}
    metrics_interval: float = 0.5


# JobManager -> TaskManager ------------------------------------------------------------------------


class Welcome(Message, frozen=True):
    """The answer to Register. `keep` names the slots (number, attempt) the JobManager still
    wants."""

    keep: list[tuple[int, int]] = []
    heartbeat_interval: float = 1.0
    heartbeat_timeout: float = 30.0


class Refused(Message, frozen=True):
    reason: str


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


ToTaskManager = Welcome | Refused | StartSlot | StopSlot | ToSlot | JobManagerAlive | Shutdown


# TaskManager -> JobManager ------------------------------------------------------------------------


class Register(Message, frozen=True):
    """First on every connection. `running` names the slots (number, attempt) still at work."""

    protocol: int
    taskmanager: str
    slots: int
    pid: int
    host: str
    running: list[tuple[int, int]] = []


class TaskManagerAlive(Message, frozen=True):
    pass


class Leaving(Message, frozen=True):
    """This TaskManager ends of its own will; its slots are killed."""

    reason: str


class SlotForked(Message, frozen=True):
    slot: int
    pid: int


class SlotGone(Message, frozen=True):
    """The slot's process is reaped, or could not be started. `reason` continues `slot 1 …`."""

    slot: int
    reason: str
    last_output: list[str] = []


class SlotOutput(Message, frozen=True):
    """Lines a slot printed; `stream` is `stdout` or `stderr`."""

    slot: int
    stream: str
    lines: list[str]


class SlotSilent(Message, frozen=True):
    """A slot's loop has said nothing for `seconds`; its stacks are on their way as output."""

    slot: int
    seconds: float


class FromSlot(Message, frozen=True):
    """`body` is an encoded message of the slot."""

    slot: int
    body: bytes


ToJobManager = (
    Register
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
    """Build `tasks`; `places` is where all tasks of the job are."""

    tasks: list[TaskId]
    places: list[TaskPlace]


class RunTasks(Message, frozen=True):
    """All slots have deployed: connect and run."""


class WireSplit(msgspec.Struct, frozen=True):
    """A connectors.base.Split with the position to start from."""

    id: str
    data: dict[str, Any]
    position: dict[str, Any] | None = None


class AssignSplits(Message, frozen=True):
    """The answer to RequestSplits. `complete`: there will be no more for this subtask."""

    task: TaskId
    splits: list[WireSplit]
    complete: bool


class StopTasks(Message, frozen=True):
    """Close everything and exit."""

    reason: str


ToSlotBody = Launch | DeployTasks | RunTasks | AssignSplits | StopTasks


# slot -> JobManager -------------------------------------------------------------------------------


class SlotIsReady(Message, frozen=True):
    address: Address
    digest: str


class TasksDeployed(Message, frozen=True):
    pass


class TaskDone(Message, frozen=True):
    task: TaskId


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


class TaskMetrics(msgspec.Struct, frozen=True):
    """Latest figures of one task: totals since its start, never differences."""

    task: TaskId
    values: dict[str, Any]


class MetricsReport(Message, frozen=True):
    tasks: list[TaskMetrics]
    final: bool = False


FromSlotBody = (
    SlotIsReady | TasksDeployed | TaskDone | SlotError | RequestSplits | SinkReport | MetricsReport
)


# Codecs -------------------------------------------------------------------------------------------

M = TypeVar("M")


class Codec(Generic[M]):
    """Bytes of one direction's messages."""

    def __init__(self, union: Any) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[M] = msgspec.msgpack.Decoder(union)

    def encode(self, message: M) -> bytes:
        """Raises ProtocolError when the message is larger than any peer takes."""
        data = self._encoder.encode(message)
        if len(data) > MAX_MESSAGE:
            raise ProtocolError(
                f"a {type(message).__name__} message of {len(data) >> 20} MiB exceeds the limit of "
                f"{MAX_MESSAGE >> 20} MiB; put large data into files, not into the job"
            )
        return data

    def decode(self, data: bytes) -> M:
        """Raises ProtocolError for anything that is not a message of this direction."""
        if len(data) > MAX_MESSAGE:
            raise ProtocolError(f"a message of {len(data)} bytes exceeds the limit")
        try:
            return self._decoder.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ProtocolError(f"not a control message: {error}") from error


to_taskmanager: Codec[ToTaskManager] = Codec(ToTaskManager)
to_jobmanager: Codec[ToJobManager] = Codec(ToJobManager)
to_slot: Codec[ToSlotBody] = Codec(ToSlotBody)
from_slot: Codec[FromSlotBody] = Codec(FromSlotBody)
