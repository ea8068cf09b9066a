"""Probes and this service's own metrics: without a login, and without anything of a job.

Probes must not need Kubernetes or a JobManager to answer, but for readiness."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from flowjob_api.parts import PartsOf, problems
from flowjob_api.problems import Refused

router = APIRouter(tags=["health"])


@router.get("/healthz", response_class=PlainTextResponse, summary="Whether this process lives")
async def healthz() -> str:
    """200, as long as it can answer."""
    return "ok\n"


@router.get(
    "/readyz",
    responses={503: problems()[503]},
    response_class=PlainTextResponse,
    summary="Whether requests can be answered",
)
async def readyz(parts: PartsOf) -> str:
    """503 while Kubernetes does not answer."""
    if (why := await parts.jobs.ready()) is not None:
        raise Refused("UNREACHABLE", why)
    return "ok\n"


@router.get("/metrics", response_class=PlainTextResponse, summary="Metrics of this service")
async def metrics(parts: PartsOf) -> Response:
    """In Prometheus' text format. Those of jobs are on the probe ports of their JobManagers and TaskManagers."""
    return Response(parts.metrics.text(), media_type="text/plain; version=0.0.4")
