"""`status` of a FlowJob: what is, what is being done about it, and what has been promised.

`operation` is a write-ahead log: it is written before anything that cannot be undone is done, so that an operator that
dies is continued by the next. Names what the reconciler must remember; decides nothing."""

from __future__ import annotations

from enum import Enum

from pydantic import Field

from flowjob_operator.resources.conditions import CONDITIONS_ARE_A_MAP, Condition
from flowjob_operator.resources.fields import Bytes, Count, Digest, Sentence, Text, Time, Word
from flowjob_operator.resources.model import Model
from flowjob_operator.resources.snapshot_facts import Nonces, SnapshotFact


class Phase(Enum):
    """Where the object is in its life."""

    PENDING = "Pending"
    PREFLIGHT = "Preflight"
    STARTING = "Starting"
    RUNNING = "Running"
    RESCALING = "Rescaling"
    UPGRADING = "Upgrading"
    ROLLING_BACK = "RollingBack"
    SUSPENDING = "Suspending"
    SUSPENDED = "Suspended"
    FINISHED = "Finished"
    CANCELLED = "Cancelled"
    FAILED = "Failed"
    DELETING = "Deleting"


class JobState(Enum):
    """What the JobManager says of its job. Unknown: it does not answer."""

    WAITING = "Waiting"
    STARTING = "Starting"
    DEPLOYING = "Deploying"
    RUNNING = "Running"
    RESTARTING = "Restarting"
    STOPPING = "Stopping"
    SUSPENDED = "Suspended"
    FINISHED = "Finished"
    CANCELLED = "Cancelled"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


class OperationType(Enum):
    """What the operator may be in the middle of."""

    START = "Start"
    UPGRADE = "Upgrade"
    MOVE = "Move"
    ROLL_TASK_MANAGERS = "RollTaskManagers"
    SETTINGS = "Settings"
    RESCALE = "Rescale"
    RESTART = "Restart"
    RESTORE = "Restore"
    ROLLBACK = "Rollback"
    SUSPEND = "Suspend"
    RESUME = "Resume"
    CANCEL = "Cancel"
    DELETE = "Delete"


class StartMode(Enum):
    """What the job began with, when it began."""

    EMPTY = "Empty"
    SNAPSHOT = "Snapshot"
    LATEST = "Latest"


class Source(Enum):
    """Who has set an effective value, from the least to the most specific."""

    BUILT_IN = "BuiltIn"
    CHART = "Chart"
    NAMESPACE = "Namespace"
    SPEC = "Spec"


class JobStatus(Model):
    """As the JobManager last said."""

    state: JobState | None = Field(default=None, description="What the job is doing.")
    attempt: Count | None = Field(default=None, description="Deployments of its tasks so far.")
    restarts: Count | None = Field(default=None, description="Restarts after failures so far.")
    restarted_at: Time | None = Field(
        default=None, description="When it was last seen that there were more of them."
    )
    started_at: Time | None = Field(default=None, description="When this revision started to run.")
    ended_at: Time | None = Field(default=None, description="When it ended.")
    leader: Count | None = Field(
        default=None, description="Which JobManager leads: the generation it has claimed."
    )
    error: Sentence | None = Field(
        default=None, description="Why the job failed or restarted last."
    )


class Pods(Model):
    """Of one role."""

    wanted: Count | None = Field(default=None, description="How many there should be.")
    ready: Count | None = Field(default=None, description="How many are ready.")


class Revisions(Model):
    """Deployed specs, by number. Each is kept in a ControllerRevision with what was rendered from it."""

    current: Count | None = Field(default=None, description="What is deployed.")
    target: Count | None = Field(
        default=None,
        description="What is to be deployed: JobManagers of an older one may not claim the job.",
    )
    stable: Count | None = Field(
        default=None, description="The last one that became stable: where a rollback goes."
    )
    failed: Count | None = Field(
        default=None,
        description="The one that a rollback went back from. It is not tried again until the spec "
        "changes.",
    )
    current_since: Time | None = Field(
        default=None, description="When what is deployed was deployed."
    )
    baseline_checkpoints: Count | None = Field(
        default=None,
        description="Completed checkpoints when it was deployed, or when it restarted last: those since "
        "count towards being stable.",
    )
    baseline_restarts: Count | None = Field(default=None, description="Restarts at that time.")


class Operation(Model):
    """What the operator is in the middle of, written before it acts."""

    id: Text = Field(
        description="uid.generation of the object that asked for it. Destructive requests carry it."
    )
    type: OperationType = Field(description="What is being done.")
    step: Word = Field(description="How far it is.")
    generation: Count = Field(description="The generation of the spec that asked for it.")
    revision: Count | None = Field(default=None, description="The revision that it brings.")
    started_at: Time = Field(description="When it began.")
    step_started_at: Time | None = Field(default=None, description="When this step began.")
    deadline: Time | None = Field(default=None, description="When this step is given up.")
    attempts: Count = Field(default=0, description="How often this step was tried.")
    parallelism: Count | None = Field(default=None, description="The parallelism that it brings.")
    task_managers: Count | None = Field(
        default=None, description="How many TaskManagers it brings, once that is known."
    )
    expected: SnapshotFact | None = Field(
        default=None, description="What the job is to go on from, once it is known."
    )
    fallback: bool = Field(
        default=False,
        description="Whether a savepoint could not be taken, and the newest snapshot is used instead.",
    )
    message: Sentence = Field(default="", description="What it is waiting for.")


class Start(Model):
    """The decision of the first start. It is repeated as long as nothing was ever completed."""

    mode: StartMode = Field(
        description="With nothing, with a snapshot, or with the newest of an earlier job."
    )
    path: Text | None = Field(default=None, description="With which snapshot.")
    decided_at: Time | None = Field(default=None, description="When that was decided.")
    revision: Count | None = Field(
        default=None, description="The revision that was the first to be started so."
    )
    prefix: Text | None = Field(
        default=None,
        description="Below the storage root: a job that began anew by its user's word keeps clear of what "
        "it was before.",
    )


class Refusal(Model):
    """A change that is not made. Any edit of the spec has it tried again."""

    generation: Count = Field(description="The generation of the spec that is refused.")
    reason: Word = Field(description="Why, in one word.")
    message: Sentence = Field(default="", description="Why, and what to do.")
    at: Time | None = Field(default=None, description="When.")


class Code(Model):
    """What runs, pinned: every pod verifies it."""

    digest: Digest | None = Field(default=None, description="Of the script or artifact.")
    location: Text | None = Field(default=None, description="Where it is kept.")
    image: Text | None = Field(default=None, description="As it was asked for.")
    image_id: Text | None = Field(default=None, description="As the node has resolved it.")


class EffectiveValue(Model):
    """A setting that is in force."""

    value: Text = Field(description="The value.")
    source: Source = Field(description="Who has set it.")


class PlannedChange(Model):
    """A field that differs from what is deployed."""

    field: Text = Field(description="Its path.")
    kind: Word = Field(description="Its class.")
    old: Text | None = Field(default=None, description="What is deployed.")
    new: Text | None = Field(default=None, description="What is wanted.")


class Plan(Model):
    """What would happen, by a pre-flight or because of the annotation flowjob.dev/plan-only."""

    generation: Count = Field(description="The generation of the spec that was planned.")
    checked_at: Time | None = Field(default=None, description="When.")
    accepted: bool | None = Field(default=None, description="Whether it could be done.")
    actions: list[Word] = Field(default=[], max_length=8, description="What would be done.")
    changes: list[PlannedChange] = Field(
        default=[], max_length=64, description="The fields that differ from what is deployed."
    )
    restore_from: Text | None = Field(default=None, description="What the job would go on from.")
    task_managers: Count | None = Field(
        default=None, description="How many TaskManagers there would be."
    )
    problems: list[Sentence] = Field(
        default=[], max_length=32, description="What stands against it."
    )
    notes: list[Sentence] = Field(
        default=[], max_length=32, description="What should be known about it."
    )


class Checkpoints(Model):
    """What has been saved."""

    latest: SnapshotFact | None = Field(
        default=None, description="The newest complete checkpoint, every 30 s at most."
    )
    completed: Count | None = Field(default=None, description="Completed by this revision.")
    failed_in_a_row: Count | None = Field(
        default=None, description="Failed since the last complete one."
    )
    error: Sentence | None = Field(default=None, description="Why the last one failed.")


class Schedule(Model):
    """Of the snapshots by the clock."""

    last_time: Time | None = Field(
        default=None, description="The last time that was due and has been acted upon."
    )
    next_time: Time | None = Field(default=None, description="When the next one is due.")
    last_snapshot: Text | None = Field(
        default=None, description="The FlowSnapshot that was made last."
    )


class Identity(Model):
    """The certificates of the job's pods."""

    serial: Text | None = Field(default=None, description="Of the leaf certificates.")
    expires_at: Time | None = Field(
        default=None, description="When they end. They are renewed long before."
    )
    authority: Text | None = Field(
        default=None, description="Fingerprint of the authorities that the pods trust."
    )


class OperatorStatus(Model):
    """Who looks after this object."""

    owner: Text | None = Field(
        default=None, description="The installation. Another one leaves the object alone."
    )
    version: Text | None = Field(default=None, description="The operator that wrote this status.")


class FlowJobStatus(Model):
    """What is, and what is being done."""

    observed_generation: Count | None = Field(
        default=None,
        description="The newest generation of the spec that was looked at, refused ones too.",
    )
    phase: Phase | None = Field(default=None, description="Where the job is in its life.")
    conditions: list[Condition] = Field(
        default=[],
        max_length=16,
        description="Aspects, with reasons.",
        json_schema_extra=CONDITIONS_ARE_A_MAP,
    )
    diagnosis: Sentence | None = Field(
        default=None, description="What is wrong, in one sentence; absent when nothing is."
    )
    job: JobStatus | None = Field(default=None, description="As the JobManager last said.")
    parallelism: Count | None = Field(default=None, description="The parallelism that runs.")
    max_parallelism: Count | None = Field(
        default=None,
        description="Into how many key groups state is divided: fixed by the first start.",
    )
    selector: Text | None = Field(
        default=None, description="The labels of the TaskManagers, for autoscalers."
    )
    job_managers: Pods | None = Field(default=None, description="Pods of the JobManager.")
    task_managers: Pods | None = Field(default=None, description="Pods of the TaskManagers.")
    last_checkpoint_time: Time | None = Field(
        default=None, description="When the newest complete checkpoint was completed."
    )
    checkpoints: Checkpoints | None = Field(default=None, description="What has been saved.")
    expected: SnapshotFact | None = Field(
        default=None,
        description="The newest snapshot that is known to be complete: a start that finds none refuses, "
        "rather than begin with nothing.",
    )
    start: Start | None = Field(default=None, description="What the first start began with.")
    revisions: Revisions | None = Field(
        default=None, description="Which specs are deployed and wanted."
    )
    operation: Operation | None = Field(
        default=None, description="What is being done, written before it is done."
    )
    refused: Refusal | None = Field(
        default=None, description="The newest change of the spec, when it is not made."
    )
    nonces: Nonces | None = Field(default=None, description="The nonces that were acted upon.")
    schedule: Schedule | None = Field(default=None, description="Of the snapshots by the clock.")
    code: Code | None = Field(default=None, description="What runs, pinned.")
    effective: dict[str, EffectiveValue] = Field(
        default={}, max_length=128, description="Settings in force, by path, with who has set them."
    )
    plan: Plan | None = Field(default=None, description="What would happen.")
    identity: Identity | None = Field(
        default=None, description="The certificates of the job's pods."
    )
    operator: OperatorStatus | None = Field(
        default=None, description="Who looks after this object."
    )
    state_bytes: Bytes | None = Field(
        default=None, description="How large the newest checkpoint is in all."
    )
