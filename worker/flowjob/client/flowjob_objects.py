"""What FlowJobs and FlowSnapshots say, in the words of the service's answers; and who owns which of their fields. Pure.

Objects are as the Kubernetes API has them: nested mappings. Nothing is taken for granted to be there. Sending is
kubernetes_client.py's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flowjob.client.models import (
    CheckpointSummary,
    Condition,
    Job,
    JobRef,
    JobSummary,
    Operation,
    OperationError,
    OperationResult,
    Progress,
    Slots,
    SnapshotFacts,
)

Object = Mapping[str, Any]

STEPS = ("Checking", "Preflight", "Saving", "Stopping", "Deploying", "Starting")
"""Of a new revision, in order: docs/upgrades.md."""

REFUSALS = frozenset({
    "PreflightFailed", "ObjectsRefused", "SpecRefused", "SlotsUnavailable", "RescaleFailed", "SettingsRefused",
    "MoveNeedsSavepoint", "MaxParallelismFixed", "ParallelismTooHigh", "CancelledForGood", "RolledBack",
    "RollbackWouldRepeat", "RevisionMissing", "DefaultsInvalid", "OwnedByAnother",
})  # fmt: skip
"""Reasons of Progressing=False with which a change is not going to be made: docs/operations.md."""

WANTED = {
    "Suspend": ("Suspended", "Finished", "Cancelled"),
    "Stop": ("Suspended", "Finished", "Cancelled"),
    "Cancel": ("Cancelled", "Finished"),
}
"""The phases that end an operation; others end with the job's running."""


def part(of: Any, *path: str) -> Any:
    """The value at a path, None if any of it is missing."""
    for name in path:
        if not isinstance(of, Mapping):
            return None
        of = of.get(name)
    return of


def summary_fields(found: Object) -> dict[str, Any]:
    """What JobSummary and Job share."""
    meta, status = part(found, "metadata") or {}, part(found, "status") or {}
    phase = status.get("phase") or "Pending"
    said = part(status, "job", "state")
    return {
        "namespace": meta.get("namespace", ""),
        "name": meta.get("name", ""),
        "uid": meta.get("uid", ""),
        "state": said if phase == "Running" and said else phase,
        "health": health(found),
        "parallelism": status.get("parallelism") or part(found, "spec", "job", "parallelism") or 0,
        "max_parallelism": status.get("maxParallelism") or 0,
        "attempt": part(status, "job", "attempt") or 0,
        "restarts": part(status, "job", "restarts") or 0,
        "created_at": meta.get("creationTimestamp"),
        "started_at": part(status, "job", "startedAt"),
        "ended_at": part(status, "job", "endedAt"),
        "last_checkpoint_at": status.get("lastCheckpointTime"),
        "state_bytes": status.get("stateBytes"),
        "message": status.get("diagnosis"),
        "image": part(found, "spec", "image"),
        "labels": dict(meta.get("labels") or {}),
    }


def summary_of(found: Object) -> JobSummary:
    return JobSummary(**summary_fields(found))


def job_of(found: Object) -> Job:
    """As far as its status tells: rates and tasks are the JobManager's to tell."""
    status = part(found, "status") or {}
    error = part(status, "job", "error")
    return Job(
        **summary_fields(found),
        conditions=[
            Condition(
                type=str(c.get("type", "")),
                status=str(c.get("status", "Unknown")),
                reason=str(c.get("reason") or ""),
                message=str(c.get("message") or ""),
                last_transition_time=c.get("lastTransitionTime"),
            )
            for c in status.get("conditions") or ()
        ],
        slots=Slots(task_managers=part(status, "taskManagers", "ready") or 0),
        checkpoints=CheckpointSummary(
            latest=fact_of(part(status, "checkpoints", "latest")),
            completed=part(status, "checkpoints", "completed") or 0,
            failed_in_a_row=part(status, "checkpoints", "failedInARow") or 0,
            error=part(status, "checkpoints", "error"),
        ),
        operation=under_way(found),
        error=error,
    )


def conditions(found: Object) -> dict[str, Object]:
    return {c["type"]: c for c in part(found, "status", "conditions") or () if "type" in c}


def health(found: Object) -> str:
    """In the service's words, by the conditions."""
    held = {name: c.get("status") for name, c in conditions(found).items()}
    if part(found, "status", "phase") == "Failed":
        return "Bad"
    if held.get("Ready") == "True":
        return "Degraded" if "True" in (held.get("Degraded"), held.get("Stalled")) else "Good"
    return "Progressing" if held.get("Progressing") == "True" or not held else "Bad"


def under_way(found: Object) -> Operation | None:
    """What the operator is doing, whoever asked for it."""
    doing = part(found, "status", "operation")
    if not doing:
        return None
    return Operation(
        id=str(doing.get("id", "")),
        kind=str(doing.get("type", "")),
        job=ref_of(found),
        state="Running",
        progress=_progress(doing),
        started_at=doing.get("startedAt"),
    )


def _progress(doing: Object) -> Progress:
    step = str(doing.get("step") or "")
    share = STEPS.index(step) / len(STEPS) if step in STEPS else None
    message = doing.get("message")
    return Progress(share=share, step=f"{step}: {message}" if message else step)


def ref_of(found: Object) -> JobRef:
    meta = part(found, "metadata") or {}
    return JobRef(namespace=str(meta.get("namespace", "")), name=str(meta.get("name", "")))


def operation_of(found: Object, id: str, kind: str, generation: int) -> Operation:
    """What has become of the change of the spec that made it `generation`."""
    base: dict[str, Any] = {"id": id, "kind": kind, "job": ref_of(found)}
    status = part(found, "status") or {}
    if (status.get("observedGeneration") or 0) < generation:
        return Operation(**base, state="Pending", progress=Progress(step="waits for the operator"))
    if (error := _refusal(found, generation)) is not None:
        return Operation(**base, state="Failed", error=error)
    if status.get("operation"):
        return Operation(**base, state="Running", progress=_progress(status["operation"]))
    phase = status.get("phase")
    if phase in WANTED.get(kind, ("Running", "Finished")) and _is_settled(found, kind):
        result = OperationResult(parallelism=status.get("parallelism"), snapshot=_snapshot(status))
        return Operation(**base, state="Done", result=result)
    if phase == "Failed" and kind != "Cancel":
        why = status.get("diagnosis") or part(status, "job", "error") or "the job has failed"
        return Operation(**base, state="Failed", error=OperationError(code="FAILED", message=why))
    return Operation(**base, state="Running", progress=Progress(step=f"the job is {phase}"))


def _is_settled(found: Object, kind: str) -> bool:
    if part(found, "status", "phase") != "Running":
        return True
    if kind == "Scale":
        return bool(
            part(found, "spec", "job", "parallelism") == part(found, "status", "parallelism")
        )
    return conditions(found).get("Ready", {}).get("status") == "True"


def _snapshot(status: Object) -> SnapshotFacts | None:
    """What a job that has stopped would go on from."""
    return fact_of(status.get("expected")) if status.get("phase") == "Suspended" else None


def fact_of(fact: Object | None) -> SnapshotFacts | None:
    """A snapshot as a FlowJob's status names it."""
    if not fact:
        return None
    return SnapshotFacts(
        type=str(fact.get("type") or "Savepoint"),
        id=fact.get("id") or 0,
        name=fact.get("name"),
        path=str(fact.get("path") or ""),
        completed_at=str(fact.get("completedAt") or ""),
        bytes=fact.get("size"),
        checksum=str(fact.get("checksum") or ""),
    )


def _refusal(found: Object, generation: int) -> OperationError | None:
    refused = part(found, "status", "refused")
    if refused and (refused.get("generation") or 0) >= generation:
        return OperationError(
            code=str(refused.get("reason", "")), message=str(refused.get("message") or "")
        )
    held = conditions(found)
    for name, wanted in (("Stalled", "True"), ("Progressing", "False")):
        condition = held.get(name, {})
        reason = str(condition.get("reason") or "")
        seen = condition.get("observedGeneration")
        is_new = seen is None or seen >= generation
        if condition.get("status") == wanted and reason in REFUSALS and is_new:
            return OperationError(code=reason, message=str(condition.get("message") or reason))
    return None


def snapshot_of(found: Object) -> SnapshotFacts:
    """A FlowSnapshot."""
    status = part(found, "status") or {}
    held = {name: c.get("status") for name, c in conditions(found).items()}
    return SnapshotFacts(
        type=part(found, "spec", "type") or "Savepoint",
        name=str(part(found, "metadata", "name") or ""),
        path=str(status.get("path") or part(found, "spec", "path") or ""),
        completed_at=str(status.get("completedAt") or ""),
        bytes=status.get("size"),
        checksum=str(status.get("checksum") or ""),
        phase=status.get("phase") or "Pending",
        error=status.get("error"),
        in_use=held.get("InUse") == "True",
    )


def snapshot_operation(found: Object, id: str, job: JobRef) -> Operation:
    """What has become of a FlowSnapshot that was made to have one taken."""
    facts = snapshot_of(found)
    base: dict[str, Any] = {"id": id, "kind": "Savepoint", "job": job}
    if facts.phase == "Completed":
        return Operation(**base, state="Done", result=OperationResult(snapshot=facts))
    if facts.phase in ("Failed", "Abandoned"):
        why = facts.error or f"it was {facts.phase.lower()}"
        error = OperationError(code=facts.phase.upper(), message=why)
        return Operation(**base, state="Failed", error=error)
    state = "Pending" if facts.phase == "Pending" else "Running"
    return Operation(**base, state=state, progress=Progress(step=f"the savepoint is {facts.phase}"))


def owners(found: Object, paths: Sequence[tuple[str, ...]], own: str) -> Iterator[tuple[str, str]]:
    """Fields and managers: those of `paths` that others than `own` have applied. What was edited belongs to nobody."""
    for entry in part(found, "metadata", "managedFields") or ():
        manager, fields = entry.get("manager"), entry.get("fieldsV1") or {}
        if entry.get("operation") != "Apply" or manager == own:
            continue
        for path in paths:
            if _holds(fields, path):
                yield ".".join(path), str(manager)


def _holds(fields: Any, path: tuple[str, ...]) -> bool:
    for name in path:
        if not isinstance(fields, Mapping) or f"f:{name}" not in fields:
            return False
        fields = fields[f"f:{name}"]
    return True


def leaves(patch: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The fields that a merge patch sets or removes."""
    if isinstance(patch, Mapping) and patch:
        for name, value in patch.items():
            yield from leaves(value, (*path, name))
    else:
        yield path
