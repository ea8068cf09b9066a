"""What a client asks of a JobManager, what it hears on the way, and what it gets in the end.

Plain data between clients (command line, tests, later REST) and manager.py; it must not know connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowjob.core.beginning import Wish
from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob.core.job_events import TaskId, Timeouts
from flowjob.core.job_machine import JobState
from flowjob.core.restartable import RestartStrategy
from flowjob.plan.job_graph import JobGraph
from flowjob.runtime.job_description import JobDescription
from flowjob.runtime.observing.watching import Watcher
from flowjob.runtime.storage.paths import Lives

JobMetrics = Mapping[TaskId, Mapping[str, Any]]
"""The latest totals of every task that has reported (runtime/task_metrics.py says which)."""


LATEST = "latest"
"""In place of a snapshot's path: the newest checkpoint of the job's last run."""


@dataclass(frozen=True, slots=True)
class StartFrom:
    """snapshot            where a snapshot is, or LATEST; None: begin with nothing
    endpoint, region    of its store; None: those of the job's own
    allow_non_restored  state that has no place in the program any more may be left behind
    """

    snapshot: str | None = None
    endpoint: str | None = None
    region: str | None = None
    allow_non_restored: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """A JobManager in a process of its own, which others can take the place of.

    run           name of the run: one that the log has is continued, with its tasks where they still are
    address       host:port where TaskManagers and other JobManagers reach it; None: where it listens
    standby       waits until nobody leads
    adopt_within  seconds for the tasks of the JobManager before to report
    misses        questions without an answer behind which a standby takes the leader for gone
    cluster       what a job file says; None: there is none
    """

    run: str
    address: str | None = None
    standby: bool = False
    adopt_within: float = 12.0
    misses: int = 3
    cluster: InCluster | None = None


@dataclass(frozen=True, slots=True)
class InCluster:
    """A job whose processes an operator keeps up.

    lives     which job it is, and what else had its name
    wish      what a new run begins with
    revision  of the job file: claims carry it, and older ones are refused
    asked     parallelism by the job file
    rescales  this request's own parallelism is to hold, whatever the log says
    """

    lives: Lives
    wish: Wish
    revision: int
    asked: int
    rescales: bool = False


class Replan(Exception):
    """The job runs with another parallelism than it was planned with here."""

    def __init__(self, parallelism: int) -> None:
        super().__init__(f"the job runs with parallelism {parallelism}")
        self.parallelism = parallelism


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job to run.

    stop_grace  seconds a slot gets to close before it is killed
    host        where the JobManager listens for TaskManagers; everything is open to whoever has the token, and
                nothing is encrypted, so by default this machine only
    restarts    whether a failure is the end; None: it is
    checkpoints when to take snapshots, into JobDescription.checkpoints; None: the job takes none
    start       what to begin from
    control_file  where to write how the job can be reached; None: nowhere
    token       lets TaskManagers in; None: a new one
    service     None: this JobManager begins and ends with its client, and its TaskManagers with it
    """

    graph: JobGraph
    job: JobDescription
    timeouts: Timeouts = field(default_factory=Timeouts)
    heartbeat_interval: float = 1.0
    heartbeat_timeout: float = 30.0
    stop_grace: float = 3.0
    host: str = "127.0.0.1"
    port: int = 0
    restarts: RestartStrategy | None = None
    checkpoints: CheckpointSettings | None = None
    start: StartFrom = field(default_factory=StartFrom)
    control_file: Path | None = None
    token: str | None = None
    service: Service | None = None


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that a person who watches the job should know; `text` is a line."""

    text: str


class RestorePlanned(JobEvent):
    """What state of a snapshot goes where; several lines. Nothing is started yet."""


class EarlierRunFound(JobEvent):
    """The job begins with nothing, though an earlier run of it could have been continued."""


@dataclass(frozen=True, slots=True)
class WorkersLost(JobEvent):
    """(A part of) the job was stopped and starts again. `slow`: not at once, so that people should be told. `counts`:
    it was a failure, and this is the first that is said of it."""

    slow: bool = False
    counts: bool = False


class WorkersRestarted(JobEvent):
    """It runs again."""


class SnapshotFailed(JobEvent):
    """A checkpoint or savepoint came to nothing; the job goes on. Of checkpoints that fail one after the other only
    the first one is told."""


class SnapshotsAgain(JobEvent):
    """Checkpoints are complete again, after several that were not."""


class TookOver(JobEvent):
    """This JobManager leads now, instead of another one; and what becomes of the tasks."""


class RestartsExhausted(JobEvent):
    """A failure that might have been restarted ends the job, because it was so often already."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Called in the JobManager's loop; a slow one holds the job back, one that raises ends it.

    on_metrics  all tasks' latest totals, after each report of a slot
    on_report   (sink name, bytes): what a sink writer reported
    on_output   (slot number, `stdout` or `stderr`, lines): what slots printed
    on_state    the job's new state
    on_event    what happened that a person should know
    watcher     sees every event and message (runtime/observing/watching.py)
    """

    on_metrics: Callable[[JobMetrics], object] | None = None
    on_report: Callable[[str, bytes], object] | None = None
    on_output: Callable[[int, str, list[str]], object] | None = None
    on_state: Callable[[JobState], object] | None = None
    on_event: Callable[[JobEvent], object] | None = None
    watcher: Watcher = field(default_factory=Watcher)


class Enough(Exception):
    """Raised by a listener that has seen all it wants: the job is stopped, and that is no failure."""


@dataclass(frozen=True, slots=True)
class JobResult:
    """A job that ended well.

    seconds  from the request to the end
    phases   seconds from the request until each state was reached, by its name
    complete  False when a listener had seen enough before the job's end
    """

    name: str
    run_id: str
    seconds: float
    metrics: JobMetrics
    phases: Mapping[str, float]
    complete: bool = True

    @property
    def rows(self) -> int:
        """Rows that all sources have read."""
        heads = [
            values["operators"][0] for values in self.metrics.values() if "operators" in values
        ]
        return sum(head["rows_out"] for head in heads if not head["rows_in"])

    def __repr__(self) -> str:
        part = "" if self.complete else ", stopped when there was enough"
        return f"<JobResult {self.name!r}: {self.rows:,} rows read in {self.seconds:.2f} s{part}>"
