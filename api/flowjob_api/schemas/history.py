"""What has happened to a job: checkpoints, snapshots, exceptions, log lines, changes; its configuration and plan.

The same fields as worker/flowjob/cluster/job_history.py and job_details.py, which JobManagers answer with; a test
compares them."""

from __future__ import annotations

from typing import Literal

from flowjob_api.schemas.model import Answer, Time, example

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
Process = Literal["JobManager", "TaskManager", "Slot"]


class CheckpointFacts(Answer):
    """One snapshot, under way or over. Phases are those of the slowest subtask of each, in ms."""

    id: int
    kind: Literal["Checkpoint", "FinalCheckpoint", "Savepoint", "Stop"]
    status: Literal["Running", "Storing", "Completed", "Failed", "Aborted"]
    """Aborted: nobody's fault; it was superseded or called off, or the job restarted."""
    triggered_at: Time
    ended_at: Time | None = None
    duration_ms: float = 0.0
    """From the trigger to the end, or to now."""
    alignment_ms: float = 0.0
    """From a task's first barrier to its last."""
    sync_ms: float = 0.0
    """The task stands still."""
    async_ms: float = 0.0
    """From then until its state is stored."""
    acknowledge_ms: float | None = None
    """From the trigger until all subtasks have acknowledged."""
    store_ms: float | None = None
    """From then until the log has it."""
    bytes: int = 0
    in_flight_bytes: int = 0
    """Rows that barriers have overtaken."""
    tasks: int = 0
    acknowledged: int = 0
    unaligned: bool = False
    savepoint: str | None = None
    """Its name."""
    path: str | None = None
    reason: str | None = None
    """Why it failed or was aborted."""
    attempt: int = 0


class CheckpointSubtask(Answer):
    """One subtask's part."""

    subtask: int
    acknowledged_ms: float | None = None
    """After the trigger; null: it has not acknowledged."""
    alignment_ms: float = 0.0
    sync_ms: float = 0.0
    async_ms: float = 0.0
    bytes: int = 0
    in_flight_bytes: int = 0


class CheckpointVertex(Answer):
    """Sums of bytes, and the longest of each phase."""

    vertex: int
    name: str
    tasks: int
    acknowledged: int = 0
    acknowledged_ms: float | None = None
    alignment_ms: float = 0.0
    sync_ms: float = 0.0
    async_ms: float = 0.0
    bytes: int = 0
    in_flight_bytes: int = 0
    subtasks: list[CheckpointSubtask] = []


class CheckpointDetail(Answer):
    """`vertices` is empty when the subtasks' figures have been dropped: they are kept for the newest few only."""

    checkpoint: CheckpointFacts
    vertices: list[CheckpointVertex] = []


class Statistics(Answer):
    """Of the completed ones in the history."""

    count: int = 0
    least: float = 0.0
    mean: float = 0.0
    p95: float = 0.0
    most: float = 0.0


class Checkpoints(Answer):
    """The history, newest first, those under way included."""

    model_config = example(
        enabled=True, triggered=12, completed=11, failed=1, history=[
            {"id": 12, "kind": "Checkpoint", "status": "Completed", "triggeredAt": "2026-03-01T12:00:00.000Z",
             "durationMs": 84.0, "bytes": 1_204_000, "tasks": 4, "acknowledged": 4}],
    )  # fmt: skip
    enabled: bool = False
    """False: the job takes none."""
    triggered: int = 0
    completed: int = 0
    failed: int = 0
    aborted: int = 0
    under_way: int = 0
    failed_in_a_row: int = 0
    next_at: Time | None = None
    restored: int | None = None
    """The snapshot that the tasks were last started from."""
    duration_ms: Statistics = Statistics()
    bytes: Statistics = Statistics()
    history: list[CheckpointFacts] = []


class SnapshotFacts(Answer):
    """One that is kept. In a cluster savepoints have a FlowSnapshot, whose `name` and `phase` these are."""

    type: Literal["Savepoint", "Checkpoint"]
    id: int = 0
    path: str = ""
    name: str | None = None
    completed_at: Time | Literal[""] = ""
    bytes: int | None = None
    checksum: str = ""
    newest: bool = False
    """A restart would begin from it."""
    phase: Literal["Pending", "InProgress", "Completed", "Failed", "Abandoned", "Deleting"] = (
        "Completed"
    )
    error: str | None = None
    in_use: bool = False
    """The job needs it to go on: it cannot be deleted now."""


class Snapshots(Answer):
    """Newest first. `more`: there are older ones, which are not listed."""

    model_config = example(
        snapshots=[{"type": "Savepoint", "id": 12, "name": "before-upgrade", "phase": "Completed", "bytes": 1_204_000,
                    "path": "s3://bucket/flights/savepoints/before-upgrade", "newest": True}],
        more=False,
    )  # fmt: skip
    snapshots: list[SnapshotFacts] = []
    more: bool = False


class ExceptionFacts(Answer):
    """A failure of tasks or processes; the restart it led to, or the job's end."""

    sequence: int
    at: Time
    kind: Literal["User", "Engine", "Refused", "Lost"]
    """User: the job's own code raised it. Lost: a process or a connection is gone."""
    code: str = ""
    """As in docs/errors.md."""
    text: str
    """One line."""
    message: str = ""
    """All of it."""
    traceback: str = ""
    """For User: the user's frames only."""
    operator: str | None = None
    vertex: int | None = None
    subtask: int | None = None
    row: str | None = None
    """The row that could not be dealt with, printed."""
    attempt: int = 0
    slot: int | None = None
    task_manager: str | None = None
    result: Literal["Restarted", "Ended", "Symptom"]
    """Symptom: of another failure, which was told before or after."""


class Exceptions(Answer):
    """Newest first. `dropped`: how many are kept no more."""

    model_config = example(
        exceptions=[{"sequence": 1, "at": "2026-03-01T12:00:00.000Z", "kind": "User", "code": "USER_CODE",
                     "text": "ZeroDivisionError: division by zero", "operator": "rate", "subtask": 1, "attempt": 1,
                     "result": "Restarted"}],
        dropped=0,
    )  # fmt: skip
    exceptions: list[ExceptionFacts] = []
    dropped: int = 0


class LogLine(Answer):
    """One line of a process, or what user code printed or logged."""

    model_config = example(
        sequence=17, at="2026-03-01T12:00:00.000Z", level="INFO", message="read 3 files", source="Slot",
        stream="stdout", operator="read flights", subtask=0, attempt=1,
    )  # fmt: skip
    sequence: int
    """Counts from 1, without gaps but for lines that were dropped."""
    at: Time
    level: Level = "INFO"
    logger: str = ""
    message: str
    source: Process = "JobManager"
    stream: Literal["log", "stdout", "stderr"] = "log"
    task_manager: str | None = None
    slot: int | None = None
    vertex: int | None = None
    operator: str | None = None
    subtask: int | None = None
    attempt: int | None = None
    checkpoint: int | None = None
    traceback: str = ""


class Logs(Answer):
    """Oldest first. Ask for what comes behind with `after=next`."""

    lines: list[LogLine] = []
    first: int = 0
    """The oldest line there is."""
    next: int = 0
    """What to give as `after`."""
    dropped: int = 0
    """Lines that were too many, since the job began."""


class Change(Answer):
    """Something that a person who watches should know."""

    sequence: int
    at: Time
    topic: Literal["state", "restart", "checkpoint", "snapshot", "exception", "scale", "note"]
    text: str
    state: str = ""
    checkpoint: int | None = None


class Configuration(Answer):
    """By section and key. Secrets read `[redacted]`."""

    model_config = example(sections={"job": {"parallelism": 2}, "checkpoints": {"interval": "10s"}})
    sections: dict[str, dict[str, str | int | float | bool | None]] = {}


class Plan(Answer):
    """`text` is what `flowjob explain` shows."""

    model_config = example(
        text="[0] read flights x2 …", digest="9f0c", parallelism=2, maxParallelism=128
    )
    text: str
    digest: str
    parallelism: int = 0
    max_parallelism: int = 0
