"""/livez, /readyz and /metrics, plain HTTP: what the kubelet and Prometheus ask.

Answers from what others know; no question costs a request to the API server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from flowjob_operator.process.telling.health import Health
from flowjob_operator.process.telling.metrics import Metrics

LEAVE_SECONDS: Final = 1.0
"""At the end, for whoever has not sent all of a request."""


@asynccontextmanager
async def serving(
    address: str, port: int, health: Health, metrics: Metrics, refresh: Callable[[], None]
) -> AsyncIterator[int]:
    """Yields the port, which is another one for port 0. `refresh` sets gauges before they are read."""

    async def alive(_: web.Request) -> web.Response:
        return _answer(health.alive())

    async def ready(_: web.Request) -> web.Response:
        return _answer(health.ready())

    async def numbers(_: web.Request) -> web.Response:
        refresh()
        return web.Response(body=metrics.text(), content_type="text/plain", charset="utf-8")

    app = web.Application()
    app.add_routes(
        [
            web.get("/livez", alive),
            web.get("/healthz", alive),
            web.get("/readyz", ready),
            web.get("/metrics", numbers),
        ]
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=LEAVE_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address, port)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _answer(against: list[str]) -> web.Response:
    if not against:
        return web.Response(text="ok\n")
    return web.Response(status=503, text="".join(f"{reason}\n" for reason in against))
