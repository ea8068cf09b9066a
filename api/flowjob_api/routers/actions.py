"""What can be asked of a job. Every action answers 202 with an operation before it is done.

The paths differ only in their bodies: what they mean is in schemas/actions.py."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request

from flowjob_api.answering import Encoded, accepted, encoded_plainly
from flowjob_api.parts import (
    WRITE,
    CallerOf,
    Force,
    IdempotencyKey,
    IfMatch,
    PartsOf,
    RefOf,
)
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
)
from flowjob_api.schemas.model import Wish
from flowjob_api.schemas.operations import Operation, OperationKind
from flowjob_api.services.jobs import Asked

router = APIRouter(prefix="/jobs/{namespace}/{name}", tags=["actions"])

ACCEPTED: Final[dict[str, Any]] = {
    "status_code": 202,
    "responses": WRITE,
    "response_model": Operation,
}


class Begin:
    """What all actions have in common."""

    def __init__(
        self,
        request: Request,
        parts: PartsOf,
        caller: CallerOf,
        ref: RefOf,
        *,
        force: Force = False,
        if_match: IfMatch = None,
        idempotency_key: IdempotencyKey = None,
    ) -> None:
        self._request = request
        self._parts = parts
        self._caller = caller
        self._ref = ref
        self._force = force
        self._if_match = if_match
        self._key = idempotency_key

    async def __call__(self, kind: OperationKind, wish: Wish) -> Encoded:
        asked = Asked(kind, wish, self._key, self._if_match, self._force)
        return accepted(self._request, await self._parts.begin(self._caller, self._ref, asked))

    async def planned(self, wish: UpgradeWish) -> Encoded:
        return encoded_plainly(await self._parts.jobs.plan(self._caller, self._ref, wish))


BeginOf = Annotated[Begin, Depends()]


@router.post("/savepoints", **ACCEPTED, summary="Takes a savepoint")
async def take_savepoint(begin: BeginOf, wish: SavepointWish = SavepointWish()) -> Encoded:
    """The job goes on."""
    return await begin("Savepoint", wish)


@router.post("/stop", **ACCEPTED, summary="Stops with a savepoint")
async def stop(begin: BeginOf, wish: StopWish = StopWish()) -> Encoded:
    """As `suspend`, with a name for the savepoint and a deadline."""
    return await begin("Stop", wish)


@router.post(
    "/upgrade",
    **ACCEPTED
    | {
        "responses": {
            **WRITE,
            200: {"model": UpgradePlan, "description": "With dryRun: what would happen"},
        }
    },
    summary="Upgrades a job",
)
async def upgrade(
    begin: BeginOf,
    wish: UpgradeWish,
    dry_run: Annotated[
        bool, Query(alias="dryRun", description="Say what would happen, and change nothing")
    ] = False,
) -> Encoded:
    """Another image, other arguments, another parallelism, other settings: what is left out stays."""
    if dry_run:
        return await begin.planned(wish)
    return await begin("Upgrade", wish)


@router.post("/suspend", **ACCEPTED, summary="Suspends a job")
async def suspend(begin: BeginOf, wish: SuspendWish = SuspendWish()) -> Encoded:
    """It stops with a savepoint, and goes on from it when it is resumed."""
    return await begin("Suspend", wish)


@router.post("/resume", **ACCEPTED, summary="Resumes a job")
async def resume(begin: BeginOf, wish: ResumeWish = ResumeWish()) -> Encoded:
    """One that was suspended."""
    return await begin("Resume", wish)


@router.post("/restore", **ACCEPTED, summary="Goes back to a snapshot")
async def restore(begin: BeginOf, wish: RestoreWish) -> Encoded:
    """What the job has done since is given up; what sinks have published stays."""
    return await begin("Restore", wish)


@router.post("/scale", **ACCEPTED, summary="Changes the parallelism")
async def scale(begin: BeginOf, wish: ScaleWish) -> Encoded:
    """A checkpoint, and the tasks go on at the new parallelism."""
    return await begin("Scale", wish)


@router.post("/cancel", **ACCEPTED, summary="Cancels a job")
async def cancel(begin: BeginOf, wish: CancelWish = CancelWish()) -> Encoded:
    """At once and for good. What is in its storage stays."""
    return await begin("Cancel", wish)


@router.post("/restart", **ACCEPTED, summary="Restarts the tasks")
async def restart(begin: BeginOf, wish: RestartWish = RestartWish()) -> Encoded:
    """A checkpoint, and all tasks anew."""
    return await begin("Restart", wish)
