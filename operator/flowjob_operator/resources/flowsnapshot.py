"""FlowSnapshot: a snapshot of a job as an object, that outlives the job. Made on request, by the clock, or from a path.

Data only. Deleting one disposes of its data by its policy; nothing else does."""

from __future__ import annotations

from enum import Enum

from pydantic import Field

from flowjob_operator.resources.conditions import CONDITIONS_ARE_A_MAP, Condition
from flowjob_operator.resources.fields import (
    Bytes,
    CaBundle,
    Count,
    Digest,
    Image,
    Name,
    Reference,
    Region,
    Sentence,
    Storage,
    Text,
    Time,
    Url,
)
from flowjob_operator.resources.model import Model, Rule
from flowjob_operator.resources.snapshot_facts import SnapshotType


class SnapshotDeletionPolicy(Enum):
    RETAIN = "Retain"
    DISCARD = "Discard"


class SnapshotPhase(Enum):
    """Where a snapshot is in its life. Abandoned: the job was not there, or not running, in time."""

    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    FAILED = "Failed"
    ABANDONED = "Abandoned"
    DELETING = "Deleting"


class StorageAccess(Model):
    """How a place is reached."""

    is_opaque = True
    endpoint: Url | None = Field(default=None, description="Of an S3 other than Amazon's.")
    region: Region | None = Field(default=None, description="Of the bucket.")
    secret_ref: Reference | None = Field(
        default=None, description="A Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    )
    ca_bundle_ref: CaBundle | None = Field(
        default=None, description="Certificates by which the endpoint is trusted."
    )
    image: Image | None = Field(default=None, description="Of the pod that reaches it.")
    service_account_name: Name | None = Field(default=None, description="The identity of that pod.")


def _stays(name: str) -> Rule:
    return Rule(
        f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})",
        f"{name} cannot be changed: make another FlowSnapshot",
        field=name,
    )


class FlowSnapshotSpec(Model):
    """What is asked for."""

    rules = (
        Rule(
            "has(self.jobRef) || has(self.path)",
            "give jobRef, to take a snapshot of a job, or path, to import one",
        ),
        Rule(
            "!has(self.storage) || has(self.path)",
            "storage says how path is reached: without path, the job says it",
            field="storage",
        ),
        Rule(
            "!has(self.type) || self.type == 'Savepoint' || !has(self.path)",
            "what is imported is a savepoint: checkpoints belong to the job that made them",
            field="type",
        ),
        _stays("jobRef"),
        _stays("type"),
        _stays("path"),
        _stays("storage"),
    )
    job_ref: Reference | None = Field(
        default=None,
        description="The FlowJob that a snapshot is taken of; with path, the one whose storage settings "
        "are used.",
    )
    type: SnapshotType | None = Field(
        default=None,
        description="Savepoint: complete in itself, and kept until this object says otherwise. "
        "Checkpoint: one that restarts use too; the job retires it. Default: Savepoint.",
    )
    path: Storage | None = Field(
        default=None,
        description="A savepoint that exists already, to be known by this object's name.",
    )
    storage: StorageAccess | None = Field(
        default=None, description="How path is reached, where no job says so."
    )
    deletion_policy: SnapshotDeletionPolicy | None = Field(
        default=None,
        description="What becomes of the data when this object is deleted. A terminating namespace always"
        " means Retain. Default: Discard, Retain with path.",
    )


class FlowSnapshotStatus(Model):
    """What has become of it."""

    observed_generation: Count | None = Field(
        default=None, description="The newest generation of the spec that was looked at."
    )
    phase: SnapshotPhase | None = Field(
        default=None, description="Where the snapshot is in its life."
    )
    conditions: list[Condition] = Field(
        default=[],
        max_length=16,
        description="Aspects, with reasons. InUse: a FlowJob needs it to resume, so it stays.",
        json_schema_extra=CONDITIONS_ARE_A_MAP,
    )
    path: Text | None = Field(default=None, description="Where the snapshot lies.")
    size: Bytes | None = Field(default=None, description="In bytes.")
    checksum: Digest | None = Field(default=None, description="Of its manifest.")
    job_name: Name | None = Field(default=None, description="The FlowJob it was taken of.")
    job_uid: Text | None = Field(
        default=None, description="And which one of that name: a snapshot is of one job's life."
    )
    operation_id: Text | None = Field(
        default=None,
        description="What the JobManager was asked under, written before it was asked.",
    )
    started_at: Time | None = Field(default=None, description="When it was asked for.")
    completed_at: Time | None = Field(default=None, description="When it was complete.")
    attempts: Count | None = Field(default=None, description="How often it was asked for.")
    error: Sentence | None = Field(default=None, description="Why it failed or was abandoned.")
    max_parallelism: Count | None = Field(
        default=None, description="Into how many key groups its state is divided."
    )
    flowjob_version: Text | None = Field(default=None, description="The version that wrote it.")
    storage: StorageAccess | None = Field(
        default=None,
        description="How it is reached: kept here, so that the data can be disposed of when the job is "
        "gone.",
    )
