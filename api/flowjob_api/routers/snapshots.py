"""Snapshots of a job: what there is, whether it is whole, and its end.

In a cluster each savepoint is a FlowSnapshot."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request

from flowjob_api.answering import Encoded, accepted, encoded
from flowjob_api.parts import READ, WRITE, CallerOf, IdempotencyKey, PartsOf, RefOf
from flowjob_api.schemas.actions import VerifyWish
from flowjob_api.schemas.history import Snapshots
from flowjob_api.schemas.operations import Operation
from flowjob_api.services.jobs import Asked

router = APIRouter(prefix="/jobs/{namespace}/{name}/snapshots", tags=["snapshots"])

Snapshot = Annotated[str, Path(min_length=1, max_length=253, examples=["before-upgrade"])]


@router.get("", responses=READ, response_model=Snapshots, summary="Snapshots, newest first")
async def get_snapshots(request: Request, parts: PartsOf, caller: CallerOf, ref: RefOf) -> Encoded:
    """Checkpoints that are kept, and savepoints."""
    return encoded(request, await parts.jobs.snapshots(caller, ref))


@router.post(
    "/{snapshot}/verify",
    status_code=202,
    responses=WRITE,
    response_model=Operation,
    summary="Verifies a snapshot",
)
async def verify_snapshot(
    request: Request,
    parts: PartsOf,
    caller: CallerOf,
    ref: RefOf,
    snapshot: Snapshot,
    *,
    idempotency_key: IdempotencyKey = None,
) -> Encoded:
    """Reads every byte of it. The operation fails if it is not whole, and says what is wrong."""
    asked = Asked("VerifySnapshot", VerifyWish(), key=idempotency_key, snapshot=snapshot)
    return accepted(request, await parts.begin(caller, ref, asked))


@router.delete(
    "/{snapshot}",
    status_code=202,
    responses=WRITE,
    response_model=Operation,
    summary="Deletes a snapshot",
)
async def delete_snapshot(
    request: Request,
    parts: PartsOf,
    caller: CallerOf,
    ref: RefOf,
    snapshot: Snapshot,
    *,
    idempotency_key: IdempotencyKey = None,
) -> Encoded:
    """With its data, unless its FlowSnapshot says that it is to be retained. One in use stays."""
    asked = Asked("DeleteSnapshot", VerifyWish(), key=idempotency_key, snapshot=snapshot)
    return accepted(request, await parts.begin(caller, ref, asked))
