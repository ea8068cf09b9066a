"""One pass over a FlowJob: what was seen, the status as it grows, and the actions so far.

The modules of decisions write into it; nothing outside of this package sees it. It knows how an operation is begun,
moved on and ended, not when."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from flowjob.cluster.control_api import JobManagerView, OperationView
from flowjob_operator.core.actions import Action, Ask, EmitEvent, EventType, Outcome
from flowjob_operator.core.asking import request_id
from flowjob_operator.core.observed import Observed, SavedRevision
from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.steps import Step
from flowjob_operator.resources.flowjob_spec import FlowJobSpec
from flowjob_operator.resources.flowjob_status import (
    FlowJobStatus,
    JobState,
    JobStatus,
    Operation,
    OperationType,
    Refusal,
    Revisions,
)

SOON = 5.0
"""Seconds. JobManagers and pods change without an event of ours."""
SPREAD = 10.0
"""Seconds. Routine looks of jobs in step with each other are apart within so long."""

ENDED = frozenset({JobState.SUSPENDED, JobState.FINISHED, JobState.CANCELLED, JobState.FAILED})
_LONGEST_MESSAGE = 2000


@dataclass(slots=True)
class Turn:
    """`spec` has all defaults; `unfit` says why it cannot be deployed so. `note`: why the operation waits, for the
    Progressing condition. `bad_schedule`: why no snapshot is ever due."""

    seen: Observed
    spec: FlowJobSpec
    status: FlowJobStatus
    unfit: tuple[str, ...] = ()
    actions: list[Action] = field(default_factory=list)
    after: float | None = None
    note: tuple[Reason, str] | None = None
    bad_schedule: str | None = None

    # What was seen.

    @property
    def now(self) -> datetime:
        return self.seen.now

    @property
    def name(self) -> str:
        return self.seen.job.metadata.name

    @property
    def uid(self) -> str:
        return self.seen.job.metadata.uid

    @property
    def generation(self) -> int:
        return self.seen.job.metadata.generation

    @property
    def job(self) -> JobStatus:
        return self.status.job or JobStatus()

    @property
    def doing(self) -> Operation:
        """The operation, where there must be one."""
        if self.operation is None:
            raise RuntimeError("there is no operation")
        return self.operation

    @property
    def revisions(self) -> Revisions:
        return self.status.revisions or Revisions()

    @property
    def operation(self) -> Operation | None:
        return self.status.operation

    @property
    def deployed(self) -> SavedRevision | None:
        """What runs, or ran last."""
        return self.saved(self.revisions.current)

    def saved(self, number: int | None) -> SavedRevision | None:
        return next((r for r in self.seen.revisions if r.number == number), None)

    @property
    def view(self) -> JobManagerView | None:
        """Of the JobManager of what is deployed; what another one says is about another time."""
        view, deployed = self.seen.jobmanager, self.deployed
        if not isinstance(view, JobManagerView) or view.uid != self.uid:
            return None
        if deployed is None:
            # A deletion in the foreground takes revisions first; whoever leads is to be stopped.
            operation = self.operation
            goes = operation is not None and operation.type is OperationType.DELETE
            return view if goes else None
        return view if view.revision == deployed.revision.base else None

    @property
    def active(self) -> bool:
        """Something is deployed that is meant to run."""
        return self.revisions.current is not None and self.job.state not in ENDED

    @property
    def next_number(self) -> int:
        """Of a revision that there never was."""
        known = [r.number for r in self.seen.revisions]
        known += [run.revision for run in self.seen.preflights]
        known += [self.revisions.current or 0, self.revisions.target or 0]
        if self.operation is not None:
            known.append(self.operation.revision or 0)
        return max(known) + 1

    def answer(self, kind: str) -> OperationView | None:
        """To what was asked in this step of the operation."""
        operation = self.operation
        if operation is None:
            return None
        return self.seen.operations.get(request_id(operation, kind, operation.attempts))

    # What is decided.

    def set(self, **fields: Any) -> None:
        self.status = self.status.model_copy(update=fields)

    def set_job(self, **fields: Any) -> None:
        self.set(job=self.job.model_copy(update=fields))

    def set_revisions(self, **fields: Any) -> None:
        self.set(revisions=self.revisions.model_copy(update=fields))

    def act(self, *actions: Action) -> None:
        self.actions.extend(a for a in actions if a not in self.actions)

    def tell(self, reason: Reason, message: str, type: EventType = EventType.WARNING) -> None:
        self.act(EmitEvent(type=type, reason=reason.value, message=message[:_LONGEST_MESSAGE]))

    def look_again(self, seconds: float) -> None:
        seconds = max(seconds, 0.0)
        self.after = seconds if self.after is None else min(self.after, seconds)

    def look_again_about(self, seconds: float) -> None:
        """Up to SPREAD later, each job at a moment of its own: of hundreds that completed a checkpoint together, say
        because they go on after the same outage, none waits for all others."""
        own = zlib.crc32(self.uid.encode()) / 2**32
        self.look_again(max(seconds, 0.0) + own * SPREAD)

    def begin(self, type: OperationType, step: Step, **fields: Any) -> None:
        """A new operation, for the spec as it is now; one that was under way is forgotten."""
        self.note = None
        self.set(
            operation=Operation(
                id=f"{self.uid}.{self.generation}",
                type=type,
                step=step.value,
                generation=self.generation,
                started_at=self.now,
                step_started_at=self.now,
                **fields,
            )
        )

    def step(self, step: Step, *, within: float | None = None, **fields: Any) -> None:
        """The operation's next step; `within`: seconds until it is given up."""
        operation, self.note = self.doing, None
        deadline = None if within is None else self.now + timedelta(seconds=within)
        self.set(
            operation=operation.model_copy(
                update={
                    "step": step.value,
                    "step_started_at": self.now,
                    "deadline": deadline,
                    "attempts": 0,
                    **fields,
                }
            )
        )

    def step_within(self, seconds: float) -> None:
        """A deadline for this step."""
        self.amend(deadline=self.now + timedelta(seconds=seconds))

    def amend(self, **fields: Any) -> None:
        """The operation, in its step."""
        self.set(operation=self.doing.model_copy(update=fields))

    def wait(self, reason: Reason, message: str, seconds: float = SOON) -> None:
        """For something that is said in the Progressing condition."""
        self.note = (reason, message)
        self.look_again(seconds)

    def late(self) -> bool:
        """The step's deadline has passed; else the pass is repeated then."""
        deadline = self.doing.deadline
        if deadline is None:
            return False
        self.look_again((deadline - self.now).total_seconds())
        return self.now >= deadline

    def end(self) -> None:
        self.note = None
        self.set(operation=None)

    def refuse(self, reason: Reason, message: str) -> None:
        """The spec that was to be carried out is not: what runs stays. It is said once, and kept."""
        about = self.generation if self.operation is None else self.operation.generation
        refusal = Refusal(
            generation=about,
            reason=reason.value,
            message=message[:_LONGEST_MESSAGE],
            at=self.now,
        )
        self.set(refused=refusal, operation=None)
        self.tell(reason, message)

    @property
    def is_refused(self) -> bool:
        refused = self.status.refused
        return refused is not None and refused.generation == self.generation

    def outcome(self) -> Outcome:
        """Requests go last: a JobManager that does not answer keeps nothing else from being done."""
        actions = sorted(self.actions, key=lambda action: isinstance(action, Ask))
        return Outcome(status=self.status, actions=tuple(actions), look_again_after=self.after)
