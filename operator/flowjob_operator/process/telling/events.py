"""Kubernetes Events about FlowJobs and FlowSnapshots: equal ones are counted, not repeated, and none is waited for.

An Event is a courtesy: whatever goes wrong in posting one is logged and forgotten, in a namespace that is being deleted
not even that. Written in the background, one at a time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import structlog

from flowjob_operator.process.clock import Clock
from flowjob_operator.process.cluster.api import Api, ApiError, Object, Unreachable
from flowjob_operator.process.cluster.kinds import EVENTS
from flowjob_operator.process.telling.metrics import Metrics

log: Final = structlog.get_logger("flowjob_operator.events")

REMEMBERED: Final = 4096
"""Events whose count is known. Kubernetes itself keeps them for an hour."""
FORGOTTEN_SECONDS: Final = 3000.0
QUIET_SECONDS: Final = 30.0
"""Equal Events are counted at most so often: a loop must not flood etcd."""
LONGEST: Final = 1000
WAITING: Final = 1000
COMPONENT: Final = "flowjob-operator"


@dataclass(frozen=True, slots=True)
class Regarding:
    """What an Event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str

    @staticmethod
    def of(found: Object) -> Regarding:
        about = found["metadata"]
        return Regarding(
            found["apiVersion"], found["kind"], about["namespace"], about["name"], about["uid"]
        )


@dataclass(slots=True)
class _Known:
    name: str
    count: int
    first: str
    posted: float
    unsaid: int = 0
    """Happened since, and not posted"""


@dataclass(frozen=True, slots=True)
class _Post:
    regarding: Regarding
    type: str
    reason: str
    message: str
    known: _Known = field(compare=False)


class Events:
    """`run()` posts what `emit` was told."""

    def __init__(self, api: Api, clock: Clock, metrics: Metrics, instance: str) -> None:
        self._api = api
        self._clock = clock
        self._metrics = metrics
        self._instance = instance
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._waiting: asyncio.Queue[_Post] = asyncio.Queue(WAITING)

    def emit(self, regarding: Regarding, type_: str, reason: str, message: str) -> None:
        """Never waits and never raises. `type_` is Normal or Warning."""
        message = message if len(message) <= LONGEST else message[: LONGEST - 1] + "…"
        key = sha256("\0".join((regarding.uid, type_, reason, message)).encode()).hexdigest()[:16]
        now = self._clock.monotonic()
        known = self._known.get(key)
        if known is not None and now - known.posted < FORGOTTEN_SECONDS:
            known.unsaid += 1
            self._known.move_to_end(key)
            if now - known.posted < QUIET_SECONDS:
                return
            known.count += known.unsaid
        else:
            stamp = f"{int(self._clock.now().timestamp() * 1000):x}"
            known = _Known(f"{regarding.name}.{key}.{stamp}", 1, self._time(), now)
            self._known[key] = known
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        known.unsaid, known.posted = 0, now
        try:
            self._waiting.put_nowait(_Post(regarding, type_, reason, message, known))
        except asyncio.QueueFull:
            log.warning("too many Events wait: one is left out", reason=reason)

    async def run(self) -> None:
        while True:
            post = await self._waiting.get()
            try:
                await self._post(post)
                self._metrics.events.labels(post.type, post.reason).inc()
            except (ApiError, Unreachable) as error:
                if not (isinstance(error, ApiError) and error.is_namespace_terminating):
                    log.info("an Event was not posted", reason=post.reason, error=str(error))

    async def _post(self, post: _Post) -> None:
        namespace = post.regarding.namespace
        if post.known.count > 1:
            patch: dict[str, Any] = {"count": post.known.count, "lastTimestamp": self._time()}
            try:
                await self._api.merge(EVENTS, namespace, post.known.name, patch)
            except ApiError as error:
                if not error.is_not_found:
                    raise
            else:
                return
        await self._api.create(EVENTS, namespace, self._body(post))

    def _body(self, post: _Post) -> Object:
        who = post.regarding
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": post.known.name, "namespace": who.namespace},
            "involvedObject": {
                "apiVersion": who.api_version,
                "kind": who.kind,
                "namespace": who.namespace,
                "name": who.name,
                "uid": who.uid,
            },
            "type": post.type,
            "reason": post.reason,
            "message": post.message,
            "count": post.known.count,
            "firstTimestamp": post.known.first,
            "lastTimestamp": self._time(),
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": self._instance,
        }

    def _time(self) -> str:
        return self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
