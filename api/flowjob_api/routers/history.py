"""What has happened to a job: checkpoints and exceptions.

Answered by the job's JobManager; rights are looked at by the service."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request

from flowjob_api.answering import Encoded, encoded
from flowjob_api.parts import READ, CallerOf, PartsOf, RefOf
from flowjob_api.schemas.history import CheckpointDetail, Checkpoints, Exceptions

router = APIRouter(prefix="/jobs/{namespace}/{name}", tags=["history"])


@router.get(
    "/checkpoints", responses=READ, response_model=Checkpoints, summary="Checkpoints, newest first"
)
async def get_checkpoints(
    request: Request, parts: PartsOf, caller: CallerOf, ref: RefOf
) -> Encoded:
    """With durations of their phases, sizes, and why they failed."""
    details = await parts.jobs.details(caller, ref)
    return encoded(request, await details.checkpoints())


@router.get(
    "/checkpoints/{id}",
    responses=READ,
    response_model=CheckpointDetail,
    summary="One checkpoint, by subtask",
)
async def get_checkpoint(
    request: Request,
    parts: PartsOf,
    caller: CallerOf,
    ref: RefOf,
    id: Annotated[int, Path(ge=0, le=2**53)],
) -> Encoded:
    """What each subtask has contributed."""
    details = await parts.jobs.details(caller, ref)
    return encoded(request, await details.checkpoint(id))


@router.get(
    "/exceptions", responses=READ, response_model=Exceptions, summary="Failures, newest first"
)
async def get_exceptions(request: Request, parts: PartsOf, caller: CallerOf, ref: RefOf) -> Encoded:
    """With the traceback of the user's code."""
    details = await parts.jobs.details(caller, ref)
    return encoded(request, await details.exceptions())
