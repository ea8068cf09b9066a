"""The list of jobs, one job at a glance, and new jobs.

The list is cut into pages here: services answer all that a caller may see."""

from __future__ import annotations

from typing import Annotated, get_args

from fastapi import APIRouter, Query, Request

from flowjob_api.answering import Encoded, accepted, encoded
from flowjob_api.paging import Wanted, page
from flowjob_api.parts import (
    NAMESPACE,
    READ,
    WRITE,
    CallerOf,
    Force,
    IdempotencyKey,
    Namespace,
    PartsOf,
    RefOf,
)
from flowjob_api.problems import Refused
from flowjob_api.schemas.actions import FlowJobWish
from flowjob_api.schemas.jobs import Job, JobList, State
from flowjob_api.schemas.operations import Operation
from flowjob_api.services.jobs import Asked

router = APIRouter(tags=["jobs"])


@router.get("/jobs", responses=READ, response_model=JobList, summary="Lists jobs")
async def list_jobs(
    request: Request,
    parts: PartsOf,
    caller: CallerOf,
    namespace: Annotated[str | None, Query(pattern=NAMESPACE, max_length=63)] = None,
    *,
    state: Annotated[
        list[str] | None, Query(description="One or more, also separated by commas")
    ] = None,
    q: Annotated[
        str, Query(max_length=200, description="Part of a name, a namespace, an image or a label")
    ] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    continue_: Annotated[
        str | None,
        Query(alias="continue", max_length=1024, description="`next` of the page before"),
    ] = None,
) -> Encoded:
    """By namespace and name, a page at a time: those that you may see."""
    states = tuple(part for given in state or () for part in given.split(","))
    unknown = sorted(set(states) - set(get_args(State)))
    if unknown:
        raise Refused("INVALID", f"query.state: there is no state `{unknown[0][:50]}`")
    listed = await parts.jobs.jobs(caller, namespace)
    return encoded(request, page(listed.rows, Wanted(states, q, limit, continue_)))


@router.get("/jobs/{namespace}/{name}", responses=READ, response_model=Job, summary="One job")
async def get_job(request: Request, parts: PartsOf, caller: CallerOf, ref: RefOf) -> Encoded:
    """At a glance. The ETag names the version of what was asked for: give it as If-Match with an action."""
    found = await parts.jobs.job(caller, ref)
    return encoded(request, found.job, etag=found.etag)


@router.post(
    "/jobs/{namespace}",
    status_code=202,
    responses=WRITE,
    response_model=Operation,
    summary="Submits a job",
)
async def submit(
    request: Request,
    parts: PartsOf,
    caller: CallerOf,
    namespace: Namespace,
    body: FlowJobWish,
    *,
    force: Force = False,
    idempotency_key: IdempotencyKey = None,
) -> Encoded:
    """In a cluster: makes a FlowJob. Local jobs are started by `flowjob run`."""
    asked = Asked("Submit", body, key=idempotency_key, force=force)
    with parts.counted("Submit"):
        begun = await parts.jobs.submit(caller, namespace, body, asked)
    return accepted(request, begun)
