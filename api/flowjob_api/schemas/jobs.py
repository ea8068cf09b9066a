"""Jobs in the list, and one job at a glance.

The same for a job of this machine and for a FlowJob: what only one of them has is null or empty for the other."""

from __future__ import annotations

from typing import Literal

from flowjob_api.schemas.history import SnapshotFacts
from flowjob_api.schemas.model import Answer, Time, example
from flowjob_api.schemas.operations import Operation

State = Literal[
    "Pending", "Preflight", "Waiting", "Starting", "Deploying", "Running", "Restarting", "Rescaling", "Upgrading",
    "RollingBack", "Stopping", "Suspending", "Suspended", "Finished", "Cancelled", "Failed", "Deleting", "Unknown",
]  # fmt: skip
"""Unknown: a FlowJob that is to run, whose JobManager does not answer."""

Action = Literal[
    "savepoint", "stop", "upgrade", "suspend", "resume", "scale", "cancel", "restart",
    "verifySnapshot", "deleteSnapshot", "restore",
]  # fmt: skip

SUMMARY = {
    "namespace": "shop", "name": "orders", "uid": "9a3c…", "state": "Running", "health": "Good", "parallelism": 4,
    "maxParallelism": 128, "version": "0.1.0", "attempt": 1, "restarts": 0, "createdAt": "2026-03-01T11:00:00.000Z",
    "startedAt": "2026-03-01T11:00:12.000Z", "endedAt": None, "lastCheckpointAt": "2026-03-01T12:00:00.000Z",
    "stateBytes": 1_204_000, "message": None, "image": "registry.example/orders:7", "labels": {"team": "shop"},
}  # fmt: skip


class JobSummary(Answer):
    """A job in the list."""

    model_config = example(**SUMMARY)
    namespace: str
    """`local`: a job of this machine."""
    name: str
    uid: str
    """Of this life of the job: one that is made again under the same name has another."""
    state: State
    health: Literal["Good", "Progressing", "Degraded", "Bad"] = "Good"
    """Degraded: it runs, and something is wrong; `message` says what. Bad: it should run, and does not."""
    parallelism: int = 0
    max_parallelism: int = 0
    version: str = ""
    """Of flowjob, in the JobManager."""
    attempt: int = 0
    restarts: int = 0
    """After failures."""
    created_at: Time | None = None
    started_at: Time | None = None
    ended_at: Time | None = None
    last_checkpoint_at: Time | None = None
    state_bytes: int | None = None
    message: str | None = None
    """What is wrong, in one sentence; null when nothing is."""
    image: str | None = None
    labels: dict[str, str] = {}


class JobList(Answer):
    """One page of jobs, by namespace and name."""

    model_config = example(jobs=[SUMMARY], next=None, counts={"Running": 1})
    jobs: list[JobSummary]
    next: str | None = None
    """Give it as `continue` to get the next page; null: this was the last one."""
    counts: dict[str, int] = {}
    """How many jobs that you may see are in which state, whatever the page."""


class Condition(Answer):
    """An aspect of a FlowJob, as Kubernetes has it."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str = ""
    message: str = ""
    last_transition_time: Time | None = None


class Slots(Answer):
    """Worker processes."""

    needed: int = 0
    offered: int = 0
    task_managers: int = 0


class CheckpointSummary(Answer):
    """The history in short."""

    latest: SnapshotFacts | None = None
    completed: int = 0
    failed_in_a_row: int = 0
    under_way: int = 0
    error: str | None = None
    """Why the last one failed."""


class Job(JobSummary):
    """One job at a glance. The ETag of this answer is what If-Match of an action is compared with."""

    model_config = example(
        **SUMMARY, actions=["savepoint", "scale", "cancel"], rowsInPerSecond=30_200.5
    )
    run: str = ""
    """Of this run: logs refer to it."""
    local: bool = False
    """`flowjob run --web`: the JobManager, its TaskManagers and the job end together."""
    actions: list[Action] = []
    """What can be asked of it now."""
    conditions: list[Condition] = []
    slots: Slots = Slots()
    checkpoints: CheckpointSummary = CheckpointSummary()
    operation: Operation | None = None
    """What is being done about it now."""
    final: SnapshotFacts | None = None
    """The savepoint the job ended with."""
    vertices: int = 0
    tasks: dict[str, int] = {}
    """How many subtasks are in which state."""
    rows_in_per_second: float = 0.0
    """Of all sources."""
    rows_out_per_second: float = 0.0
    """Into all sinks."""
    busiest: float = 0.0
    most_backpressured: float = 0.0
    lag_seconds: float | None = None
    exceptions: int = 0
    error: str | None = None
    """Why it failed or restarted last."""
    error_code: str | None = None
    """As in docs/errors.md."""
    at: Time | None = None
    """When the JobManager said so; null: it does not answer, and what is here is the FlowJob's status."""
