"""The operator's parts in the world as it is: a real API server, real JobManagers, kopf's watches, the machine's clock.

Opens what has to be open as long as the process lives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from flowjob_operator.identity.randomness import system_randomness
from flowjob_operator.process.asking.jobmanagers import JobManagers
from flowjob_operator.process.assembly import Assembled, World
from flowjob_operator.process.clock import Clock
from flowjob_operator.process.cluster.api import Api
from flowjob_operator.process.cluster.connection import Connection, Tokens
from flowjob_operator.process.cluster.http_api import Bounds, HttpApi
from flowjob_operator.process.cluster.scopes import Selection
from flowjob_operator.process.cluster.surveying import Scope
from flowjob_operator.process.cluster.watching import Sink, Watches, quiet_kopf
from flowjob_operator.process.keeping_watch import Running
from flowjob_operator.process.looks.deciding import CoreDecisions
from flowjob_operator.process.papers.identities import Identities
from flowjob_operator.process.real_clock import RealClock
from flowjob_operator.process.settings import Settings
from flowjob_operator.process.telling.health import Health
from flowjob_operator.process.telling.metrics import Metrics


class _Seen:
    """Requests to the API server, into metrics and health."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.health: Health | None = None

    def __call__(self, verb: str, resource: str, status: int, took: float) -> None:
        self._metrics.api_seconds.labels(verb, resource).observe(took)
        if status == 0 or status >= 400:
            self._metrics.api_errors.labels(verb, resource, str(status)).inc()
        if status and self.health is not None:
            self.health.reached = True


@asynccontextmanager
async def real_world(
    settings: Settings, connection: Connection, version: str
) -> AsyncIterator[tuple[Assembled, Api, Clock]]:
    quiet_kopf()
    clock, metrics = RealClock(), Metrics()
    seen = _Seen(metrics)
    bounds = Bounds(settings.api_requests, settings.api_timeout)
    selection = Selection(settings.label_selector)

    def watch(scopes: Sequence[Scope], sink: Sink) -> Running:
        names = None if None in scopes else [scope for scope in scopes if scope is not None]
        return Watches(connection, Tokens(connection, clock), names, selection, sink)

    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(HttpApi(connection, clock, bounds, seen))
        made: list[JobManagers] = []

        def asked(identities: Identities) -> JobManagers:
            made.append(
                JobManagers(
                    identities.papers,
                    settings.jobmanager_timeout,
                    lambda result, took: metrics.jobmanager_seconds.labels(result).observe(took),
                )
            )
            return made[0]

        world = World(
            api=api,
            clock=clock,
            randomness=system_randomness(),
            decisions=CoreDecisions(),
            asked=asked,
            watch=watch,
            version=version,
        )
        parts = Assembled(settings, world, metrics)
        seen.health = parts.health
        await stack.enter_async_context(made[0])
        yield parts, api, clock
