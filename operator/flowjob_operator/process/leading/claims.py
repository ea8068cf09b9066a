"""Who looks after a namespace: a Lease in it, held by an installation as a whole, so that a second one keeps off.

Taken when there is first something to do there, renewed now and then, and not given back: an installation that is gone
is succeeded after some minutes, and the Lease remembers whom, for its jobs say whose they are. Two that share a
namespace by disjoint label selectors have a Lease each."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog

from flowjob_operator.process.clock import Clock
from flowjob_operator.process.cluster.api import Api, ApiError, Object, Unreachable
from flowjob_operator.process.cluster.kinds import LEASES
from flowjob_operator.process.cluster.reading import time_of
from flowjob_operator.process.leading.lease import micro_time

log: Final = structlog.get_logger("flowjob_operator.claims")

OWNER_LABEL: Final = "flowjob.dev/owner"
SUCCEEDED: Final = "flowjob.dev/succeeded"
"""Annotation of the Lease: installations that held it before and let it end, separated by commas"""
MOST_SUCCEEDED: Final = 16
CLAIM_SECONDS: Final = 300
RENEW_SECONDS: Final = 100.0
REFUSED_SECONDS: Final = 30.0


class Foreign(Exception):
    """Another installation looks after the namespace: says which, and what to do."""

    def __init__(self, namespace: str, owner: str, lease: str) -> None:
        self.owner = owner
        super().__init__(
            f"namespace {namespace} is looked after by the installation {owner!r} (Lease {lease}): "
            "give one of the two other namespaces, or each its own label selector"
        )


@dataclass(slots=True)
class _Known:
    at: float
    foreign: Foreign | None = None


class Claims:
    def __init__(self, api: Api, clock: Clock, owner: str, selector: str) -> None:
        self._api = api
        self._clock = clock
        self._owner = owner
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, asyncio.Lock] = {}
        self._succeeded: dict[str, frozenset[str]] = {}
        digest = hashlib.sha256(selector.encode()).hexdigest()[:8]
        self.lease = f"flowjob-owner-{digest}" if selector else "flowjob-owner"

    @property
    def foreign(self) -> list[str]:
        """Namespaces that others look after, as far as this one has asked."""
        return sorted(name for name, known in self._known.items() if known.foreign is not None)

    def succeeded(self, namespace: str) -> frozenset[str]:
        """Installations whose jobs in the namespace are this one's by now."""
        return self._succeeded.get(namespace, frozenset())

    async def check(self, namespace: str) -> None:
        """Before anything is done in the namespace. Raises Foreign, ApiError, Unreachable."""
        async with self._asking.setdefault(namespace, asyncio.Lock()):
            await self._check(namespace)

    async def _check(self, namespace: str) -> None:
        now = self._clock.monotonic()
        known = self._known.get(namespace)
        if known is not None:
            if known.foreign is None and now - known.at < RENEW_SECONDS:
                return
            if known.foreign is not None and now - known.at < REFUSED_SECONDS:
                raise known.foreign
        try:
            await self._claim(namespace)
        except Foreign as refusal:
            self._known[namespace] = _Known(now, refusal)
            raise
        except (ApiError, Unreachable):
            # A claim that is merely old still holds: nobody else may take it before it has ended.
            if known is not None and known.foreign is None and now - known.at < CLAIM_SECONDS / 2:
                return
            raise
        self._known[namespace] = _Known(now)

    def forget(self, namespace: str) -> None:
        self._known.pop(namespace, None)
        self._asking.pop(namespace, None)
        self._succeeded.pop(namespace, None)

    async def _claim(self, namespace: str) -> None:
        try:
            found = await self._api.get(LEASES, namespace, self.lease)
        except ApiError as error:
            if not error.is_not_found:
                raise
            await self._make(namespace)
            return
        spec = found.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder not in ("", self._owner) and not self._has_ended(spec):
            raise Foreign(namespace, holder, self.lease)
        annotations = found["metadata"].get("annotations") or {}
        before = [name for name in annotations.get(SUCCEEDED, "").split(",") if name]
        if holder not in ("", self._owner):
            log.warning("an installation is succeeded", namespace=namespace, before=holder)
            before = [*(name for name in before if name != holder), holder]
        before = [name for name in before if name != self._owner][-MOST_SUCCEEDED:]
        about = {
            **found["metadata"],
            "labels": {OWNER_LABEL: self._owner},
            "annotations": {**annotations, SUCCEEDED: ",".join(before)},
        }
        try:
            await self._api.replace(
                LEASES, namespace, {**found, "metadata": about, "spec": self._spec()}
            )
        except ApiError as error:
            if not error.is_conflict:
                raise
            raise Unreachable("the claim on the namespace is being changed") from None
        self._succeeded[namespace] = frozenset(before)

    async def _make(self, namespace: str) -> None:
        body: Object = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {
                "name": self.lease,
                "namespace": namespace,
                "labels": {OWNER_LABEL: self._owner},
            },
            "spec": self._spec(),
        }
        try:
            await self._api.create(LEASES, namespace, body)
        except ApiError as error:
            if error.is_already_there:
                raise Unreachable("the claim on the namespace is being changed") from None
            if not error.is_namespace_terminating:
                raise

    def _spec(self) -> dict[str, Any]:
        now = micro_time(self._clock.now())
        return {
            "holderIdentity": self._owner,
            "leaseDurationSeconds": CLAIM_SECONDS,
            "renewTime": now,
        }

    def _has_ended(self, spec: dict[str, Any]) -> bool:
        """By the wall clock: minutes matter here, and no two installations of one name."""
        renewed = time_of(spec.get("renewTime"))
        seconds = float(spec.get("leaseDurationSeconds") or CLAIM_SECONDS)
        return renewed is None or self._clock.now() - renewed > timedelta(seconds=seconds)
