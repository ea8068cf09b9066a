"""What an application is made of, and how routers get at it.

One object per application, on its state: no module has any. Says what a request carries besides its body."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Path, Query, Request

from flowjob.cluster.job_details import DetailsError
from flowjob_api.auth.callers import Caller
from flowjob_api.auth.door import Door
from flowjob_api.auth.forgery import SAFE
from flowjob_api.following import Following
from flowjob_api.problems import Refused, of_details
from flowjob_api.rates import Rates
from flowjob_api.schemas.operations import Operation, OperationKind
from flowjob_api.service_metrics import ServiceMetrics
from flowjob_api.services.jobs import Asked, Jobs, Ref


@dataclass(slots=True)
class Parts:
    """jobs       where they are
    door       who asks
    triggers   how often writes may be asked for
    following  who follows what changes
    metrics    of this service
    """

    jobs: Jobs
    door: Door
    triggers: Rates
    following: Following
    metrics: ServiceMetrics

    @contextmanager
    def counted(self, kind: OperationKind) -> Iterator[None]:
        """A write: whether it was taken, or the code of its refusal."""
        result = "accepted"
        try:
            yield
        except Refused as error:
            result = error.code
            raise
        except DetailsError as error:
            result = of_details(error).code
            raise
        finally:
            self.metrics.writes.labels(kind, result).inc()

    async def begin(self, caller: Caller, ref: Ref, asked: Asked) -> Operation:
        """What a caller asks of a job, counted."""
        with self.counted(asked.kind):
            return await self.jobs.begin(caller, ref, asked)


async def parts_of(request: Request) -> Parts:
    # A coroutine, as all that routes depend on: functions are given to a thread.
    found: Parts = request.app.state.parts
    return found


async def caller_of(request: Request) -> Caller:
    """Raises Refused: UNAUTHENTICATED, CSRF; TOO_MANY for writes."""
    parts = await parts_of(request)
    caller = await parts.door.caller(request)
    request.state.caller = caller
    if request.method not in SAFE:
        peer = request.client.host if request.client else ""
        parts.triggers.take(caller.user or peer)
    return caller


NAMESPACE: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

PartsOf = Annotated[Parts, Depends(parts_of)]
CallerOf = Annotated[Caller, Depends(caller_of)]
Namespace = Annotated[
    str,
    Path(pattern=NAMESPACE, max_length=63, description="`local`: a job of this machine", examples=["local"]),
]  # fmt: skip
Name = Annotated[
    str, Path(min_length=1, max_length=253, description="Of the job", examples=["orders"])
]
Force = Annotated[
    bool,
    Query(description="In a cluster: also set fields that another manager owns, such as git"),
]
IfMatch = Annotated[
    str | None,
    Header(max_length=256, description="The ETag of the job: if it has changed since, 412"),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Asked again under the same key, it is the same operation",
        examples=["5f0c6b1e"],
    ),
]


async def ref_of(namespace: Namespace, name: Name) -> Ref:
    return Ref(namespace, name)


RefOf = Annotated[Ref, Depends(ref_of)]

PROBLEM: Final = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=` of a route: what may go wrong there, besides what may everywhere."""
    texts = {
        400: "The request cannot be read",
        401: "Nobody is logged in",
        403: "You may not do that",
        404: "There is no such thing, or you may not see it",
        406: "The answer is of another type than the one asked for",
        408: "The request did not arrive in time",
        409: "That cannot be done now, or somebody else owns what would be changed",
        412: "The job is not at the version that If-Match names",
        413: "The body is too long",
        415: "Bodies are JSON",
        422: "A field of the request is not what it may be",
        429: "Too many requests of this kind",
        503: "What is needed for the answer does not answer",
    }
    always = (401, 403, 404, 422, 503)
    return {
        status: {"description": texts[status], "content": PROBLEM}
        for status in sorted({*always, *statuses})
    }


READ: Final = problems()
WRITE: Final = problems(400, 408, 409, 412, 413, 415, 429)
