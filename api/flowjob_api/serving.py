"""Serves the job of this process, in its JobManager's loop: what `flowjob run --web` starts.

uvicorn without its signal handlers: Ctrl-C is the job's. It goes on for a moment behind the job's end, for whoever is
looking to see how it ended. Which address, and whether there is a token, is the command line's business."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from flowjob.cluster.job_details import LiveJob
from flowjob_api.app import create_app
from flowjob_api.auth.local import LocalDoor
from flowjob_api.auth.sessions import Sessions
from flowjob_api.clock import Clock, RealClock
from flowjob_api.patience import PatientProtocol
from flowjob_api.services.local import LocalJobs

QUIET: Final = 2.0
"""Seconds without a request behind the job's end, and then nobody looks any more."""
LONGEST: Final = 10.0
RECENT: Final = 15.0
"""Who has asked within so many seconds before the end is waited for."""


class _Server(uvicorn.Server):
    """Leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Heard:
    """When a request came last."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock
        self.at: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.at = self._clock.monotonic()
        await self._app(scope, receive, send)

    def since(self) -> float:
        return float("inf") if self.at is None else self._clock.monotonic() - self.at


async def serve_live(
    live: LiveJob,
    listening: socket.socket,
    *,
    token: str | None = None,
    clock: Clock | None = None,
) -> None:
    """Until the job is over, and a moment longer. `listening`: bound. `token` None: for everybody on this machine."""
    clock = clock or RealClock()
    app = create_app(LocalJobs(live, clock), LocalDoor(Sessions(clock), token), clock=clock)
    heard = _Heard(app, clock)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    server = _Server(_config(heard))
    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    ending = asyncio.ensure_future(_seen(live, heard, clock))
    try:
        await asyncio.wait([serving, ending], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
    finally:
        ending.cancel()
        server.should_exit = True
        server.force_exit = True
        await asyncio.gather(ending, serving, return_exceptions=True)


async def _seen(live: LiveJob, heard: _Heard, clock: Clock) -> None:
    """Returns when the job is over, and whoever was looking has had time to see it."""
    await live.ended()
    until = clock.monotonic() + LONGEST
    if heard.since() > RECENT:
        return
    while heard.since() < QUIET and clock.monotonic() < until:
        await clock.sleep(QUIET / 4)


def _config(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=PatientProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=1,
    )
