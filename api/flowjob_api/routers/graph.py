"""How a job looks while it runs: graph, tasks, series, plan and configuration.

Answered by the job's JobManager; rights are looked at by the service."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request

from flowjob.cluster.job_details import METRICS, MetricsQuery
from flowjob_api.answering import Encoded, encoded
from flowjob_api.parts import READ, CallerOf, PartsOf, RefOf
from flowjob_api.problems import Refused
from flowjob_api.schemas.graph import Graph, Metrics, Tasks
from flowjob_api.schemas.history import Configuration, Plan

router = APIRouter(prefix="/jobs/{namespace}/{name}", tags=["figures"])

Vertex = Annotated[int | None, Query(ge=0, le=1_000_000, description="Of this one only")]


@router.get("/graph", responses=READ, response_model=Graph, summary="The job graph")
async def get_graph(
    request: Request, parts: PartsOf, caller: CallerOf, ref: RefOf, subtasks: bool = False
) -> Encoded:
    """Vertices with their figures, and edges; with `subtasks=true` each subtask's figures, too."""
    details = await parts.jobs.details(caller, ref)
    return encoded(request, await details.graph(subtasks=subtasks))


@router.get("/tasks", responses=READ, response_model=Tasks, summary="Subtasks and where they run")
async def get_tasks(
    request: Request, parts: PartsOf, caller: CallerOf, ref: RefOf, vertex: Vertex = None
) -> Encoded:
    """All of them, or those of one vertex; and the TaskManagers."""
    details = await parts.jobs.details(caller, ref)
    return encoded(request, await details.tasks(vertex=vertex))


@router.get("/metrics", responses=READ, response_model=Metrics, summary="Time series")
async def get_metrics(
    request: Request,
    parts: PartsOf,
    caller: CallerOf,
    ref: RefOf,
    *,
    vertex: Annotated[
        int | None,
        Query(ge=-1, le=1_000_000, description="-1: of every vertex. Default: of the whole job"),
    ] = None,
    names: Annotated[
        str,
        Query(max_length=500, description=f"Separated by commas: {', '.join(METRICS)}"),
    ] = "",
    window: Annotated[
        Literal["10m", "1h"], Query(description="10m: every 5 s; 1h: every 60 s")
    ] = "10m",
) -> Encoded:
    """Of the last hour."""
    wanted = [name for name in names.split(",") if name]
    if unknown := sorted(set(wanted) - set(METRICS)):
        raise Refused("INVALID", f"query.names: there is no series `{unknown[0][:50]}`")
    details = await parts.jobs.details(caller, ref)
    query = MetricsQuery(vertex=vertex, names=wanted, window=window)
    return encoded(request, await details.metrics(query))


@router.get("/plan", responses=READ, response_model=Plan, summary="The plan")
async def get_plan(request: Request, parts: PartsOf, caller: CallerOf, ref: RefOf) -> Encoded:
    """What `flowjob explain` shows."""
    details = await parts.jobs.details(caller, ref)
    return encoded(request, await details.plan())


@router.get(
    "/configuration", responses=READ, response_model=Configuration, summary="The settings in force"
)
async def get_configuration(
    request: Request, parts: PartsOf, caller: CallerOf, ref: RefOf
) -> Encoded:
    """By section. Secrets are redacted."""
    details = await parts.jobs.details(caller, ref)
    return encoded(request, await details.configuration())
