"""What has happened to a job, as data: checkpoints, snapshots that are kept, exceptions, log lines, changes.

A part of job_details.py, which says who answers it. Fields are only ever added. Times are RFC 3339 in UTC; all
histories are bounded, and say what they have dropped."""

from __future__ import annotations

from typing import Literal

import msgspec

from flowjob.cluster.job_figures import Data

CheckpointStatus = Literal["Running", "Storing", "Completed", "Failed", "Aborted"]
"""Aborted: nobody's fault; it was superseded or called off, or the job restarted."""


class CheckpointFacts(Data, frozen=True, kw_only=True, rename="camel"):
    """One snapshot, under way or over. Phases are those of the slowest subtask of each, in ms:

    alignment  from a task's first barrier to its last
    sync       the task stands still
    async      from then until its state is stored
    acknowledge  from the trigger until all subtasks have acknowledged
    store      from then until the log has it: the manifest
    duration   from the trigger to the end, or to now
    """

    id: int
    kind: Literal["Checkpoint", "FinalCheckpoint", "Savepoint", "Stop"]
    status: CheckpointStatus
    triggered_at: str
    ended_at: str | None = None
    duration_ms: float = 0.0
    alignment_ms: float = 0.0
    sync_ms: float = 0.0
    async_ms: float = 0.0
    acknowledge_ms: float | None = None
    store_ms: float | None = None
    bytes: int = 0
    """Of state, in flight data included"""
    in_flight_bytes: int = 0
    """Rows that barriers have overtaken"""
    tasks: int = 0
    acknowledged: int = 0
    """Of `tasks`"""
    unaligned: bool = False
    savepoint: str | None = None
    """Its name"""
    path: str | None = None
    reason: str | None = None
    """Why it failed or was aborted"""
    attempt: int = 0


class CheckpointSubtask(Data, frozen=True, kw_only=True, rename="camel"):
    """`acknowledged_ms`: after the trigger; None: it has not acknowledged."""

    subtask: int
    acknowledged_ms: float | None = None
    alignment_ms: float = 0.0
    sync_ms: float = 0.0
    async_ms: float = 0.0
    bytes: int = 0
    in_flight_bytes: int = 0


class CheckpointVertex(Data, frozen=True, kw_only=True, rename="camel"):
    """Sums of bytes, and the longest of each phase."""

    vertex: int
    name: str
    tasks: int
    acknowledged: int = 0
    acknowledged_ms: float | None = None
    """The last one, after the trigger"""
    alignment_ms: float = 0.0
    sync_ms: float = 0.0
    async_ms: float = 0.0
    bytes: int = 0
    in_flight_bytes: int = 0
    subtasks: list[CheckpointSubtask] = msgspec.field(default_factory=list)


class CheckpointDetail(Data, frozen=True, kw_only=True, rename="camel"):
    """`vertices` is empty when the subtasks' figures have been dropped: they are kept for the newest few only."""

    checkpoint: CheckpointFacts
    vertices: list[CheckpointVertex] = msgspec.field(default_factory=list)


class Statistics(Data, frozen=True, kw_only=True, rename="camel"):
    """Of the completed ones in the history."""

    count: int = 0
    least: float = 0.0
    mean: float = 0.0
    p95: float = 0.0
    most: float = 0.0


class Checkpoints(Data, frozen=True, kw_only=True, rename="camel"):
    """`history`: newest first, those under way included; bounded by the job's settings (`checkpoints.history`)."""

    enabled: bool = False
    """False: the job takes none"""
    triggered: int = 0
    completed: int = 0
    failed: int = 0
    aborted: int = 0
    under_way: int = 0
    failed_in_a_row: int = 0
    next_at: str | None = None
    restored: int | None = None
    """The snapshot that the tasks were last started from"""
    duration_ms: Statistics = Statistics()
    bytes: Statistics = Statistics()
    history: list[CheckpointFacts] = msgspec.field(default_factory=list)


class SnapshotFacts(Data, frozen=True, kw_only=True, rename="camel"):
    """A complete one that is kept."""

    type: Literal["Savepoint", "Checkpoint"]
    id: int
    path: str
    name: str | None = None
    """Of a savepoint"""
    completed_at: str = ""
    bytes: int | None = None
    checksum: str = ""
    newest: bool = False
    """A restart would begin from it"""


class Snapshots(Data, frozen=True, kw_only=True, rename="camel"):
    """Newest first. `more`: there are older ones, which are not listed."""

    snapshots: list[SnapshotFacts] = msgspec.field(default_factory=list)
    more: bool = False


class ExceptionFacts(Data, frozen=True, kw_only=True, rename="camel"):
    """A failure of tasks or processes; the restart it led to, or the job's end."""

    sequence: int
    """Counts from 1"""
    at: str
    kind: Literal["User", "Engine", "Refused", "Lost"]
    """User: the job's own code raised it. Lost: a process or a connection is gone"""
    code: str = ""
    """As in docs/errors.md"""
    text: str
    """One line"""
    message: str = ""
    """All of it"""
    traceback: str = ""
    """For `User`: the user's frames only"""
    operator: str | None = None
    vertex: int | None = None
    subtask: int | None = None
    row: str | None = None
    """The row that could not be dealt with, printed"""
    attempt: int = 0
    slot: int | None = None
    task_manager: str | None = None
    result: Literal["Restarted", "Ended", "Symptom"]
    """Symptom: of another failure, which was told before or after"""


class Exceptions(Data, frozen=True, kw_only=True, rename="camel"):
    """Newest first. `dropped`: how many are kept no more."""

    exceptions: list[ExceptionFacts] = msgspec.field(default_factory=list)
    dropped: int = 0


LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


class LogLine(Data, frozen=True, kw_only=True, rename="camel"):
    """One line of a process, or what user code printed or logged."""

    sequence: int
    """Counts from 1, without gaps but for lines that were dropped"""
    at: str
    level: LogLevel = "INFO"
    logger: str = ""
    message: str
    source: Literal["JobManager", "TaskManager", "Slot"] = "JobManager"
    stream: Literal["log", "stdout", "stderr"] = "log"
    task_manager: str | None = None
    slot: int | None = None
    vertex: int | None = None
    operator: str | None = None
    subtask: int | None = None
    attempt: int | None = None
    checkpoint: int | None = None
    traceback: str = ""


class Logs(Data, frozen=True, kw_only=True, rename="camel"):
    """Oldest first. Ask for what comes behind with `after=next`.

    first    the oldest line there is
    next     what to give as `after`: everything up to there has been looked at
    dropped  lines that were too many, on their way or here, since the job began
    """

    lines: list[LogLine] = msgspec.field(default_factory=list)
    first: int = 0
    next: int = 0
    dropped: int = 0


class Change(Data, frozen=True, kw_only=True, rename="camel"):
    """Something that a person who watches should know. `text` is a line."""

    sequence: int
    at: str
    topic: Literal["state", "restart", "checkpoint", "snapshot", "exception", "scale", "note"]
    text: str
    state: str = ""
    """Of the job, as in JobManagerView"""
    checkpoint: int | None = None


class Changes(Data, frozen=True, kw_only=True, rename="camel"):
    """Oldest first; ask with `after=next`. `missed`: some behind `after` are kept no more."""

    changes: list[Change] = msgspec.field(default_factory=list)
    next: int = 0
    missed: bool = False
