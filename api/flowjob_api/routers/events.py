"""What changes, as server-sent events: of one job, or of the list.

What is sent when is following.py's business."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from flowjob_api.following import LAST_EVENT, TOPICS, Followed, following_job, following_jobs
from flowjob_api.parts import NAMESPACE, CallerOf, PartsOf, RefOf, problems
from flowjob_api.problems import Refused

router = APIRouter(tags=["events"])

STREAM: Final[dict[int | str, dict[str, Any]]] = {
    **problems(429),
    200: {
        "description": "Server-sent events",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'id: 7\nevent: change\ndata: {"sequence": 7, "topic": "state", "text": "the job runs"}\n\n',
            }
        },
    },
}

Every = Annotated[
    float, Query(ge=0.5, le=60, description="Seconds between two events of the same topic")
]


@router.get("/events", responses=STREAM, response_class=Response, summary="Follows the list")
async def follow_jobs(
    request: Request,
    parts: PartsOf,
    caller: CallerOf,
    namespace: Annotated[str | None, Query(pattern=NAMESPACE, max_length=63)] = None,
    every: Every = 2.0,
) -> Response:
    """`job` with a JobSummary: it is new, or has changed. `gone` with namespace and name. A comment every 15 s says
    that the connection lives; `expired`: your rights have ended, and so does this."""
    return await following_jobs(
        parts.following, Followed(request, caller, None, None), namespace, every
    )


@router.get(
    "/jobs/{namespace}/{name}/events",
    responses=STREAM,
    response_class=Response,
    summary="Follows a job",
)
async def follow_job(
    request: Request,
    parts: PartsOf,
    caller: CallerOf,
    ref: RefOf,
    *,
    topics: Annotated[
        str, Query(max_length=200, description=f"Separated by commas: {', '.join(TOPICS)}")
    ] = "job,change",
    every: Every = 2.0,
    last_event_id: LAST_EVENT = None,
) -> Response:
    """Each topic is the answer of the path of its name, sent when it has changed. `change` is something that has
    happened, with a number: Last-Event-ID has those sent that were missed."""
    wanted = tuple(dict.fromkeys(topic for topic in topics.split(",") if topic))
    if unknown := sorted(set(wanted) - set(TOPICS)):
        raise Refused("INVALID", f"query.topics: there is no topic `{unknown[0][:50]}`")
    followed = Followed(request, caller, ref, last_event_id)
    return await following_job(parts.following, followed, wanted, every)
