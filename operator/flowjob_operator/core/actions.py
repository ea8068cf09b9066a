"""What the reconciler asks of the process layer. Each action may be done again without harm.

The caller first writes a changed status, with the resourceVersion it has observed; only then it acts, in order, and
stops at the first action that fails: the next pass decides anew. What destroys or asks carries the operation's id,
which that status has. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from flowjob.cluster.control_api import Request
from flowjob_operator.core.revision import ALL_PARTS, Beginning, Part, Revision
from flowjob_operator.resources.flowjob_status import FlowJobStatus
from flowjob_operator.resources.flowsnapshot import (
    FlowSnapshotSpec,
    FlowSnapshotStatus,
    StorageAccess,
)

FINALIZER = "flowjob.dev/state"
MADE_BY = "flowjob.dev/made-by"
"""Label of FlowSnapshots that the operator makes: why it does."""
FACT = "flowjob.dev/fact"
"""Annotation of a FlowSnapshot: what is known of the snapshot at `spec.path`."""
"""Of FlowJobs with deletionPolicy Savepoint or Discard, and of FlowSnapshots with Discard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveRevision:
    """Render, and create the ControllerRevision `<job>-<number>` with the revision and all its objects. If there is one
    it stays as it is. `fresh` parts are rendered from the revision's spec, all others are taken over from the objects
    of `revision.previous`."""

    revision: Revision
    fresh: frozenset[Part] = ALL_PARTS


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyRevision:
    """Server-side apply of objects that a ControllerRevision keeps, with what is not of the revision filled in:

    restore         goes into the job file (whose `restore` is therefore not compared for Child.changed)
    task_managers   replicas of the StatefulSet
    owned           whether Deployment and StatefulSet get an ownerReference, as all others always do
    """

    number: int
    restore: Beginning
    task_managers: int
    parts: frozenset[Part] = ALL_PARTS
    owned: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """With a precondition on uid, if there is one. What is not there counts as deleted. `namespace` is the job's."""

    kind: str
    name: str
    uid: str = ""
    propagation: str = "Background"
    """Background, Foreground or Orphan"""
    operation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePod:
    """With a precondition on uid. `force`: at once, without waiting for its kubelet."""

    name: str
    uid: str
    force: bool = False
    operation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """PUT the request to the JobManager that leads."""

    id: str
    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSnapshot:
    """A FlowSnapshot, labelled flowjob.dev/job and flowjob.dev/made-by. One that exists stays as it is. `fact` goes
    into the annotation flowjob.dev/fact as JSON: what is known of a snapshot at `spec.path`, which then needs no
    verification."""

    name: str
    spec: FlowSnapshotSpec
    made_by: str
    """Schedule, Upgrade, Suspension, Deletion, Nonce, Restore"""
    fact: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPreflight:
    """Create the Job `<job>-preflight-<revision>` and what it mounts: one pod of the revision, `flowjob preflight`. Not
    saved yet: it is rendered from `revision`. One that exists stays."""

    revision: Revision
    restore: Beginning
    deadline: float
    """Seconds, for the Job's activeDeadlineSeconds"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartStorageJob:
    """Create a Job of that name: `flowjob storage <command>`. One that exists stays.

    command    dispose, verify, or import of the snapshot at `path`; dispose without a path: all checkpoints of the job
    job        FlowJob (and uid) that the work is about. `revision`, or else the one that stores where `path` lies, says
               how storage is reached, with its volumes
    access     how `path` is reached where no revision does
    """

    name: str
    command: str
    path: str | None = None
    job: str | None = None
    job_uid: str | None = None
    access: StorageAccess | None = None
    revision: Revision | None = None
    operation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """Server-side dry-run of all objects rendered from `revision`; the answer is in the next Observed.dry_run."""

    revision: Revision
    fresh: frozenset[Part] = ALL_PARTS


class EventType(Enum):
    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitEvent:
    """A Kubernetes Event of the object. Failing to post one fails nothing; equal ones are counted, not repeated."""

    type: EventType
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureIdentity:
    """Make the Secret `<job>-identity`, or renew its certificates; serial and expiry are in the next
    Observed.identity."""

    renew: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AddFinalizer:
    name: str = FINALIZER


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveFinalizer:
    name: str = FINALIZER


Action = (
    SaveRevision
    | ApplyRevision
    | Delete
    | DeletePod
    | Ask
    | CreateSnapshot
    | StartPreflight
    | StartStorageJob
    | DryRun
    | EmitEvent
    | EnsureIdentity
    | AddFinalizer
    | RemoveFinalizer
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Of one pass over a FlowJob. `status` equal to the one observed: nothing to write. `look_again_after`: seconds;
    something may be due then that no event announces; None: the resync is enough."""

    status: FlowJobStatus
    actions: tuple[Action, ...] = ()
    look_again_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotOutcome:
    """The same, for a FlowSnapshot."""

    status: FlowSnapshotStatus
    actions: tuple[Action, ...] = ()
    look_again_after: float | None = None
