"""Puts an application together: services, doors, routers, and what surrounds every request.

`create_app()` alone is a local service without a job, whose OpenAPI is complete. It starts nothing and asks nobody:
that begins with the first request."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from flowjob_api import documenting, page, problems
from flowjob_api.auth.door import Door
from flowjob_api.auth.local import LocalDoor
from flowjob_api.auth.sessions import Sessions
from flowjob_api.clock import Clock, RealClock
from flowjob_api.following import Following
from flowjob_api.parts import Parts
from flowjob_api.rates import Rates
from flowjob_api.routers import (
    actions,
    events,
    graph,
    health,
    history,
    jobs,
    logs,
    operations,
    session,
    snapshots,
)
from flowjob_api.service_metrics import ServiceMetrics
from flowjob_api.services.jobs import Jobs
from flowjob_api.services.local import LocalJobs
from flowjob_api.settings import Settings
from flowjob_api.surrounding import Surrounding

API = "/api/v1"

DESCRIPTION = """Jobs of this machine (`flowjob run --web`) or of a cluster: look at them, and steer them.

Every POST of an action answers 202 with an Operation before it is done; `Location` says where to ask what has become of
it. Under the same `Idempotency-Key` it is the same operation. `If-Match` with the ETag of the job binds a write to what
you have seen. Errors are application/problem+json; `code` is for programs."""


def create_app(
    found: Jobs | None = None,
    door: Door | None = None,
    *,
    settings: Settings | None = None,
    clock: Clock | None = None,
    metrics: ServiceMetrics | None = None,
) -> FastAPI:
    """An application that serves `found` to whom `door` lets in. Without them: no job, and no login."""
    settings, clock = settings or Settings(), clock or RealClock()
    metrics = metrics or ServiceMetrics()
    found = found or LocalJobs(None, clock)
    door = door or LocalDoor(Sessions(clock))
    app = FastAPI(
        title="flowjob",
        version=version("flowjob"),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        generate_unique_id_function=documenting.operation_id,
    )
    app.state.parts = Parts(
        jobs=found,
        door=door,
        triggers=Rates(
            clock.monotonic, burst=settings.writes_at_once, per_minute=settings.writes_per_minute
        ),
        following=Following(
            found, door, metrics, clock, settings.followers, settings.followers_each
        ),
        metrics=metrics,
    )
    for module in (jobs, graph, history, snapshots, logs, events, actions, operations, session):
        app.include_router(module.router, prefix=API)
    app.include_router(health.router)
    if settings.page:
        page.install(app)
    problems.install(app)
    documenting.install(app)
    surrounding: Any = Surrounding
    app.add_middleware(surrounding, settings=settings, clock=clock, metrics=metrics)
    return app
