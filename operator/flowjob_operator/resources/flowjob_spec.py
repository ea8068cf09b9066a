"""`spec` of a FlowJob: what its user wants. Nothing here is a default but what no platform overrides.

Precedence is built in < chart < namespace ConfigMap < spec; status.effective shows the outcome. What an edit of each
field asks for is said in field_classes.py, where a field without a class fails a test."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import Field

from flowjob_operator.resources.fields import (
    CaBundle,
    Count,
    Duration,
    Image,
    Interval,
    IntOrString,
    Name,
    Pause,
    PodTemplate,
    Quantity,
    Reference,
    Region,
    Resources,
    Schedule,
    Storage,
    Url,
)
from flowjob_operator.resources.job_spec import JobSpec
from flowjob_operator.resources.model import Model, Rule


class PullPolicy(Enum):
    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class Guarantee(Enum):
    EXACTLY_ONCE = "ExactlyOnce"
    AT_LEAST_ONCE = "AtLeastOnce"


class Unaligned(Enum):
    NEVER = "Never"
    AUTO = "Auto"
    ALWAYS = "Always"


class UpgradeMode(Enum):
    """What state the job has after an upgrade."""

    SAVEPOINT = "Savepoint"
    LAST_STATE = "LastState"
    STATELESS = "Stateless"


class Fallback(Enum):
    """When a savepoint cannot be taken."""

    LAST_STATE = "LastState"
    WAIT = "Wait"


class Preflight(Enum):
    RUN = "Run"
    SKIP = "Skip"


class DataPlane(Enum):
    PLAIN = "Plain"
    TLS = "TLS"


class MetricsDetail(Enum):
    VERTEX = "Vertex"
    SUBTASK = "Subtask"


class DeletionPolicy(Enum):
    SAVEPOINT = "Savepoint"
    RETAIN = "Retain"
    DISCARD = "Discard"


class PriorState(Enum):
    REFUSE = "Refuse"
    RESUME = "Resume"
    IGNORE = "Ignore"


class CheckpointSpec(Model):
    """Named as in `fj.Checkpoints`."""

    rules = (
        Rule(
            "!has(self.mode) || self.mode != 'AtLeastOnce' || !has(self.unaligned) || self.unaligned == 'Never'",
            "with mode AtLeastOnce barriers wait for nothing that they could overtake: leave unaligned out",
            field="unaligned",
        ),
    )
    storage: Storage | None = Field(
        default=None,
        description="Where checkpoints, savepoints and the log of the job are kept: s3://bucket/prefix, "
        "or file:///directory on a volume that all pods share. Each job has a part of it of "
        "its own. Moving to another takes a savepoint.",
    )
    endpoint: Url | None = Field(default=None, description="Of an S3 other than Amazon's.")
    region: Region | None = Field(default=None, description="Of the bucket.")
    secret_ref: Reference | None = Field(
        default=None,
        description="A Secret with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and perhaps "
        "AWS_SESSION_TOKEN. It is mounted into the job's pods and read again when it changes."
        " Default: the workload identity of the ServiceAccount.",
    )
    ca_bundle_ref: CaBundle | None = Field(
        default=None,
        description="Certificates by which the endpoint is trusted, besides the system's.",
    )
    interval: Interval | None = Field(
        default=None,
        description="From one checkpoint to the next; Off: only on demand and at the end of all input. "
        "Default: 10s.",
    )
    min_pause: Pause | None = Field(
        default=None,
        description="At least so long after one checkpoint before the next. Default: 500ms.",
    )
    timeout: Duration | None = Field(
        default=None, description="A checkpoint that takes longer is given up. Default: 10m."
    )
    mode: Guarantee | None = Field(
        default=None,
        description="AtLeastOnce: no input waits for another, and after a restart rows may count twice. "
        "Default: ExactlyOnce.",
    )
    unaligned: Unaligned | None = Field(
        default=None,
        description="Whether barriers may overtake rows that wait, which are then stored too. Auto: when "
        "waiting takes longer than alignmentTimeout. Default: Never.",
    )
    alignment_timeout: Pause | None = Field(
        default=None, description="With unaligned Auto: how long barriers wait first. Default: 1s."
    )
    retained: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="The newest checkpoints that are kept. Default: 3."
    )
    spill_bytes: Quantity | None = Field(
        default=None,
        description="Per task, on its pod's disk, for rows that arrive on inputs that wait, such as "
        "256Mi; 0: senders are held back instead. Default: 0.",
    )
    max_concurrent: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None, description="Checkpoints under way at once. Default: 1."
    )
    tolerable_failures: Count | None = Field(
        default=None,
        description="So many checkpoints in a row may fail; the next one fails the job. Default: 10.",
    )


class SnapshotRetention(Model):
    """Which of the scheduled snapshots are kept: those that both bounds allow, and always the newest complete one."""

    count: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="At most so many. Default: 10."
    )
    max_age: Duration | None = Field(
        default=None, description="None older, such as 7d. Default: any age."
    )


class SnapshotSpec(Model):
    """Savepoints by the clock."""

    schedule: Schedule | None = Field(
        default=None,
        description="When a savepoint is taken: five fields of cron in UTC, `@hourly`, `@daily`, "
        "`@weekly`, `@monthly`, or `@every 6h`. Default: never.",
    )
    retention: SnapshotRetention = Field(
        default=SnapshotRetention(),
        description="Which of them are kept. Snapshots that a person asked for are never touched.",
    )


class Rollback(Model):
    """When an upgrade does not become stable."""

    enabled: bool | None = Field(
        default=None,
        description="Whether the last stable spec is deployed again, with the newest state that it "
        "accepts, when an upgrade does not become stable in time. Default: false.",
    )
    checkpoints: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None,
        description="An upgrade is stable when it has completed so many checkpoints without a restart. "
        "Default: 3.",
    )
    deadline: Duration | None = Field(
        default=None, description="How long an upgrade has to become stable. Default: 10m."
    )


class UpgradeSpec(Model):
    """How a change that needs new pods is made."""

    mode: UpgradeMode = Field(
        default=UpgradeMode.SAVEPOINT,
        description="Savepoint: the job stops with a savepoint and goes on from it. LastState: it goes on"
        " from the newest complete snapshot. Stateless: it begins with nothing; the other two"
        " never do.",
        json_schema_extra={"x-shown-default": "Savepoint"},
    )
    fallback: Fallback | None = Field(
        default=None,
        description="With mode Savepoint, when the job does not run or savepointTimeout has passed: go on"
        " from the newest complete snapshot, or wait. Default: LastState.",
    )
    savepoint_timeout: Duration | None = Field(
        default=None, description="How long stopping with a savepoint may take. Default: 10m."
    )
    max_checkpoint_age: Duration | None = Field(
        default=None,
        description="With mode LastState: a job that runs and whose newest complete snapshot is older than this stops "
        "with a savepoint, as with mode Savepoint, so that no more is done again. Default: any age will do.",
    )
    preflight: Preflight | None = Field(
        default=None,
        description="Whether the new revision is tried before the old one is stopped: it is pulled, "
        "imported, planned, and held against the newest checkpoint. Default: Run.",
    )
    preflight_timeout: Duration | None = Field(
        default=None, description="How long that may take. Default: 5m."
    )
    slots_timeout: Duration | None = Field(
        default=None,
        description="How long to wait for new TaskManagers when the parallelism grows; the old "
        "parallelism goes on meanwhile, and afterwards. Default: 5m.",
    )
    rollback: Rollback = Field(default=Rollback(), description="What to do when an upgrade fails.")


class JobManagerSpec(Model):
    """The process that coordinates the job."""

    replicas: Annotated[int, Field(ge=1, le=2)] | None = Field(
        default=None,
        description="2: a second one stands by and takes over within seconds. Default: 1.",
    )
    resources: Resources | None = Field(default=None, description="Of the JobManager's container.")
    pod_template: PodTemplate | None = Field(
        default=None,
        description="Merged into the pods, lists by name. Labels, command, ports and identity mounts of "
        "flowjob stay as they are.",
    )


class LocalVolume(Model):
    """A volume for each TaskManager."""

    is_opaque = True
    size: Quantity = Field(description="How large, such as 20Gi.")
    storage_class_name: Name | None = Field(
        default=None, description="Of which class. Default: the cluster's default class."
    )


class TaskManagerSpec(Model):
    """The processes that run the tasks. How many there are follows from the parallelism and `slots`."""

    slots: Annotated[int, Field(ge=1, le=256)] | None = Field(
        default=None, description="Worker processes per pod. Default: 1."
    )
    resources: Resources | None = Field(
        default=None, description="Of the TaskManagers' containers."
    )
    local_volume: LocalVolume | None = Field(
        default=None,
        description="Disk for state and for rows that wait. It is deleted with its pod's ordinal. "
        "Default: space of the node.",
    )
    pod_template: PodTemplate | None = Field(
        default=None,
        description="Merged into the pods, lists by name. Labels, command, ports and identity mounts of "
        "flowjob stay as they are.",
    )


class SecuritySpec(Model):
    """Beyond what is always on: mTLS on the control plane, authenticated data connections, restricted pods."""

    data_plane: DataPlane | None = Field(
        default=None,
        description="Whether rows between TaskManagers are encrypted. They are authenticated either way. "
        "Default: Plain.",
    )


class MetricsSpec(Model):
    """What the pods' /metrics show."""

    detail: MetricsDetail | None = Field(
        default=None,
        description="Series per vertex, or per subtask, which are many more. Default: Vertex.",
    )


class FlowJobSpec(Model):
    """What the user wants."""

    image: Image | None = Field(
        default=None,
        description="Of both JobManager and TaskManagers. Default: the operator's default image.",
    )
    image_pull_policy: PullPolicy | None = Field(default=None, description="As of a container.")
    image_pull_secrets: list[Reference] = Field(
        default=[],
        max_length=16,
        description="Secrets of this namespace to pull the image with.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    service_account_name: Name | None = Field(
        default=None,
        description="The identity of the job's pods, also towards the storage. Default: the chart's.",
    )
    job: JobSpec = Field(description="The program, and whether it runs.")
    checkpoints: CheckpointSpec = Field(
        default=CheckpointSpec(), description="How the job saves what it has done."
    )
    snapshots: SnapshotSpec = Field(default=SnapshotSpec(), description="Savepoints by the clock.")
    upgrade: UpgradeSpec = Field(
        default=UpgradeSpec(),
        description="How a change that needs new pods is made.",
        json_schema_extra={"x-shown-default": {}},
    )
    job_manager: JobManagerSpec = Field(
        default=JobManagerSpec(), description="The coordinator's pods."
    )
    task_manager: TaskManagerSpec = Field(
        default=TaskManagerSpec(), description="The workers' pods."
    )
    config: dict[str, IntOrString] = Field(
        default={},
        max_length=128,
        description="Settings of the engine by name, such as exchange.compression: lz4.",
    )
    security: SecuritySpec = Field(default=SecuritySpec(), description="Beyond what is always on.")
    metrics: MetricsSpec = Field(default=MetricsSpec(), description="What /metrics shows.")
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.RETAIN,
        description="What becomes of state when this object is deleted. Savepoint: a savepoint is taken "
        "first. Retain: everything stays in storage. Discard: checkpoints are deleted. "
        "Savepoints stay in any case.",
        json_schema_extra={"x-shown-default": "Retain"},
    )
    deletion_timeout: Duration | None = Field(
        default=None,
        description="How long Savepoint and Discard may take; then everything is retained and the object "
        "goes. Default: 10m.",
    )
    prior_state: PriorState | None = Field(
        default=None,
        description="What to do when an earlier job of this name left complete snapshots: Refuse to "
        "start, Resume from the newest, or Ignore them. Default: Refuse.",
    )
