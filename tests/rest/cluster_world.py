"""A cluster's service with everything around it over real HTTP on this machine: a Kubernetes API, and a JobManager.

`Cluster.http` is a client of the service; tokens say who asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import msgspec
from aiohttp import web
from fastapi import FastAPI

from flowjob.cluster.identity import JobId
from flowjob_api.clock import RealClock
from flowjob_api.cluster_settings import ClusterSettings
from flowjob_api.running import cluster_app
from flowjob_api.services.cluster.jobmanagers import Reach
from flowjob_api.services.cluster.kubernetes import Place
from flowjob_api.settings import Settings
from tests.rest.fake_kubernetes import RUNNING, SERVICE, FakeKubernetes, spec
from tests.rest.samples import FakeLive

ANN, BOB = "ann-token", "bob-token"


class World(RealClock):
    """Time that a test can move on."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

    def wall(self) -> float:
        return super().wall() + self.ahead


class Cluster:
    """Ann may do everything in `shop`; Bob may look at `bank`. There is a job in each."""

    def __init__(self) -> None:
        self.kubernetes = FakeKubernetes()
        self.clock = World()
        self.live = FakeLive()
        self.http: httpx.AsyncClient
        self.app: FastAPI
        self.asked_managers: list[str] = []
        tokens = self.kubernetes.tokens
        tokens[ANN], tokens[BOB] = "ann", "bob"
        for verb in ("get", "list", "watch", "create", "patch", "delete"):
            for resource in ("flowjobs", "flowsnapshots"):
                self.kubernetes.rights.add(("ann", verb, resource, "shop"))
        self.kubernetes.rights |= {("ann", "get", "flowjobs/log", "shop")}
        self.kubernetes.rights |= {("bob", verb, "flowjobs", "bank") for verb in ("get", "list")}
        self.kubernetes.add("FlowJob", "shop", "orders", spec=spec(), status=dict(RUNNING))
        self.kubernetes.add("FlowJob", "bank", "payments", spec=spec(), status=dict(RUNNING))

    async def get(self, path: str, token: str = ANN, **more: Any) -> httpx.Response:
        # An answer from memory never waits: who asks until it changes would stop the world.
        await asyncio.sleep(0)
        return await self.http.get(path, headers=_headers(token, more), **more)

    async def post(
        self, path: str, body: Any = None, token: str = ANN, **more: Any
    ) -> httpx.Response:
        return await self.http.post(path, json=body, headers=_headers(token, more), **more)

    async def addresses(self, job: JobId) -> list[str]:
        self.asked_managers.append(f"{job.namespace}/{job.name}")
        return [self.manager]

    async def manage(self, request: web.Request) -> web.Response:
        """The JobManager's side, with what every job says of itself here."""
        name = request.path.removeprefix("/internal/v1/details/")
        answers: dict[str, Callable[[], Awaitable[msgspec.Struct]]] = {
            "job": self.live.details.job,
            "graph": self.live.details.graph,
            "snapshots": self.live.details.snapshots,
        }
        if name == "logs":
            from flowjob.cluster.job_details import LogQuery

            found: msgspec.Struct = await self.live.details.logs(LogQuery())
        else:
            found = await answers[name]()
        return web.Response(body=msgspec.json.encode(found), content_type="application/json")


def _headers(token: str, more: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", **more.pop("headers", {})}


def in_cluster(
    test: Callable[[Cluster], Awaitable[None]],
    tmp_path: Path,
    prepare: Callable[[Cluster], None] = lambda _: None,
) -> None:
    """Runs a test within a cluster of its own."""

    async def work() -> None:
        cluster = Cluster()
        prepare(cluster)
        async with AsyncExitStack() as stack:
            api = await _served(stack, cluster.kubernetes.app())
            managers = web.Application()
            managers.router.add_get("/internal/v1/details/{name}", cluster.manage)
            cluster.manager = (await _served(stack, managers)).removeprefix("http://")
            token = tmp_path / "token"
            token.write_text(SERVICE)
            settings = ClusterSettings(
                host="127.0.0.1", port=0, place=Place(api, None, token), identity=None, certificate=None,
                namespaces=(), proxies="", log_level="info", settings=Settings(writes_at_once=10_000),
            )  # fmt: skip
            app = await stack.enter_async_context(
                cluster_app(settings, cluster.clock, Reach(None, cluster.addresses))
            )
            cluster.app = app
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            cluster.http = await stack.enter_async_context(
                httpx.AsyncClient(transport=transport, base_url="https://flowjob.example")
            )
            # It says so over HTTP only.
            while (await cluster.http.get("/readyz")).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0)
            await test(cluster)

    asyncio.run(work())


async def _served(stack: AsyncExitStack, app: web.Application) -> str:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"
