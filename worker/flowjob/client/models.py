"""What the service answers about jobs and operations, as plain data; figures and history are cluster/job_details.py's.

The same fields as api/flowjob_api/schemas/, which a test compares. Unknown fields are ignored and words of enumerations
are kept as they come, so that a client goes on understanding a service that is newer."""

from __future__ import annotations

from typing import Any

import msgspec


class _Data(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class SnapshotFacts(_Data, frozen=True, kw_only=True, rename="camel"):
    """One that is kept. `name` and `phase`: in a cluster, of its FlowSnapshot; `newest`: a restart would begin from it;
    `in_use`: it cannot be deleted now."""

    type: str
    id: int = 0
    path: str = ""
    name: str | None = None
    completed_at: str = ""
    bytes: int | None = None
    checksum: str = ""
    newest: bool = False
    phase: str = "Completed"
    error: str | None = None
    in_use: bool = False


class Snapshots(_Data, frozen=True, kw_only=True, rename="camel"):
    """Newest first. `more`: there are older ones, which are not listed."""

    snapshots: list[SnapshotFacts] = []
    more: bool = False


class JobRef(_Data, frozen=True, kw_only=True, rename="camel"):
    """Which job. `namespace` is `local` for a job of this machine."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Progress(_Data, frozen=True, kw_only=True, rename="camel"):
    """`share`: 0 to 1; None: it cannot be told."""

    share: float | None = None
    step: str = ""


class OperationError(_Data, frozen=True, kw_only=True, rename="camel"):
    code: str
    message: str


class OperationResult(_Data, frozen=True, kw_only=True, rename="camel"):
    snapshot: SnapshotFacts | None = None
    parallelism: int | None = None
    notes: list[str] = []


class Operation(_Data, frozen=True, kw_only=True, rename="camel"):
    """Something that was asked for. `state`: Pending, Running, Done or Failed."""

    id: str
    kind: str
    job: JobRef
    state: str
    progress: Progress = Progress()
    started_at: str | None = None
    ended_at: str | None = None
    error: OperationError | None = None
    result: OperationResult | None = None

    @property
    def is_over(self) -> bool:
        return self.state in ("Done", "Failed")


class JobSummary(_Data, frozen=True, kw_only=True, rename="camel"):
    """A job in the list. `health`: Good, Progressing, Degraded or Bad; `message`: what is wrong, if anything."""

    namespace: str
    name: str
    uid: str = ""
    state: str = "Unknown"
    health: str = "Good"
    parallelism: int = 0
    max_parallelism: int = 0
    version: str = ""
    attempt: int = 0
    restarts: int = 0
    created_at: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    last_checkpoint_at: str | None = None
    state_bytes: int | None = None
    message: str | None = None
    image: str | None = None
    labels: dict[str, str] = {}


class JobList(_Data, frozen=True, kw_only=True, rename="camel"):
    """One page. `next`: where the next one begins; None: there is none. `counts`: jobs by state, of all pages."""

    jobs: list[JobSummary]
    next: str | None = None
    counts: dict[str, int] = {}


class Condition(_Data, frozen=True, kw_only=True, rename="camel"):
    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None


class Slots(_Data, frozen=True, kw_only=True, rename="camel"):
    needed: int = 0
    offered: int = 0
    task_managers: int = 0


class CheckpointSummary(_Data, frozen=True, kw_only=True, rename="camel"):
    latest: SnapshotFacts | None = None
    completed: int = 0
    failed_in_a_row: int = 0
    under_way: int = 0
    error: str | None = None


class Job(JobSummary, frozen=True, kw_only=True, rename="camel"):
    """One job at a glance. `at`: when its JobManager said so; None: it does not answer."""

    run: str = ""
    local: bool = False
    actions: list[str] = []
    conditions: list[Condition] = []
    slots: Slots = Slots()
    checkpoints: CheckpointSummary = CheckpointSummary()
    operation: Operation | None = None
    final: SnapshotFacts | None = None
    vertices: int = 0
    tasks: dict[str, int] = {}
    rows_in_per_second: float = 0.0
    rows_out_per_second: float = 0.0
    busiest: float = 0.0
    most_backpressured: float = 0.0
    lag_seconds: float | None = None
    exceptions: int = 0
    error: str | None = None
    error_code: str | None = None
    at: str | None = None


class PlannedChange(_Data, frozen=True, kw_only=True, rename="camel"):
    field: str
    kind: str = ""
    old: str | None = None
    new: str | None = None


class StatePart(_Data, frozen=True, kw_only=True, rename="camel"):
    """One state of an operator, by its name in the program."""

    name: str
    rows: int = 0
    bytes: int = 0


class StateMove(_Data, frozen=True, kw_only=True, rename="camel"):
    """`outcome`: Kept, Redistributed, Dropped, New, Incompatible or Unknown. `rows`, `bytes`: in the newest snapshot,
    None where nobody has looked."""

    operator: str
    uid: str | None = None
    outcome: str = ""
    text: str = ""
    rows: int | None = None
    bytes: int | None = None
    subtasks_before: int | None = None
    subtasks_after: int | None = None
    states: list[StatePart] = []


class UpgradePlan(_Data, frozen=True, kw_only=True, rename="camel"):
    """What an upgrade would do; nothing was changed. `problems`: what stands against it."""

    accepted: bool
    actions: list[str] = []
    changes: list[PlannedChange] = []
    restore_from: str | None = None
    task_managers: int | None = None
    state: list[StateMove] = []
    problems: list[str] = []
    notes: list[str] = []


class Session(_Data, frozen=True, kw_only=True, rename="camel"):
    """Who asks, and what the service is: `mode` is local or cluster."""

    user: str | None = None
    groups: list[str] = []
    mode: str = "local"
    authentication: str = "none"
    logged_in: bool = True
    version: str = ""


class UpgradeWish(_Data, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What is to be other than it is; what is left out stays. In `args` and `config` None removes a name."""

    image: str | None = None
    script: str | None = None
    args: dict[str, int | str | None] | None = None
    config: dict[str, int | str | None] | None = None
    parallelism: int | None = None
    checkpoints: dict[str, Any] | None = None
    mode: str | None = None
    allow_non_restored: bool | None = None
