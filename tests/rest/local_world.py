"""A local service over ASGI, without a socket: `http` is its client, `live` the job it serves."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import jsonschema

from flowjob_api.app import create_app
from flowjob_api.auth.local import LocalDoor
from flowjob_api.auth.sessions import Sessions
from flowjob_api.clock import RealClock
from flowjob_api.services.local import LocalJobs
from flowjob_api.settings import Settings
from tests.rest.samples import FakeLive

JOB = "/api/v1/jobs/local/orders"


class Local:
    """See the module."""

    def __init__(self, token: str | None, settings: Settings | None) -> None:
        clock = RealClock()
        self.live = FakeLive()
        self.app = create_app(
            LocalJobs(self.live, clock),
            LocalDoor(Sessions(clock), token),
            settings=settings,
            clock=clock,
        )
        self.http: httpx.AsyncClient


def in_local(
    test: Callable[[Local], Awaitable[None]],
    token: str | None = None,
    settings: Settings | None = None,
) -> None:
    """Runs a test with a service of its own."""

    async def work() -> None:
        local = Local(token, settings)
        transport = httpx.ASGITransport(local.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost"
        ) as local.http:
            await test(local)

    asyncio.run(work())


@functools.cache
def document() -> dict[str, Any]:
    """OpenAPI of a service without a job."""
    found: dict[str, Any] = create_app().openapi()
    return found


def check(found: Any, name: str) -> None:
    """Raises jsonschema.ValidationError unless this is a schema's, with nothing that it does not name."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}
    jsonschema.Draft202012Validator(schema).validate(found)
    declared = set(document()["components"]["schemas"][name]["properties"])
    assert set(found) <= declared
