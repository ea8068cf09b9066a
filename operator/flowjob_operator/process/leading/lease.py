"""Leadership among the replicas: a Lease that one of them holds and renews.

A leader that could not renew for longer than `renewal` has lost, whatever the reason: by then nobody else can have got
it yet, because others wait for `duration` since they last saw it change, by their own clocks. Times in the Lease are
for people. What losing means (the process ends) is decided by the caller."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog

from flowjob_operator.process.clock import Clock
from flowjob_operator.process.cluster.api import Api, ApiError, Object, Unreachable
from flowjob_operator.process.cluster.kinds import LEASES

log: Final = structlog.get_logger("flowjob_operator.lease")


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who contends for which Lease, and how. Seconds."""

    namespace: str
    name: str
    identity: str
    duration: float = 15.0
    renewal: float = 10.0
    retry: float = 2.0


class Lost(Exception):
    """Somebody else leads, or may soon."""


class Election:
    """One candidate. `acquire()`, then `keep()` until it raises."""

    def __init__(self, api: Api, clock: Clock, candidate: Candidate) -> None:
        self._api = api
        self._clock = clock
        self._candidate = candidate
        self._seen: Object | None = None
        """As it was last, and since when nobody has changed it, by our clock"""
        self._seen_at = 0.0
        self.holder: str | None = None

    async def acquire(self) -> None:
        """Until this one leads. Never gives up: an API server that is away is asked again."""
        while True:
            try:
                if await self._try():
                    log.info(
                        "leading", lease=self._candidate.name, identity=self._candidate.identity
                    )
                    return
            except (ApiError, Unreachable) as error:
                log.warning("the Lease cannot be had", lease=self._candidate.name, error=str(error))
            await self._clock.sleep(self._candidate.retry * (0.8 + 0.4 * self._clock.chance()))

    async def keep(self) -> None:
        """Renews for ever. Raises Lost."""
        renewed = self._clock.monotonic()
        while True:
            await self._clock.sleep(self._candidate.retry)
            error: Exception | None = None
            asked = self._clock.monotonic()
            left = max(renewed + self._candidate.renewal - asked, 0.0)
            try:
                async with asyncio.timeout(left + self._candidate.retry / 2):
                    mine = await self._try()
                if mine:
                    # From when it was asked: the server may have renewed it at any time since.
                    renewed = asked
                elif self.holder != self._candidate.identity:
                    raise Lost(f"{self.holder or 'nobody'} leads")
            except (ApiError, Unreachable, TimeoutError) as found:
                error = found
                log.warning(
                    "the Lease was not renewed", lease=self._candidate.name, error=str(found)
                )
            if self._clock.monotonic() - renewed > self._candidate.renewal:
                raise Lost(f"not renewed for {self._candidate.renewal:g} s: {error}")

    async def release(self) -> None:
        """Lets the next one lead at once. Failing to is no harm: it waits."""
        held = self._seen
        if held is None or self.holder != self._candidate.identity:
            return
        spec = {**held["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            await self._api.replace(LEASES, self._candidate.namespace, {**held, "spec": spec})
        except (ApiError, Unreachable) as error:
            log.info("the Lease was not given back", error=str(error))

    async def _try(self) -> bool:
        """Whether this one holds it now. Raises ApiError, Unreachable."""
        candidate = self._candidate
        try:
            found = await self._api.get(LEASES, candidate.namespace, candidate.name)
        except ApiError as error:
            if not error.is_not_found:
                raise
            return await self._create()
        self._look_at(found)
        spec = found.get("spec") or {}
        held = self.holder not in (None, "", candidate.identity)
        if held and self._clock.monotonic() - self._seen_at < _duration(spec, candidate):
            return False
        try:
            self._look_at(
                await self._api.replace(
                    LEASES, candidate.namespace, {**found, "spec": self._renewed(spec)}
                )
            )
        except ApiError as error:
            if error.is_conflict:
                return False
            raise
        return True

    async def _create(self) -> bool:
        body: Object = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._candidate.name, "namespace": self._candidate.namespace},
            "spec": self._renewed({}),
        }
        try:
            self._look_at(await self._api.create(LEASES, self._candidate.namespace, body))
        except ApiError as error:
            if error.is_already_there:
                return False
            raise
        return True

    def _look_at(self, lease: Object) -> None:
        """Notes when it changed last, by our own clock: clocks of machines differ."""
        old = (self._seen or {}).get("metadata", {}).get("resourceVersion")
        if lease["metadata"].get("resourceVersion") != old or self._seen is None:
            self._seen_at = self._clock.monotonic()
        self._seen = lease
        self.holder = (lease.get("spec") or {}).get("holderIdentity") or None

    def _renewed(self, spec: dict[str, Any]) -> dict[str, Any]:
        now = micro_time(self._clock.now())
        mine = spec.get("holderIdentity") == self._candidate.identity
        changes = int(spec.get("leaseTransitions") or 0)
        return {
            **spec,
            "holderIdentity": self._candidate.identity,
            "leaseDurationSeconds": max(int(self._candidate.duration), 1),
            "acquireTime": spec.get("acquireTime") if mine and spec.get("acquireTime") else now,
            "renewTime": now,
            "leaseTransitions": changes if mine or not spec else changes + 1,
        }


def _duration(spec: dict[str, Any], candidate: Candidate) -> float:
    """What the holder promises; of one that says nothing, what we would."""
    return float(spec.get("leaseDurationSeconds") or candidate.duration)


def micro_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
