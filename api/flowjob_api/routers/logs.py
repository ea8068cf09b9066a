"""Log lines of a job: the newest, or all that come.

They need a right of their own: `flowjobs/log` in a cluster."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from flowjob.cluster.job_details import MOST_LINES, LogQuery
from flowjob_api.answering import encoded
from flowjob_api.following import LAST_EVENT, Followed, following_logs
from flowjob_api.parts import CallerOf, PartsOf, RefOf, problems
from flowjob_api.schemas.history import Level, LogLine, Logs, Process

router = APIRouter(prefix="/jobs/{namespace}/{name}", tags=["logs"])

LOGS: Final[dict[int | str, dict[str, Any]]] = {
    **problems(429),
    200: {
        "model": Logs,
        "description": "With follow: server-sent events `line`, one LogLine each",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
}


@router.get("/logs", responses=LOGS, response_model=Logs, summary="Log lines")
async def get_logs(
    request: Request,
    parts: PartsOf,
    caller: CallerOf,
    ref: RefOf,
    *,
    after: Annotated[int | None, Query(ge=0, le=2**53, description="Behind this line")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_LINES)] = 200,
    level: Annotated[Level, Query(description="This one and worse")] = "DEBUG",
    vertex: Annotated[int | None, Query(ge=0, le=1_000_000)] = None,
    subtask: Annotated[int | None, Query(ge=0, le=1_000_000)] = None,
    source: Process | None = None,
    q: Annotated[str, Query(max_length=200, description="That contain this")] = "",
    follow: Annotated[bool, Query(description="Server-sent events, until you leave")] = False,
    last_event_id: LAST_EVENT = None,
) -> Response:
    """The newest, or those behind `after`; with `follow=true` also all that come."""
    query = LogQuery(
        after=after, limit=limit, level=level, vertex=vertex, subtask=subtask, source=source, text=q
    )
    details = await parts.jobs.details(caller, ref, logs=True)
    if not follow:
        return encoded(request, await details.logs(query))
    followed = Followed(request, caller, ref, last_event_id)
    return await following_logs(parts.following, followed, query)


__all__ = ["LogLine", "router"]
