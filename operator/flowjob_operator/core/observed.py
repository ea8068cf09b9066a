"""What the reconciler sees of a job and of a snapshot: everything a decision depends on, the time included.

Plain frozen data, gathered by the process layer in one go. A missing object is None or absent from its tuple; what
could not be asked says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from flowjob.cluster.control_api import JobManagerView, OperationView
from flowjob.cluster.preflight_answer import PreflightAnswer, StorageAnswer
from flowjob_operator.core.revision import Revision
from flowjob_operator.resources.flowjob_status import Source
from flowjob_operator.resources.kinds import FlowJob, FlowSnapshot

JOB_MANAGER = "jobmanager"
TASK_MANAGER = "taskmanager"
PREFLIGHT = "preflight"
STORAGE = "storage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """This installation. `owner` is written to status.operator: another installation leaves the object alone, unless
    it `succeeds` that one: whose claim on the namespace it has taken over."""

    owner: str
    version: str = ""
    succeeds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """Of the chart, or of the namespace's ConfigMap: values by path in the spec (`checkpoints.interval`). Text, or what
    JSON has; values that do not fit their field are named in a problem and left out."""

    source: Source
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """State of one container; memory_limit as in the pod's spec, for the sentence about it."""

    name: str
    ready: bool = False
    restarts: int = 0
    waiting: str | None = None
    """Reason: ImagePullBackOff, CrashLoopBackOff, CreateContainerConfigError, …"""
    waiting_message: str = ""
    ended: str | None = None
    """Reason, of this run or else of the one before: OOMKilled, Error, Completed"""
    exit_code: int | None = None
    ended_message: str = ""
    """The termination message"""
    image: str = ""
    image_id: str = ""
    memory_limit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """`revision` is the label flowjob.dev/revision: of a JobManager its Deployment's, of a TaskManager that of the
    template it was made from. `node_ready` None: not on a node, or not known."""

    name: str
    uid: str
    component: str
    revision: int = 0
    phase: str = "Pending"
    """Pending, Running, Succeeded, Failed, Unknown"""
    ready: bool = False
    reason: str = ""
    """Evicted, …"""
    message: str = ""
    unschedulable: str = ""
    """The scheduler's message, when it found no node"""
    containers: tuple[Container, ...] = ()
    node: str | None = None
    node_ready: bool | None = None
    deleting_since: datetime | None = None
    """When deletion was asked for (deletionTimestamp less the grace period)"""
    grace: float = 30.0
    """Seconds"""
    created_at: datetime | None = None

    @property
    def gone(self) -> bool:
        """None of its processes is alive, as far as its kubelet says."""
        return self.phase in ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """An object of the job: Deployment, StatefulSet, Service, ConfigMap, PodDisruptionBudget, NetworkPolicy, …

    changed   a field that we have set has another value now
    owned     has an ownerReference to the FlowJob
    problem   the last reason why its pods could not be made (quota, pod security), from its conditions and events
    """

    kind: str
    name: str
    uid: str = ""
    revision: int = 0
    deleting: bool = False
    changed: bool = False
    owned: bool = True
    replicas: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectKey:
    kind: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedRevision:
    """A ControllerRevision: `objects` are those it has rendered."""

    revision: Revision
    objects: tuple[ObjectKey, ...] = ()
    name: str = ""
    uid: str = ""
    created_at: datetime | None = None

    @property
    def number(self) -> int:
        return self.revision.number


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightRun:
    """The Job `<job>-preflight-<revision>`. `answer` is what its pod has left behind, None: nothing (yet)."""

    name: str
    uid: str
    revision: int
    created_at: datetime
    finished: bool = False
    """Complete or failed for good"""
    answer: PreflightAnswer | None = None
    pods: tuple[Pod, ...] = ()
    problem: str = ""
    """Why its pod could not be made"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageRun:
    """A Job of `flowjob storage`, by the name that StartStorageJob gave it."""

    name: str
    uid: str
    created_at: datetime
    finished: bool = False
    answer: StorageAnswer | None = None
    pods: tuple[Pod, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRunAnswer:
    """What the API server said to all objects of a revision; none of `problems`: it takes them. Remembered by the
    process for as long as it lives: one that is lost is asked for again."""

    revision: int
    generation: int
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """No JobManager answers, none leads, or what it answers makes no sense; `reason` for people."""

    reason: str
    not_leading: bool = False
    unreadable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityFacts:
    """Of the Secret `<job>-identity`, as far as this process knows (it may not read Secrets): what it wrote last, or
    what status has. `authority`: the fingerprint of who has signed it."""

    serial: str
    expires_at: datetime
    authority: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A FlowJob and all that is of it.

    revisions          ControllerRevisions of this uid
    operations         what the JobManager says to those ids of asking.asked_of_job that it knows
    snapshots          FlowSnapshots whose jobRef is this job
    source_snapshot    the FlowSnapshot that spec.job.restoreFrom.snapshot names
    source_job         the FlowJob that spec.job.restoreFrom.job names
    source_snapshots   FlowSnapshots whose jobRef is source_job
    identity           None: not known to exist
    refusal            why the API server would not do what was asked of it at the last look; empty: it did
    crd_going          the CustomResourceDefinition of FlowJobs is being deleted
    """

    now: datetime
    operator: Operator
    job: FlowJob
    defaults: tuple[Defaults, ...] = ()
    children: tuple[Child, ...] = ()
    pods: tuple[Pod, ...] = ()
    revisions: tuple[SavedRevision, ...] = ()
    jobmanager: JobManagerView | Unreachable = Unreachable(reason="there is no JobManager")
    operations: Mapping[str, OperationView] = field(default_factory=dict)
    snapshots: tuple[FlowSnapshot, ...] = ()
    source_snapshot: FlowSnapshot | None = None
    source_job: FlowJob | None = None
    source_snapshots: tuple[FlowSnapshot, ...] = ()
    preflights: tuple[PreflightRun, ...] = ()
    storage_runs: tuple[StorageRun, ...] = ()
    dry_run: DryRunAnswer | None = None
    identity: IdentityFacts | None = None
    refusal: str = ""
    namespace_terminating: bool = False
    crd_going: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotObserved:
    """A FlowSnapshot and all that it depends on.

    job          the FlowJob that spec.jobRef names, whatever its uid
    revisions    of `job`: how the storage is reached in which its snapshots lie
    users        all FlowJobs of the namespace: one that needs this snapshot to resume keeps it
    jobmanager   of `job`
    operation    what that says to status.operationId
    refusal      as of Observed
    crd_going    the CustomResourceDefinition of FlowSnapshots is being deleted
    """

    now: datetime
    operator: Operator
    snapshot: FlowSnapshot
    job: FlowJob | None = None
    revisions: tuple[Revision, ...] = ()
    users: tuple[FlowJob, ...] = ()
    jobmanager: JobManagerView | Unreachable = Unreachable(reason="there is no JobManager")
    operation: OperationView | None = None
    storage_runs: tuple[StorageRun, ...] = ()
    refusal: str = ""
    namespace_terminating: bool = False
    crd_going: bool = False
