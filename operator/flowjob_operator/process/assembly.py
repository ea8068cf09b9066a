"""The operator put together: every part gets what it needs, and nothing knows more than that.

Wiring only. What runs when (standing by, leading, ending) is running.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flowjob_operator.core.observed import Defaults, Operator
from flowjob_operator.identity.randomness import Randomness
from flowjob_operator.process.asking.looking import Asked, Looking
from flowjob_operator.process.asking.looking import Key as JobKey
from flowjob_operator.process.clock import Clock
from flowjob_operator.process.cluster.api import Api, Object
from flowjob_operator.process.cluster.mirror import Mirror
from flowjob_operator.process.cluster.revisions import Revisions
from flowjob_operator.process.cluster.scopes import Selection
from flowjob_operator.process.cluster.surroundings import Surroundings
from flowjob_operator.process.cluster.surveying import Canary, Scope, Surveyor
from flowjob_operator.process.cluster.watching import Sink
from flowjob_operator.process.keeping_watch import Running, Upkeep, WatchKeeper
from flowjob_operator.process.leading.claims import Claims
from flowjob_operator.process.looks.applying import Applier, Means
from flowjob_operator.process.looks.observing import API_PORT, Observer, Sources
from flowjob_operator.process.looks.reconciling import Decisions, Key, Parts, Reconciler
from flowjob_operator.process.looks.reporting import Reporting
from flowjob_operator.process.looks.routing import Routing
from flowjob_operator.process.papers.identities import Identities
from flowjob_operator.process.papers.service_identity import ServiceIdentity
from flowjob_operator.process.platforms import platform_of
from flowjob_operator.process.queue import Pace, Queue
from flowjob_operator.process.remembered import Remembered
from flowjob_operator.process.settings import Settings
from flowjob_operator.process.telling.events import Events
from flowjob_operator.process.telling.health import Health
from flowjob_operator.process.telling.metrics import Metrics
from flowjob_operator.process.telling.tallies import Tallies
from flowjob_operator.resources.flowjob_status import Source

POLLS = 256
"""JobManagers that are asked at once: most of the time none, and a hundred that hang delay no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a test has other ones of. `watch` begins watches over scopes, which tell the sink."""

    api: Api
    clock: Clock
    randomness: Randomness
    decisions: Decisions
    asked: Callable[[Identities], Asked]
    watch: Callable[[Sequence[Scope], Sink], Running]
    version: str = ""
    api_port: int = API_PORT


class Assembled:
    """All parts. Nothing runs yet."""

    def __init__(self, settings: Settings, world: World, metrics: Metrics) -> None:
        clock, api = world.clock, world.api
        self.settings = settings
        self.metrics = metrics
        self.health = Health(clock)
        self.mirror = Mirror()
        self.canary = Canary(clock)
        self.tallies = Tallies(metrics, clock)
        self.remembered = Remembered(clock)
        self.claims = Claims(api, clock, settings.owner, settings.label_selector)
        known = (api, clock, settings.namespace, world.randomness)
        service = ServiceIdentity(*known) if settings.service else None
        self.identities = Identities(*known, service)
        self.events = Events(api, clock, metrics, settings.identity)
        self.asked = world.asked(self.identities)
        self.routing = Routing(self.mirror, self.canary, self._add, self.remembered.forget)
        self.looking = Looking(
            self.asked, clock, settings.poll, self._poll, self.routing.job_manager
        )
        self.polls: Queue[JobKey] = Queue(
            self.looking.look, clock, Pace(concurrency=POLLS, resync=settings.poll)
        )
        self.revisions = Revisions(self.mirror, clock)
        self.reconciler = self._reconciler(world)
        pace = Pace(concurrency=settings.concurrency, resync=settings.resync)
        self.queue: Queue[Key] = Queue(self.reconciler.look, clock, pace, Reporting(metrics))
        self.keeper = self._keeper(world)
        self.health.stuck = self.queue.idle_although_due
        self.health.blind = self.canary.silent_for

    def refresh(self) -> None:
        """Sets the gauges, just before they are read."""
        self.metrics.depth.set(self.queue.depth)
        self.metrics.at_work.set(self.queue.at_work)
        objects, size = self.mirror.sizes()
        self.metrics.objects.set(objects)
        self.metrics.object_bytes.set(size)
        self.metrics.foreign.set(len(self.claims.foreign))
        self.tallies.refresh()

    def _reconciler(self, world: World) -> Reconciler:
        settings, api, clock = self.settings, world.api, world.clock
        sources = Sources(
            api=api,
            clock=clock,
            mirror=self.mirror,
            looking=self.looking,
            revisions=self.revisions,
            remembered=self.remembered,
            surroundings=Surroundings(api, clock, self.remembered),
            identities=self.identities,
            operator=Operator(owner=settings.owner, version=world.version),
            succeeded=self.claims.succeeded,
            chart=_chart(settings),
            api_port=world.api_port,
        )
        means = Means(
            api=api,
            mirror=self.mirror,
            looking=self.looking,
            revisions=self.revisions,
            remembered=self.remembered,
            identities=self.identities,
            events=self.events,
            metrics=self.metrics,
            platform=platform_of(settings),
            image=settings.image,
            selector=settings.label_selector,
            noted=self._noted,
        )
        parts = Parts(
            api=api,
            mirror=self.mirror,
            observer=Observer(sources),
            decisions=world.decisions,
            applier=Applier(means),
            claims=self.claims,
            events=self.events,
            remembered=self.remembered,
            tallies=self.tallies,
            forget=self._forget,
            closed=self._closed,
            noted=self._noted,
            dry_run=settings.dry_run,
        )
        return Reconciler(parts)

    def _keeper(self, world: World) -> WatchKeeper:
        scopes: Sequence[Scope] = self.settings.namespaces or (None,)
        surveyor = Surveyor(
            world.api,
            self.mirror,
            Selection(self.settings.label_selector),
            self.routing.listed,
            self.routing.lost,
        )
        return WatchKeeper(
            surveyor,
            lambda over: world.watch(over, self.routing.watched),
            self.canary,
            world.clock,
            Upkeep(scopes=scopes, relist=self.settings.relist),
        )

    def _add(self, key: Key, urgent: bool) -> None:
        self.queue.add(key, urgent=urgent)

    def _poll(self, key: JobKey, after: float) -> None:
        self.polls.add(key, after=after)

    def _closed(self, namespace: str) -> str | None:
        return self.keeper.closed(namespace)

    def _noted(self, found: Object) -> None:
        self.routing.written(found)

    def _forget(self, namespace: str, name: str) -> None:
        self.looking.forget((namespace, name))
        self.polls.forget((namespace, name))


def _chart(settings: Settings) -> Defaults:
    image = {"image": settings.image} if settings.image else {}
    return Defaults(source=Source.CHART, values={**image, **settings.defaults})
