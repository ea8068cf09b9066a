"""A local job as the routers' models have it, made of what its JobManager says.

Pure."""

from __future__ import annotations

from typing import Any, Final

from flowjob.cluster.control_api import JobManagerView, Snapshot
from flowjob.cluster.job_details import JobFacts
from flowjob_api.schemas.history import SnapshotFacts
from flowjob_api.schemas.jobs import Action, CheckpointSummary, Job, Slots
from flowjob_api.schemas.operations import Operation

LOCAL: Final = "local"
OVER: Final = frozenset({"Suspended", "Finished", "Cancelled", "Failed"})


def job_of(facts: JobFacts, operation: Operation | None, *, rests: bool) -> Job:
    """The job at a glance. `operation`: what is being done about it. `rests`: it is suspended, and can go on."""
    return Job.model_validate(
        {
            **figures_of(facts),
            "namespace": LOCAL,
            "name": facts.name,
            "uid": facts.run,
            "created_at": facts.view.started_at,
            "actions": actions_of(facts.view, rests=rests),
            "operation": operation,
        }
    )


def figures_of(facts: JobFacts) -> dict[str, Any]:
    """What a JobManager knows of its job, by field of Job: for a FlowJob likewise."""
    view = facts.view
    latest = view.checkpoints.latest
    message = view.checkpoints.error if view.state not in OVER else view.error
    return {
        "state": view.state,
        "health": health_of(view),
        "parallelism": view.parallelism,
        "max_parallelism": view.max_parallelism,
        "version": view.version,
        "attempt": view.attempt,
        "restarts": view.restarts,
        "started_at": view.started_at,
        "ended_at": view.ended_at,
        "last_checkpoint_at": latest.completed_at or None if latest else None,
        "state_bytes": facts.state_bytes,
        "message": message or None,
        "run": facts.run,
        "local": facts.local,
        "slots": Slots(
            needed=view.slots.needed,
            offered=view.slots.offered,
            task_managers=view.slots.task_managers,
        ),
        "checkpoints": checkpoints_of(view),
        "final": None if view.final is None else snapshot_of(view.final),
        "vertices": facts.vertices,
        "tasks": dict(facts.tasks),
        "rows_in_per_second": facts.rows_in_per_second,
        "rows_out_per_second": facts.rows_out_per_second,
        "busiest": facts.busiest,
        "most_backpressured": facts.most_backpressured,
        "lag_seconds": facts.lag_seconds,
        "exceptions": facts.exceptions,
        "error": view.error,
        "error_code": view.error_code,
        "at": facts.at,
    }


def health_of(view: JobManagerView) -> str:
    """Of the job, by its JobManager."""
    match view.state:
        case "Failed":
            return "Bad"
        case "Running":
            return "Degraded" if view.checkpoints.failed_in_a_row else "Good"
        case "Suspended" | "Finished" | "Cancelled":
            return "Good"
        case _:
            return "Progressing"


def checkpoints_of(view: JobManagerView) -> CheckpointSummary:
    found = view.checkpoints
    return CheckpointSummary(
        latest=None if found.latest is None else snapshot_of(found.latest),
        completed=found.completed,
        failed_in_a_row=found.failed_in_a_row,
        under_way=found.under_way,
        error=found.error,
    )


def snapshot_of(found: Snapshot) -> SnapshotFacts:
    return SnapshotFacts(
        type=found.type,
        id=found.id,
        path=found.path,
        checksum=found.checksum,
        completed_at=found.completed_at,
        bytes=found.size,
        newest=True,
    )


def actions_of(view: JobManagerView, *, rests: bool) -> list[Action]:
    """What a local job can be asked for now."""
    snapshots: list[Action] = ["verifySnapshot", "deleteSnapshot", "restore"]
    if rests:
        return ["resume", "upgrade", "cancel", *snapshots]
    if view.state in OVER:
        return []
    return ["savepoint", "stop", "upgrade", "suspend", "scale", "cancel", "restart", *snapshots]


def etag_of(facts: JobFacts, asked: int) -> str:
    """Changes with whatever was asked of the job, and with its run."""
    return f"{facts.run}.{asked}"
