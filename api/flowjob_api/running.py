"""Runs the service of a cluster until SIGTERM: opens what it asks, keeps the mirror, serves.

The one place where all parts meet; each knows nothing of the others."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import uvloop
from fastapi import FastAPI

from flowjob.cluster.pod_log import begin
from flowjob_api.app import create_app
from flowjob_api.auth.kubernetes import KubernetesDoor
from flowjob_api.auth.sessions import Sessions
from flowjob_api.clock import Clock, RealClock
from flowjob_api.cluster_settings import BadSetting, ClusterSettings, read
from flowjob_api.service_metrics import ServiceMetrics
from flowjob_api.services.cluster.jobmanagers import JobManagers, Reach, Resolve, addresses_of
from flowjob_api.services.cluster.kubernetes import Kubernetes
from flowjob_api.services.cluster.mirror import Mirror
from flowjob_api.services.cluster.rights import Rights
from flowjob_api.services.cluster.service import ClusterJobs
from flowjob_api.services.cluster.writing import Writing

SESSION_KEY = "session.key"
MOST_FILES = 16_384


def main(addresses: Resolve = addresses_of) -> int:
    """The exit status. `addresses`: where JobManagers are, if not behind their headless Services."""
    try:
        settings = read(os.environ)
    except BadSetting as error:
        sys.stderr.write(f"flowjob-api: {error}\n")
        return 2
    identity = None if settings.identity is None else str(settings.identity)
    begin(sys.stderr, {"process": "Service"}, identity)
    logging.getLogger().setLevel(settings.log_level.upper())
    _allow_files()
    reach = Reach(settings.identity, addresses)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, reach))
    return 0


def _allow_files() -> None:
    """As many as connections need: many systems allow no more than 1,024 to whom does not ask."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@asynccontextmanager
async def cluster_app(
    settings: ClusterSettings, clock: Clock, reach: Reach | None = None
) -> AsyncIterator[FastAPI]:
    """The application, with what it needs opened and the mirror kept. `reach`: in tests, where JobManagers are."""
    metrics = ServiceMetrics()
    async with AsyncExitStack() as stack:
        kubernetes = await stack.enter_async_context(Kubernetes(settings.place, clock, metrics))
        managers = await stack.enter_async_context(
            JobManagers(reach or Reach(settings.identity), clock, metrics)
        )
        mirror = Mirror(kubernetes, clock, settings.namespaces)
        rights = Rights(kubernetes, clock, metrics)
        jobs = ClusterJobs(mirror, rights, managers, Writing(kubernetes, clock))
        door = KubernetesDoor(kubernetes, Sessions(clock, _session_key(settings)), clock, metrics)
        keeping = asyncio.ensure_future(mirror.run())
        try:
            yield create_app(jobs, door, settings=settings.settings, clock=clock, metrics=metrics)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


def _session_key(settings: ClusterSettings) -> bytes | None:
    """The same in all replicas. None: each has its own, and a session is one replica's."""
    if settings.identity is None:
        return None
    file = settings.identity / SESSION_KEY
    return file.read_bytes().strip() if file.exists() else None


async def serve(settings: ClusterSettings, reach: Reach | None = None) -> None:
    """Until SIGTERM or SIGINT."""
    import uvicorn

    from flowjob_api.patience import PatientProtocol

    async with cluster_app(settings, RealClock(), reach) as app:
        more: dict[str, Any] = {}
        if settings.certificate is not None:
            more["ssl_certfile"] = str(settings.certificate / "tls.crt")
            more["ssl_keyfile"] = str(settings.certificate / "tls.key")
        config = uvicorn.Config(
            app,
            http=PatientProtocol,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            proxy_headers=bool(settings.proxies),
            forwarded_allow_ips=settings.proxies or None,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=10,
            **more,
        )
        await uvicorn.Server(config).serve()
