"""What is asked of a local job, in the words of its process; and what that answers about upgrades, in this service's.

Pure. What only a cluster can do is refused here, with what to do instead."""

from __future__ import annotations

from typing import Any

from flowjob.cluster.control_api import CancelJob, NewAttempt, Rescale, StopJob, TakeSavepoint
from flowjob.cluster.job_details import JobFacts
from flowjob.cluster.local_requests import (
    AnyRequest,
    DeleteSnapshot,
    PlannedUpgrade,
    RestoreJob,
    ResumeJob,
    SuspendJob,
    UpgradeJob,
    VerifySnapshot,
)
from flowjob_api.answering import full
from flowjob_api.problems import Refused
from flowjob_api.schemas.actions import (
    CancelWish,
    RestartWish,
    RestoreWish,
    ResumeWish,
    SavepointWish,
    ScaleWish,
    StopWish,
    SuspendWish,
    UpgradePlan,
    UpgradeWish,
    VerifyWish,
)
from flowjob_api.services.jobs import Asked


def request_of(asked: Asked, id: str, facts: JobFacts) -> AnyRequest:
    """Raises Refused: UNSUPPORTED, INVALID."""
    name = f"s-{id[:12]}"
    match asked.wish:
        case SavepointWish(name=given):
            return TakeSavepoint(name=given or name)
        case StopWish(name=given, drain=drain, timeout=timeout):
            return StopJob(name=given or name, drain=drain, timeout=timeout or "10m")
        case SuspendWish(drain=drain):
            return SuspendJob(name=name, drain=drain)
        case ResumeWish(parallelism=parallelism):
            return ResumeJob(parallelism=parallelism)
        case UpgradeWish() as wish:
            return upgrade_of(wish, name)
        case RestoreWish(job=None, snapshot=snapshot, path=path):
            return RestoreJob(name=snapshot, path=path)
        case RestoreWish():
            raise Refused(
                "UNSUPPORTED",
                "other jobs are of a cluster: give a savepoint's name as snapshot, or its path",
            )
        case ScaleWish(parallelism=parallelism):
            there = facts.view.slots.task_managers
            return Rescale(parallelism=parallelism, task_managers=there)
        case CancelWish():
            return CancelJob()
        case RestartWish(reason=reason):
            return NewAttempt(reason=reason)
        case VerifyWish() if asked.kind == "DeleteSnapshot":
            return DeleteSnapshot(name=asked.snapshot)
        case VerifyWish():
            return VerifySnapshot(name=asked.snapshot)
    raise Refused(
        "UNSUPPORTED", f"{asked.kind} is for jobs of a cluster: this one runs on this machine"
    )


def upgrade_of(wish: UpgradeWish, name: str) -> UpgradeJob:
    """`name`: of the savepoint. Raises Refused."""
    if wish.image is not None or wish.script is not None:
        raise Refused(
            "UNSUPPORTED",
            "image and script are for jobs of a cluster: this one runs the file that it was started from. Edit that, "
            "and upgrade without them: it is read anew",
        )
    return UpgradeJob(
        name=name,
        args={n: None if v is None else str(v) for n, v in (wish.args or {}).items()},
        config=dict(wish.config or {}),
        checkpoints=_settings(wish.checkpoints or {}),
        parallelism=wish.parallelism,
        mode=wish.mode or "Savepoint",
        allow_non_restored=bool(wish.allow_non_restored),
    )


def _settings(given: dict[str, Any]) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise Refused(
                "INVALID",
                f"body.checkpoints.{name[:80]}: is text or a number, such as interval: 30s",
            )
        found[name] = value
    return found


def plan_of(found: PlannedUpgrade) -> UpgradePlan:
    """As the routers have it."""
    return UpgradePlan.model_validate({**full(found), "taskManagers": None})
