"""The kinds as wholes: names, models, columns, subresources, and the rules that need more than a spec to see.

Data only: crd.py makes CustomResourceDefinitions of it, reference.py a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import Field

from flowjob_operator.resources.fields import Time
from flowjob_operator.resources.flowjob_spec import FlowJobSpec
from flowjob_operator.resources.flowjob_status import FlowJobStatus
from flowjob_operator.resources.flowsnapshot import FlowSnapshotSpec, FlowSnapshotStatus
from flowjob_operator.resources.model import Model, Rule

GROUP: Final = "flowjob.dev"
VERSION: Final = "v1beta1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
CRD_VERSION: Final = 1
"""Of the definitions: grows with every released change to them, so that an older chart does not take fields away."""

CATEGORY: Final = "flow"
"""`kubectl get flow` lists objects of all our kinds. Not the name of one: kubectl would take that for the category."""

LONGEST_NAME: Final = 45
"""Names of pods, Services and labels are made of it, and may have 63 characters."""


class Metadata(Model):
    """What the operator looks at of an object's metadata."""

    name: str
    namespace: str
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: dict[str, str] = Field(default={})
    annotations: dict[str, str] = Field(default={})
    finalizers: list[str] = Field(default=[])


class FlowJob(Model):
    """A job, as an object of the API."""

    metadata: Metadata
    spec: FlowJobSpec
    status: FlowJobStatus = FlowJobStatus()


class FlowSnapshot(Model):
    """A snapshot, as an object of the API."""

    metadata: Metadata
    spec: FlowSnapshotSpec
    status: FlowSnapshotStatus = FlowSnapshotStatus()


@dataclass(frozen=True, slots=True)
class Column:
    """Of `kubectl get`; `wide` ones only with `-o wide`."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """Where the fields of the scale subresource are."""

    wanted: str
    actual: str
    selector: str


@dataclass(frozen=True, slots=True)
class Kind:
    """All that a CustomResourceDefinition says."""

    name: str
    plural: str
    short: str
    description: str
    spec: type[Model]
    status: type[Model]
    rules: tuple[Rule, ...] = ()
    columns: tuple[Column, ...] = ()
    scale: Scale | None = None


_NAME_FITS = Rule(
    f"self.metadata.name.size() <= {LONGEST_NAME} && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    f"metadata.name must begin with a letter, consist of a-z, 0-9 and -, and have {LONGEST_NAME} characters at most: "
    "names of Services and pods are made of it",
)
# Transition rules: a spec that was accepted once must never make a write of the status fail.
_RUNNING_MAX_PARALLELISM_STAYS = Rule(
    "!has(self.status) || !has(self.status.maxParallelism) || !has(self.spec.job.maxParallelism)"
    " || self.spec.job.maxParallelism == self.status.maxParallelism"
    " || (has(oldSelf.spec.job.maxParallelism) && oldSelf.spec.job.maxParallelism == self.spec.job.maxParallelism)",
    "maxParallelism is fixed by the first start: status.maxParallelism says what it is",
)
_PARALLELISM_FITS_WHAT_RUNS = Rule(
    "!has(self.status) || !has(self.status.maxParallelism) || !has(self.spec.job.parallelism)"
    " || self.spec.job.parallelism <= self.status.maxParallelism"
    " || (has(oldSelf.spec.job.parallelism) && oldSelf.spec.job.parallelism == self.spec.job.parallelism)",
    "parallelism must not exceed status.maxParallelism, which the first start has fixed",
)
_NOT_FROM_ITSELF = Rule(
    "!has(self.spec.job.restoreFrom) || !has(self.spec.job.restoreFrom.job)"
    " || self.spec.job.restoreFrom.job != self.metadata.name",
    "restoreFrom.job is this job itself: priorState says what becomes of the state of an earlier one of this name",
)

FLOWJOB: Final = Kind(
    name="FlowJob",
    plural="flowjobs",
    short="fj",
    description="A streaming job: its program, how wide it runs, where its state is kept, and how it "
    "is changed.",
    spec=FlowJobSpec,
    status=FlowJobStatus,
    rules=(
        _NAME_FITS,
        _RUNNING_MAX_PARALLELISM_STAYS,
        _PARALLELISM_FITS_WHAT_RUNS,
        _NOT_FROM_ITSELF,
    ),
    columns=(
        Column("Phase", ".status.phase"),
        Column("Job", ".status.job.state"),
        Column("Parallelism", ".status.parallelism", "integer"),
        Column("Checkpoint", ".status.lastCheckpointTime", "date"),
        Column("Ready", ".status.conditions[?(@.type=='Ready')].status", wide=True),
        Column("Diagnosis", ".status.diagnosis", wide=True),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
    scale=Scale(".spec.job.parallelism", ".status.parallelism", ".status.selector"),
)

FLOWSNAPSHOT: Final = Kind(
    name="FlowSnapshot",
    plural="flowsnapshots",
    short="fjs",
    description="A snapshot of a FlowJob, that outlives it.",
    spec=FlowSnapshotSpec,
    status=FlowSnapshotStatus,
    columns=(
        Column("Job", ".status.jobName"),
        Column("Phase", ".status.phase"),
        Column("Bytes", ".status.size", "integer"),
        Column("Completed", ".status.completedAt", "date"),
        Column("Path", ".status.path", wide=True),
        Column("Error", ".status.error", wide=True),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
)

KINDS: Final = (FLOWJOB, FLOWSNAPSHOT)
