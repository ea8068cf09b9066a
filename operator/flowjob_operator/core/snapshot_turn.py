"""One pass over a FlowSnapshot: what was seen, the status as it grows, and the actions so far.

The modules that decide about snapshots write into it. Knows how a snapshot ends, not when; and who says how its
storage is reached: the revision that stores where it lies, for only that has the defaults of then."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flowjob.cluster.control_api import JobManagerView
from flowjob_operator.core.actions import (
    Action,
    EmitEvent,
    EventType,
    RemoveFinalizer,
    SnapshotOutcome,
)
from flowjob_operator.core.observed import SnapshotObserved
from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.revision import Revision
from flowjob_operator.core.settings import put
from flowjob_operator.core.stamping import Said, stamped
from flowjob_operator.resources.conditions import ConditionType, Truth
from flowjob_operator.resources.flowjob_spec import FlowJobSpec
from flowjob_operator.resources.flowsnapshot import (
    FlowSnapshotStatus,
    SnapshotDeletionPolicy,
    SnapshotPhase,
    StorageAccess,
)
from flowjob_operator.resources.kinds import FlowJob
from flowjob_operator.resources.snapshot_facts import SnapshotFact, SnapshotType

_OF_ACCESS = (
    "image",
    "serviceAccountName",
    "checkpoints.storage",
    "checkpoints.endpoint",
    "checkpoints.region",
    "checkpoints.secretRef",
    "checkpoints.caBundleRef",
)


@dataclass(slots=True)
class SnapshotTurn:
    """`revisions`: of the job that is seen."""

    seen: SnapshotObserved
    status: FlowSnapshotStatus
    revisions: tuple[Revision, ...] = ()
    actions: list[Action] = field(default_factory=list)
    after: float | None = None
    waits: tuple[Reason, str] | None = None

    @property
    def now(self) -> datetime:
        return self.seen.now

    @property
    def made(self) -> datetime:
        return self.seen.snapshot.metadata.creation_timestamp or self.now

    @property
    def discards(self) -> bool:
        """Whether its data goes with it: by default what we have made, not what was imported. Checkpoints are the
        job's, which retires them."""
        spec = self.seen.snapshot.spec
        if spec.type is SnapshotType.CHECKPOINT:
            return False
        if spec.deletion_policy is not None:
            return spec.deletion_policy is SnapshotDeletionPolicy.DISCARD
        return spec.path is None

    def set(self, **fields: Any) -> None:
        self.status = self.status.model_copy(update=fields)

    def act(self, *actions: Action) -> None:
        self.actions.extend(a for a in actions if a not in self.actions)

    def tell(self, reason: Reason, message: str, type: EventType = EventType.WARNING) -> None:
        self.act(EmitEvent(type=type, reason=reason.value, message=message))

    def look_again(self, seconds: float) -> None:
        seconds = max(seconds, 0.0)
        self.after = seconds if self.after is None else min(self.after, seconds)

    def remove_finalizer(self) -> None:
        self.act(RemoveFinalizer())

    def complete(self, fact: SnapshotFact) -> None:
        self.set(
            phase=SnapshotPhase.COMPLETED,
            path=fact.path,
            size=fact.size,
            checksum=fact.checksum,
            completed_at=fact.completed_at or self.now,
            error=None,
        )
        self._remember_access()
        self.tell(Reason.COMPLETED, f"complete: {fact.path}", EventType.NORMAL)

    def fail(self, error: str) -> None:
        self.set(phase=SnapshotPhase.FAILED, error=error)
        self.tell(Reason.FAILED, error)

    def abandon(self, reason: Reason, why: str) -> None:
        self.set(phase=SnapshotPhase.ABANDONED, error=why, operation_id=None)
        self.waits = (reason, why)
        self.tell(Reason.ABANDONED, why)

    def patient(self, left: float, reason: Reason, why: str) -> None:
        """For something that may come; abandoned when it does not."""
        if left <= 0:
            self.abandon(reason, why)
            return
        if self.status.phase is None:
            self.set(phase=SnapshotPhase.PENDING)
        self.waits = (reason, why)
        self.look_again(min(left, 10.0))

    @property
    def job(self) -> FlowJob | None:
        """The one that it was taken of, if that is still there; not another one of its name."""
        job = self.seen.job
        return job if job is not None and job.metadata.uid == self.status.job_uid else None

    def access_now(self, job: FlowJob) -> StorageAccess:
        """How the place is reached where the job stores now: as the revision says whose JobManager answers, whatever
        the spec has been edited to since."""
        revision = self._answering()
        return _access_of(_in_force(job) if revision is None else revision.spec)

    def access_at(self, job: FlowJob, path: str, taken: datetime | None) -> StorageAccess | None:
        """How the place is reached where it has stored a snapshot; None: nobody says. A move to another endpoint may
        leave the root as it was."""
        known, revisions = job.status.revisions, self.revisions
        if known is not None and known.current_since is not None and taken is not None:
            older = taken <= known.current_since
            revisions = tuple(r for r in revisions if not older or r.number != known.current)
        spec = _in_force(job)
        revision = revision_at(path, revisions) or revision_at(path, self.revisions)
        if revision is not None:
            return _access_of(revision.spec)
        return _access_of(spec) if _lies_in(path, spec) else None

    def _answering(self) -> Revision | None:
        """Of the JobManager that is seen, else what is deployed."""
        view, job = self.seen.jobmanager, self.seen.job
        known = None if job is None else job.status.revisions
        number = None if known is None else known.current
        if isinstance(view, JobManagerView) and job is not None and view.uid == job.metadata.uid:
            of_view = [r for r in self.revisions if r.base == view.revision]
            number = max((r.number for r in of_view), default=number)
        return next((r for r in self.revisions if r.number == number), None)

    def _remember_access(self) -> None:
        """Of what was taken: it was asked for before anybody knew where it would lie."""
        revision, path = self._answering(), self.status.path
        taken = self.seen.snapshot.spec.path is None and self.job is not None
        if taken and revision is not None and path is not None and _lies_in(path, revision.spec):
            self.set(storage=_access_of(revision.spec))

    def say_in_use(self, jobs: list[str]) -> None:
        """The conditions, from all that this pass has decided."""
        used: Said = (Truth.FALSE, Reason.NOT_IN_USE, "")
        if jobs:
            used = (Truth.TRUE, Reason.IN_USE, f"needed to resume {', '.join(sorted(jobs))}")
        said = {ConditionType.READY: self._ready(), ConditionType.IN_USE: used}
        about = self.seen.snapshot
        found = stamped(said, about.status.conditions, self.now, about.metadata.generation)
        self.set(conditions=found)

    def _ready(self) -> Said:
        phase, error = self.status.phase, self.status.error or ""
        if phase is SnapshotPhase.COMPLETED:
            return Truth.TRUE, Reason.COMPLETED, ""
        if phase is SnapshotPhase.FAILED:
            return Truth.FALSE, Reason.FAILED, error
        if phase is SnapshotPhase.DELETING:
            return Truth.FALSE, Reason.DISPOSING, error
        if self.seen.refusal:
            refusal = f"the API server refuses: {self.seen.refusal}"
            return Truth.FALSE, Reason.OBJECTS_REFUSED, refusal
        if self.waits is not None:
            return Truth.FALSE, self.waits[0], self.waits[1]
        if phase is SnapshotPhase.ABANDONED:
            return Truth.FALSE, Reason.ABANDONED, error
        if self.seen.snapshot.spec.path is not None:
            return Truth.FALSE, Reason.VERIFYING, ""
        return Truth.FALSE, Reason.IN_PROGRESS if phase else Reason.PENDING, error

    def outcome(self) -> SnapshotOutcome:
        return SnapshotOutcome(
            status=self.status, actions=tuple(self.actions), look_again_after=self.after
        )


def revision_at(
    path: str, revisions: Iterable[Revision], access: StorageAccess | None = None
) -> Revision | None:
    """The newest one that stores where `path` lies, and reaches that as `access` does."""
    holding = [
        revision
        for revision in revisions
        if _lies_in(path, revision.spec)
        and (access is None or access.endpoint == revision.spec.checkpoints.endpoint)
    ]
    # A root may lie below another one.
    return max(holding, key=lambda r: (len(_root(r.spec)), r.number), default=None)


def _root(spec: FlowJobSpec) -> str:
    return (spec.checkpoints.storage or "").rstrip("/")


def _lies_in(path: str, spec: FlowJobSpec) -> bool:
    root = _root(spec)
    return bool(root) and path.startswith(f"{root}/")


def _access_of(spec: FlowJobSpec) -> StorageAccess:
    return StorageAccess(
        endpoint=spec.checkpoints.endpoint,
        region=spec.checkpoints.region,
        secret_ref=spec.checkpoints.secret_ref,
        ca_bundle_ref=spec.checkpoints.ca_bundle_ref,
        image=spec.image,
        service_account_name=spec.service_account_name,
    )


def _in_force(job: FlowJob) -> FlowJobSpec:
    """The spec with the defaults of chart and namespace, where no revision is known."""
    wire = job.spec.wire()
    for path in _OF_ACCESS:
        found = job.status.effective.get(path)
        if found is not None:
            put(wire, path, _value(found.value))
    try:
        return FlowJobSpec.of(wire)
    except ValueError:  # a value was too long to be shown whole
        return job.spec


def _value(text: str) -> object:
    """As status.effective has it: text as it is, maps as JSON."""
    try:
        return json.loads(text) if text.startswith("{") else text
    except ValueError:
        return text
