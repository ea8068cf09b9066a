"""FlowJobs and FlowSnapshots as the routers' models have them, by their status.

Pure: objects in, models out. What only a JobManager knows is put over it elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pydantic import ValidationError

from flowjob_api.schemas.history import SnapshotFacts, Snapshots
from flowjob_api.schemas.jobs import Action, CheckpointSummary, Job, JobSummary
from flowjob_api.services.cluster.kubernetes import Object

RUNS: Final = frozenset(
    {"Starting", "Running", "Rescaling", "Upgrading", "RollingBack", "Preflight"}
)
VERIFIES: Final = "flowjob.dev/verifies"
OVER: Final = frozenset({"Finished", "Cancelled", "Failed"})


def summary_of(found: Object) -> JobSummary:
    """Also of a status that another version of the operator has written: one such job must not hide all others."""
    try:
        return JobSummary.model_validate(summary_fields(found))
    except (ValidationError, TypeError, AttributeError, KeyError):
        return JobSummary.model_validate(strange_fields(found))


def strange_fields(found: Object) -> dict[str, Any]:
    """By field of JobSummary and of Job, of a FlowJob whose status is not understood."""
    about = found["metadata"]
    return {
        "namespace": about.get("namespace", ""),
        "name": about["name"],
        "uid": about.get("uid", ""),
        "state": "Unknown",
        "health": "Degraded",
        "message": "this service does not understand the status: the operator is of another version",
    }


def summary_fields(found: Object) -> dict[str, Any]:
    """By field of JobSummary."""
    about, spec, status = found["metadata"], found.get("spec") or {}, found.get("status") or {}
    job = status.get("job") or {}
    state = state_of(status)
    return {
        "namespace": about.get("namespace", ""),
        "name": about["name"],
        "uid": about.get("uid", ""),
        "state": state,
        "health": health_of(status, state),
        "parallelism": status.get("parallelism") or (spec.get("job") or {}).get("parallelism") or 0,
        "max_parallelism": status.get("maxParallelism") or 0,
        "attempt": job.get("attempt") or 0,
        "restarts": job.get("restarts") or 0,
        "created_at": about.get("creationTimestamp"),
        "started_at": job.get("startedAt"),
        "ended_at": job.get("endedAt"),
        "last_checkpoint_at": status.get("lastCheckpointTime"),
        "state_bytes": status.get("stateBytes"),
        "message": status.get("diagnosis") or _refused(status),
        "image": (status.get("code") or {}).get("image") or spec.get("image"),
        "labels": about.get("labels") or {},
    }


def job_fields(found: Object) -> dict[str, Any]:
    """By field of Job, as far as the status has it."""
    status = found.get("status") or {}
    checkpoints = status.get("checkpoints") or {}
    latest = checkpoints.get("latest")
    job = status.get("job") or {}
    return {
        **summary_fields(found),
        "actions": actions_of(found),
        "conditions": status.get("conditions") or [],
        "checkpoints": CheckpointSummary(
            latest=None if latest is None else snapshot_fact(latest),
            completed=checkpoints.get("completed") or 0,
            failed_in_a_row=checkpoints.get("failedInARow") or 0,
            error=checkpoints.get("error"),
        ),
        "error": job.get("error"),
        "slots": {"task_managers": (status.get("taskManagers") or {}).get("ready") or 0},
    }


def job_of(found: Object, fields: Callable[[], dict[str, Any]]) -> Job:
    """A Job of what `fields` says, if that can be one."""
    try:
        return Job.model_validate(fields())
    except (ValidationError, TypeError, AttributeError, KeyError):
        return Job.model_validate(strange_fields(found))


def state_of(status: Object) -> str:
    """The phase, and while it runs what the JobManager says."""
    phase = str(status.get("phase") or "Pending")
    if phase != "Running":
        return phase
    return str((status.get("job") or {}).get("state") or "Unknown")


def health_of(status: Object, state: str) -> str:
    conditions = {c.get("type"): c for c in status.get("conditions") or ()}

    def holds(kind: str) -> bool:
        return (conditions.get(kind) or {}).get("status") == "True"

    if state == "Failed" or (state in RUNS and holds("Degraded") and not holds("Ready")):
        return "Bad"
    if holds("Degraded") or holds("Stalled") or status.get("diagnosis"):
        return "Degraded"
    if state in ("Running", "Suspended", "Finished", "Cancelled"):
        return "Good"
    return "Progressing"


def _refused(status: Object) -> str | None:
    refused = status.get("refused")
    return None if refused is None else str(refused.get("message") or refused.get("reason"))


def actions_of(found: Object) -> list[Action]:
    """What its spec can be changed to now; whether the caller may is Kubernetes' answer to the write."""
    if found["metadata"].get("deletionTimestamp"):
        return []
    wanted = ((found.get("spec") or {}).get("job") or {}).get("state") or "Running"
    phase = (found.get("status") or {}).get("phase")
    snapshots: list[Action] = ["verifySnapshot", "deleteSnapshot", "restore"]
    if wanted == "Cancelled" or phase in ("Finished", "Cancelled"):
        return ["upgrade", *snapshots]
    if wanted == "Suspended":
        return ["resume", "upgrade", "cancel", *snapshots]
    return ["savepoint", "stop", "upgrade", "suspend", "scale", "cancel", "restart", *snapshots]


def snapshot_fact(found: Object) -> SnapshotFacts:
    """Of a fact in a FlowJob's status."""
    return SnapshotFacts(
        type=found["type"],
        id=found.get("id") or 0,
        path=found.get("path") or "",
        name=found.get("name"),
        completed_at=found.get("completedAt") or "",
        bytes=found.get("size"),
        checksum=found.get("checksum") or "",
    )


def snapshot_of(found: Object) -> SnapshotFacts:
    """Of a FlowSnapshot."""
    spec, status = found.get("spec") or {}, found.get("status") or {}
    in_use = any(
        c.get("type") == "InUse" and c.get("status") == "True"
        for c in status.get("conditions") or ()
    )
    deleting = bool(found["metadata"].get("deletionTimestamp"))
    return SnapshotFacts(
        type=spec.get("type") or "Savepoint",
        path=status.get("path") or spec.get("path") or "",
        name=found["metadata"]["name"],
        completed_at=status.get("completedAt") or "",
        bytes=status.get("size"),
        checksum=status.get("checksum") or "",
        phase="Deleting" if deleting else status.get("phase") or "Pending",
        error=status.get("error"),
        in_use=in_use,
    )


def verifies(snapshot: Object) -> str:
    """The FlowSnapshot that it was made to look at; empty: it is one itself."""
    return str((snapshot["metadata"].get("annotations") or {}).get(VERIFIES, ""))


def is_of_job(snapshot: Object, job: Object) -> bool:
    """By what it was taken of, or by what it is asked for."""
    status, spec = snapshot.get("status") or {}, snapshot.get("spec") or {}
    if uid := status.get("jobUid"):
        return bool(uid == job["metadata"].get("uid"))
    return bool((spec.get("jobRef") or {}).get("name") == job["metadata"]["name"])


def merged(objects: list[SnapshotFacts], kept: Snapshots | None) -> Snapshots:
    """FlowSnapshots, and what the JobManager keeps besides: checkpoints, and savepoints without an object."""
    paths = {one.path for one in objects if one.path}
    newest = {one.path for one in kept.snapshots if one.newest} if kept else set()
    found = [
        one.model_copy(update={"newest": True}) if one.path in newest else one for one in objects
    ]
    found += [one for one in (kept.snapshots if kept else ()) if one.path not in paths]
    found.sort(key=lambda one: (one.completed_at == "", one.completed_at), reverse=True)
    return Snapshots(snapshots=found, more=bool(kept and kept.more))
