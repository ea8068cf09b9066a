"""Runs the service of a cluster until SIGTERM: opens what it asks, keeps the mirror, serves.

The one place where all parts meet; each knows nothing of the others."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI

from flowjob_api.app import create_app
from flowjob_api.auth.kubernetes import KubernetesDoor
from flowjob_api.auth.sessions import Sessions
from flowjob_api.clock import Clock, RealClock
from flowjob_api.cluster_settings import BadSetting, ClusterSettings, read
from flowjob_api.service_metrics import ServiceMetrics
from flowjob_api.services.cluster.jobmanagers import JobManagers, Reach
from flowjob_api.services.cluster.kubernetes import Kubernetes
from flowjob_api.services.cluster.mirror import Mirror
from flowjob_api.services.cluster.rights import Rights
from flowjob_api.services.cluster.service import ClusterJobs
from flowjob_api.services.cluster.writing import Writing

SESSION_KEY = "session.key"


def main() -> int:
    try:
        settings = read(os.environ)
    except BadSetting as error:
        sys.stderr.write(f"flowjob-api: {error}\n")
        return 2
    logging.basicConfig(
        level=settings.log_level.upper(),
        format='{"time":"%(asctime)s","level":"%(levelname)s","logger":"%(name)s","message":"%(message)s"}',
        stream=sys.stderr,
    )
    asyncio.run(serve(settings))
    return 0


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


async def serve(settings: ClusterSettings) -> None:
    """Until SIGTERM or SIGINT."""
    import uvicorn

    async with cluster_app(settings, RealClock()) as app:
        more: dict[str, Any] = {}
        if settings.certificate is not None:
            more["ssl_certfile"] = str(settings.certificate / "tls.crt")
            more["ssl_keyfile"] = str(settings.certificate / "tls.key")
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            proxy_headers=bool(settings.proxies),
            forwarded_allow_ips=settings.proxies or None,
            limit_concurrency=2000,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=10,
            **more,
        )
        await uvicorn.Server(config).serve()
