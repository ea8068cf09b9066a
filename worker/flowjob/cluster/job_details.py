"""What a JobManager tells of its job besides its status: the contract of those who show and steer jobs.

`JobDetails` reads, `JobOperations` writes, `LiveJob` is both. A JobManager answers them in its own process
(runtime/observing/), and over its internal API: `GET /internal/v1/details/<name>`, one path per method. After the job's
end it goes on answering with what was known last. What is answered is in job_figures.py and job_history.py."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from flowjob.cluster.control_api import JobManagerView, OperationView
from flowjob.cluster.job_figures import METRICS as METRICS
from flowjob.cluster.job_figures import Data
from flowjob.cluster.job_figures import EdgeFacts as EdgeFacts
from flowjob.cluster.job_figures import Figures as Figures
from flowjob.cluster.job_figures import Graph as Graph
from flowjob.cluster.job_figures import HeldBy as HeldBy
from flowjob.cluster.job_figures import Latency as Latency
from flowjob.cluster.job_figures import Metrics as Metrics
from flowjob.cluster.job_figures import OperatorFacts as OperatorFacts
from flowjob.cluster.job_figures import Series as Series
from flowjob.cluster.job_figures import SourceLag as SourceLag
from flowjob.cluster.job_figures import SubtaskFacts as SubtaskFacts
from flowjob.cluster.job_figures import TaskFacts as TaskFacts
from flowjob.cluster.job_figures import TaskManagerFacts as TaskManagerFacts
from flowjob.cluster.job_figures import Tasks as Tasks
from flowjob.cluster.job_figures import TaskState as TaskState
from flowjob.cluster.job_figures import VertexFacts as VertexFacts
from flowjob.cluster.job_history import Change as Change
from flowjob.cluster.job_history import Changes as Changes
from flowjob.cluster.job_history import CheckpointDetail as CheckpointDetail
from flowjob.cluster.job_history import CheckpointFacts as CheckpointFacts
from flowjob.cluster.job_history import Checkpoints as Checkpoints
from flowjob.cluster.job_history import CheckpointStatus as CheckpointStatus
from flowjob.cluster.job_history import CheckpointSubtask as CheckpointSubtask
from flowjob.cluster.job_history import CheckpointVertex as CheckpointVertex
from flowjob.cluster.job_history import ExceptionFacts as ExceptionFacts
from flowjob.cluster.job_history import Exceptions as Exceptions
from flowjob.cluster.job_history import LogLevel as LogLevel
from flowjob.cluster.job_history import LogLine as LogLine
from flowjob.cluster.job_history import Logs as Logs
from flowjob.cluster.job_history import SnapshotFacts as SnapshotFacts
from flowjob.cluster.job_history import Snapshots as Snapshots
from flowjob.cluster.job_history import Statistics as Statistics
from flowjob.cluster.local_requests import AnyRequest, PlannedUpgrade, UpgradeJob

MOST_LINES = 1000
"""Log lines in one answer."""

LONGEST_WAIT = 25.0
"""Seconds that a question may wait for something new."""


class JobFacts(Data, frozen=True, kw_only=True, rename="camel"):
    """The job at a glance."""

    name: str
    run: str
    """Of this run: tasks, sinks' names and logs refer to it"""
    view: JobManagerView
    at: str
    """Now, RFC 3339"""
    digest: str = ""
    """Of the plan"""
    local: bool = False
    """`flowjob run`: the JobManager, its TaskManagers and the job end together"""
    vertices: int = 0
    tasks: dict[str, int] = msgspec.field(default_factory=dict)
    """How many subtasks are in which TaskState"""
    rows_in_per_second: float = 0.0
    """Of all sources"""
    rows_out_per_second: float = 0.0
    """Into all sinks"""
    busiest: float = 0.0
    """0..1, of the busiest vertex"""
    most_backpressured: float = 0.0
    lag_seconds: float | None = None
    state_bytes: int | None = None
    exceptions: int = 0
    """That have happened to this run, by this JobManager"""


class Configuration(Data, frozen=True, kw_only=True, rename="camel"):
    """By section (`job`, `checkpoints`, `restarts`, `arguments`, `processes`, …) and key, as in the job file where
    there is one. Secrets read `[redacted]`."""

    sections: dict[str, dict[str, str | int | float | bool | None]] = msgspec.field(
        default_factory=dict
    )


class Plan(Data, frozen=True, kw_only=True, rename="camel"):
    """`text` is what runs: the last part of what `flowjob explain` shows."""

    text: str
    digest: str
    parallelism: int = 0
    max_parallelism: int = 0


class MetricsQuery(Data, frozen=True, kw_only=True, rename="camel"):
    """Which series, of the last hour.

    vertex  None: of the whole job; -1: of every vertex
    names   keys of METRICS; empty: all
    window  `10m`: every 5 s; `1h`: every 60 s
    """

    vertex: int | None = None
    names: list[str] = msgspec.field(default_factory=list)
    window: Literal["10m", "1h"] = "10m"


class LogQuery(Data, frozen=True, kw_only=True, rename="camel"):
    """Which lines.

    after   behind this sequence number; None: the newest `limit` there are
    limit   1 to MOST_LINES
    wait    seconds until at least one is there, at most LONGEST_WAIT; 0: answers at once
    level   this one and worse
    vertex, subtask  lines of these tasks only
    source  of these processes only
    text    that contain it, whatever the case
    """

    after: int | None = None
    limit: int = 200
    wait: float = 0.0
    level: LogLevel = "DEBUG"
    vertex: int | None = None
    subtask: int | None = None
    source: Literal["JobManager", "TaskManager", "Slot"] | None = None
    text: str = ""


class DetailsError(Exception):
    """Why a question has no answer. `code`, with the status that the internal API gives it:

    NOT_LEADING        421  `leader` is the address of the leader's API, if it is known
    UNKNOWN            404  there is no such checkpoint, vertex or operation
    BAD_REQUEST        400  the question cannot be read
    CONFLICT           409  the operation's id is another request's
    STORAGE            503  the job's storage does not answer
    UNREACHABLE             the JobManager does not answer, or not in these words
    """

    def __init__(self, code: str, text: str, leader: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.leader = leader


class JobDetails(Protocol):
    """Reads. Every method raises DetailsError."""

    async def job(self) -> JobFacts:
        """At a glance; `GET …/job`."""
        ...

    async def graph(self, *, subtasks: bool = False) -> Graph:
        """With the figures of vertices, and of their subtasks if wanted; `GET …/graph?subtasks=true`."""
        ...

    async def tasks(self, *, vertex: int | None = None) -> Tasks:
        """Of all vertices, or one; `GET …/tasks?vertex=`."""
        ...

    async def checkpoints(self) -> Checkpoints:
        """The history; `GET …/checkpoints`."""
        ...

    async def checkpoint(self, id: int) -> CheckpointDetail:
        """One of it, by subtask; `GET …/checkpoints/<id>`."""
        ...

    async def snapshots(self) -> Snapshots:
        """What is kept: retained checkpoints by the log, savepoints by the storage; `GET …/snapshots`."""
        ...

    async def exceptions(self) -> Exceptions:
        """`GET …/exceptions`."""
        ...

    async def metrics(self, query: MetricsQuery) -> Metrics:
        """Time series; `GET …/metrics?vertex=&names=&window=`, names with commas between them."""
        ...

    async def logs(self, query: LogQuery) -> Logs:
        """A tail, or what came since; `GET …/logs?after=&limit=&wait=&level=&vertex=&subtask=&source=&text=`."""
        ...

    async def configuration(self) -> Configuration:
        """`GET …/configuration`."""
        ...

    async def plan(self) -> Plan:
        """`GET …/plan`."""
        ...

    async def changes(self, *, after: int | None = None, wait: float = 0.0) -> Changes:
        """What has happened since; waits up to `wait` seconds for something. None: what is remembered;
        `GET …/changes?after=&wait=`."""
        ...


class JobOperations(Protocol):
    """Writes: `PUT` and `GET /internal/v1/operations/<id>`. Both raise DetailsError."""

    async def ask(self, id: str, request: AnyRequest) -> OperationView:
        """Begins an operation. The same request under the same id is the same operation, however often it comes. Those
        of local_requests.py are for a LiveJob only."""
        ...

    async def look(self, id: str) -> OperationView:
        """What has become of it. UNKNOWN when nobody has asked for it here."""
        ...


class LiveJob(Protocol):
    """A job and whoever answers for it, in this process: `run_local(job, serve=…)` calls `serve` with it, in the
    JobManager's loop, and returns when the job is over and `serve` has returned; Ctrl-C cancels first the one, then the
    other."""

    @property
    def details(self) -> JobDetails: ...
    @property
    def operations(self) -> JobOperations: ...

    @property
    def rests(self) -> bool:
        """It is suspended, and can be resumed."""
        ...

    async def ended(self) -> None:
        """Returns when the job is over, and is not to go on. `details` goes on answering."""
        ...

    async def plan_upgrade(self, wish: UpgradeJob) -> PlannedUpgrade:
        """What an upgrade would do. Takes as long as importing the program takes."""
        ...
