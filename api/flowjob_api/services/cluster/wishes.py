"""What an action means in a FlowJob's spec: the fields to set, None to remove one.

Pure. What an edit of a field brings about is the operator's business."""

from __future__ import annotations

from typing import Any

from flowjob_api.problems import Refused
from flowjob_api.schemas.actions import (
    CancelWish,
    RestartWish,
    RestoreWish,
    ResumeWish,
    ScaleWish,
    StopWish,
    SuspendWish,
    UpgradeWish,
)
from flowjob_api.schemas.model import Wish
from flowjob_api.services.cluster.kubernetes import Object


def change_of(wish: Wish, found: Object, now: int) -> dict[str, Any]:
    """Fields of `spec`. `now`: seconds since the epoch, for nonces. Raises Refused."""
    job = (found.get("spec") or {}).get("job") or {}
    match wish:
        case ScaleWish():
            return {"job": {"parallelism": wish.parallelism}}
        case StopWish() | SuspendWish():
            _refuse_over(found)
            if isinstance(wish, StopWish) and (wish.name or wish.timeout):
                raise Refused(
                    "UNSUPPORTED",
                    "name and timeout are for local jobs: a FlowJob has upgrade.savepointTimeout, and names "
                    "the savepoint itself",
                )
            stop = {"stop": {"drain": True}} if wish.drain else {}
            return {"job": {"state": "Suspended", **stop}}
        case ResumeWish():
            _refuse_over(found)
            scaled = {} if wish.parallelism is None else {"parallelism": wish.parallelism}
            return {"job": {"state": "Running", **scaled}}
        case CancelWish():
            return {"job": {"state": "Cancelled"}}
        case RestartWish():
            _refuse_over(found)
            return {"job": {"restartNonce": max(now, int(job.get("restartNonce") or 0) + 1)}}
        case UpgradeWish():
            return _upgrade(wish)
        case RestoreWish():
            return _restore(wish, max(now, int(job.get("restoreNonce") or 0) + 1))
    raise Refused("UNSUPPORTED", "that cannot be asked of a FlowJob")


def _refuse_over(found: Object) -> None:
    phase = (found.get("status") or {}).get("phase")
    if phase in ("Finished", "Cancelled"):
        raise Refused("NOT_NOW", f"the job is over: {phase}. Upgrade it to have it run again")


def _restore(wish: RestoreWish, nonce: int) -> dict[str, Any]:
    if wish.path is not None and "://" not in wish.path:
        raise Refused(
            "INVALID",
            "body.path: the job's pods have no such directory: say s3://bucket/…, file:///… on a volume of theirs, or "
            "the name of a FlowSnapshot as `snapshot`",
        )
    source = {"snapshot": wish.snapshot, "path": wish.path, "job": wish.job}
    return {"job": {"restoreFrom": source, "restoreNonce": nonce, "state": "Running"}}


def _upgrade(wish: UpgradeWish) -> dict[str, Any]:
    change: dict[str, Any] = {}
    job: dict[str, Any] = {}
    if wish.image is not None:
        change["image"] = wish.image
    if wish.config is not None:
        change["config"] = wish.config
    if wish.checkpoints is not None:
        change["checkpoints"] = wish.checkpoints
    if wish.mode is not None:
        change["upgrade"] = {"mode": wish.mode}
    for name, value in (
        ("script", wish.script),
        ("args", wish.args),
        ("parallelism", wish.parallelism),
        ("allowNonRestored", wish.allow_non_restored),
    ):
        if value is not None:
            job[name] = value
    if wish.script is not None:
        job |= {"entrypoint": None, "artifact": None, "main": None}
    if job:
        change["job"] = job
    if not change:
        raise Refused("INVALID", "body: nothing is asked for: give at least one field")
    return change


def kept_though_removed(change: dict[str, Any], made: Any, path: str = "spec") -> list[str]:
    """Paths that were to be removed and are still there: others set them."""
    found: list[str] = []
    if not isinstance(made, dict):
        return found
    for key, value in change.items():
        if value is None and key in made:
            found.append(f"{path}.{key}")
        elif isinstance(value, dict):
            found += kept_though_removed(value, made.get(key), f"{path}.{key}")
    return found
