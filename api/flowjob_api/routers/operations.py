"""Operations by id: what has become of what was asked for.

Any replica can answer: ids say which object to look at."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request

from flowjob_api.answering import Encoded, encoded
from flowjob_api.parts import READ, CallerOf, PartsOf
from flowjob_api.schemas.operations import Operation

router = APIRouter(tags=["operations"])

Id = Annotated[str, Path(min_length=1, max_length=300, examples=["9a3c.7"])]


@router.get(
    "/operations/{id}", responses=READ, response_model=Operation, summary="What became of it"
)
async def get_operation(request: Request, parts: PartsOf, caller: CallerOf, id: Id) -> Encoded:
    """Ask again until it is Done or Failed, or follow the job's events."""
    return encoded(request, await parts.jobs.operation(caller, id))
