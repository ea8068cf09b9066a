"""One pass over a FlowSnapshot: what was seen, the status as it grows, and the actions so far.

The modules that decide about snapshots write into it. Knows how a snapshot ends, not when."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flowjob_operator.core.actions import (
    Action,
    EmitEvent,
    EventType,
    RemoveFinalizer,
    SnapshotOutcome,
)
from flowjob_operator.core.observed import SnapshotObserved
from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.stamping import Said, stamped
from flowjob_operator.resources.conditions import ConditionType, Truth
from flowjob_operator.resources.flowsnapshot import (
    FlowSnapshotStatus,
    SnapshotDeletionPolicy,
    SnapshotPhase,
    StorageAccess,
)
from flowjob_operator.resources.kinds import FlowJob
from flowjob_operator.resources.snapshot_facts import SnapshotFact, SnapshotType


@dataclass(slots=True)
class SnapshotTurn:
    seen: SnapshotObserved
    status: FlowSnapshotStatus
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

    def access(self, job: FlowJob) -> StorageAccess:
        """How the storage of a job is reached, without the job."""
        spec = job.spec
        return StorageAccess(
            endpoint=spec.checkpoints.endpoint,
            region=spec.checkpoints.region,
            secret_ref=spec.checkpoints.secret_ref,
            ca_bundle_ref=spec.checkpoints.ca_bundle_ref,
            image=spec.image,
            service_account_name=spec.service_account_name,
        )

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
