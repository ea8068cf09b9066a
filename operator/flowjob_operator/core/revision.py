"""A deployed spec with its number, as a ControllerRevision keeps it beside the objects that were rendered from it.

Repair applies those objects again, so that a new operator changes no running job. Plain data: deciding when there is a
new one is the reconciler's business, rendering is done elsewhere."""

from __future__ import annotations

from enum import Enum

from flowjob.cluster.job_file import Restore
from flowjob_operator.resources.fields import Count, Text
from flowjob_operator.resources.flowjob_spec import FlowJobSpec
from flowjob_operator.resources.flowjob_status import Code
from flowjob_operator.resources.model import Model


class Part(Enum):
    """Of a revision's objects: what can be rendered anew, and applied, by itself."""

    SHARED = "Shared"
    """Services, the script, PodDisruptionBudgets, NetworkPolicies, the Role of the Lease"""
    FILE = "File"
    """The ConfigMap with job.json"""
    JOB_MANAGER = "JobManager"
    """The Deployment"""
    TASK_MANAGERS = "TaskManagers"
    """The StatefulSet"""


ALL_PARTS = frozenset(Part)


class Beginning(Model):
    """What the job begins with, for `JobFile.restore`; the fields are those of flowjob.cluster.job_file.Restore. Not a
    part of a revision: what is known to be complete grows while the revision stays."""

    mode: str = "Latest"
    path: Text | None = None
    since: Count = 0
    expected: Text | None = None
    allow_non_restored: bool = False
    prior_state: str = "Refuse"

    def for_job_file(self) -> Restore:
        """As the JobManager reads it."""
        return Restore(**self.model_dump())


class Revision(Model):
    """What is, was, or is to be deployed.

    number           of the ControllerRevision `<job>-<number>`
    base             of the JobManager that runs it: names `<job>-jm-<base>` and `<job>-file-<base>`, and is revision
                     and run of the job file. The number itself, unless the change was made with the JobManager kept
    template         of the TaskManagers' pods, and their label flowjob.dev/revision: the revision it was rendered for
    previous         whose rendered objects are taken over where parts are not rendered anew
    written, spec    what the user wrote, and the same with defaults filled in
    code             pinned; digests as `sha256:…`
    prefix           below the storage root: a job that began anew by its user's word keeps clear of its older state
    """

    number: Count
    base: Count
    template: Count
    previous: Count | None = None
    generation: Count = 0
    written: FlowJobSpec
    spec: FlowJobSpec
    code: Code = Code()
    prefix: Text | None = None

    @property
    def run(self) -> str:
        """Of the job file."""
        return str(self.base)
