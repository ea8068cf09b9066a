"""Keeps watches running over what is open to the operator: begun anew when they end, when they are silent for too long,
and when a namespace is opened or closed.

Denied namespaces are named once, and asked for again with every survey: they cost nobody else anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from flowjob_operator.process.clock import Clock
from flowjob_operator.process.cluster.api import ApiError, Unreachable
from flowjob_operator.process.cluster.surveying import Canary, Scope, Survey, Surveyor
from flowjob_operator.process.telling.health import Health
from flowjob_operator.process.telling.metrics import Metrics

log: Final = structlog.get_logger("flowjob_operator.watches")

SILENT_SECONDS: Final = 60.0
DENIED_SECONDS: Final = 30.0
CHECK_SECONDS: Final = 5.0
LONGEST_PAUSE: Final = 30.0


class Running(Protocol):
    """Watches that have been started."""

    def start(self) -> None: ...

    async def stop(self) -> None: ...

    @property
    def why(self) -> str | None:
        """Why they have ended; None: they run."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """Seconds."""

    scopes: Sequence[Scope]
    relist: float


class WatchKeeper:
    """`run()` never ends."""

    def __init__(
        self,
        surveyor: Surveyor,
        begin: Callable[[Sequence[Scope]], Running],
        canary: Canary,
        clock: Clock,
        upkeep: Upkeep,
    ) -> None:
        self._surveyor = surveyor
        self._begin = begin
        self._canary = canary
        self._clock = clock
        self._upkeep = upkeep
        self._denied: dict[Scope, str] = {}
        self._running: Running | None = None
        self._over: list[Scope] = []

    def closed(self, namespace: str) -> str | None:
        """Why nothing is to be done in the namespace: what is not known there would seem to be missing."""
        return self._denied.get(namespace) or self._denied.get(None)

    async def run(self, health: Health, metrics: Metrics, surveyed: asyncio.Event) -> None:
        failures = 0
        try:
            while True:
                try:
                    found = await self._surveyor.survey(self._upkeep.scopes)
                except (ApiError, Unreachable) as error:
                    failures += 1
                    log.warning("what there is cannot be listed", error=str(error))
                    await self._clock.sleep(min(2.0 ** min(failures, 5), LONGEST_PAUSE))
                    continue
                failures = 0
                self._say_denied(found, metrics)
                health.surveyed = True
                surveyed.set()
                await self._keep(found, metrics)
        finally:
            await self._stop()

    async def _keep(self, found: Survey, metrics: Metrics) -> None:
        """Until the next survey is due."""
        if self._running is not None and found.open != self._over:
            log.info("namespaces were opened or closed", now=len(found.open))
            await self._stop()
        if self._running is None and found.open:
            self._canary.clear()
            self._running, self._over = self._begin(found.open), list(found.open)
            self._running.start()
        began = self._clock.monotonic()
        due = min(self._upkeep.relist, DENIED_SECONDS if found.denied else self._upkeep.relist)
        while self._clock.monotonic() - began < due:
            await self._clock.sleep(CHECK_SECONDS)
            why = None if self._running is None else self._running.why
            if why is None and self._canary.silent_for() > SILENT_SECONDS:
                why = f"silent about changes of {self._canary.silent_for():.0f} s ago"
            if why is not None:
                log.warning("watches are begun anew", why=why)
                metrics.watch_restarts.inc()
                await self._stop()
                return

    async def _stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            await running.stop()

    def _say_denied(self, found: Survey, metrics: Metrics) -> None:
        for scope, why in found.denied.items():
            if self._denied.get(scope) != why:
                log.error("not looked after", namespace=scope or "all", why=why)
        for scope in self._denied:
            if scope in found.open:
                log.info("looked after from now on", namespace=scope or "all")
        self._denied = dict(found.denied)
        metrics.denied.set(len(found.denied))
