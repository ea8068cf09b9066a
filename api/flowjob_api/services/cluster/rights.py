"""What a caller may do, asked of Kubernetes by SubjectAccessReview and remembered for some seconds.

Kubernetes' RBAC is the only permission system. What it does not answer is not allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from flowjob_api.auth.callers import Caller
from flowjob_api.clock import Clock
from flowjob_api.problems import Refused
from flowjob_api.service_metrics import ServiceMetrics
from flowjob_api.services.cluster.kubernetes import ApiError, Call, Kubernetes, Unreachable
from flowjob_api.services.cluster.paths import ACCESS_REVIEWS, GROUP, JOBS
from flowjob_api.sharing import UNKNOWN, Sharing

REMEMBERED_SECONDS: Final = 10.0
ASKED_AGAIN: Final = 7.0
"""What is asked for that long after it was looked up is looked up again, and nobody waits for it."""
REVIEWS_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Right:
    """`namespace` empty: in all of them. `name` empty: of any name."""

    verb: str
    namespace: str
    name: str = ""
    resource: str = JOBS
    sub: str = ""

    def __str__(self) -> str:
        what = f"{self.resource}/{self.sub}" if self.sub else self.resource
        where = f"in namespace {self.namespace}" if self.namespace else "in all namespaces"
        return f"{self.verb} {what} {where}"


class Rights:
    """Of all callers."""

    def __init__(self, kubernetes: Kubernetes, clock: Clock, metrics: ServiceMetrics) -> None:
        self._kubernetes = kubernetes
        self._metrics = metrics
        self._sharing = Sharing(clock, most=20_000)

    async def has(self, caller: Caller, right: Right) -> bool:
        """Raises Refused: UNREACHABLE."""
        asked = False

        async def review() -> bool:
            nonlocal asked
            asked = True
            return await self._review(caller, right)

        key = _key(caller, right)
        allowed: bool = await self._sharing.ask(key, REMEMBERED_SECONDS, review, ASKED_AGAIN)
        self._metrics.reviews.labels("access", "no" if asked else "yes").inc()
        return allowed

    async def those(self, caller: Caller, rights: Sequence[Right]) -> list[Right]:
        """That the caller has. Raises Refused: UNREACHABLE."""
        known = [self._sharing.known(_key(caller, one), REMEMBERED_SECONDS) for one in rights]
        unknown = [one for one, answer in zip(rights, known) if answer is UNKNOWN]
        self._metrics.reviews.labels("access", "yes").inc(len(rights) - len(unknown))
        answers: dict[Right, bool] = {}
        if unknown:
            gate = asyncio.Semaphore(REVIEWS_AT_ONCE)

            async def look(right: Right) -> None:
                async with gate:
                    answers[right] = await self.has(caller, right)

            await asyncio.gather(*(look(one) for one in unknown))
        return [
            one
            for one, answer in zip(rights, known)
            if (answers[one] if answer is UNKNOWN else answer)
        ]

    async def need(self, caller: Caller, right: Right) -> None:
        """Raises Refused: FORBIDDEN, whether or not what is asked for is there."""
        if not await self.of_one(caller, right):
            raise Refused("FORBIDDEN", f"{caller.user} may not {right}")

    async def of_one(self, caller: Caller, right: Right) -> bool:
        """Of one name: who may do that in the whole namespace is asked about once for all names there.

        Raises Refused: UNREACHABLE."""
        if right.name and await self.has(caller, replace(right, name="")):
            return True
        return await self.has(caller, right)

    async def _review(self, caller: Caller, right: Right) -> bool:
        attributes: dict[str, Any] = {
            "group": GROUP,
            "resource": right.resource,
            "verb": right.verb,
        }
        for key, value in (
            ("namespace", right.namespace),
            ("name", right.name),
            ("subresource", right.sub),
        ):
            if value:
                attributes[key] = value
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": caller.user,
                "groups": list(caller.groups),
                "uid": caller.uid,
                "extra": {key: list(values) for key, values in caller.extra},
                "resourceAttributes": attributes,
            },
        }
        try:
            found = await self._kubernetes.send(Call("POST", ACCESS_REVIEWS, body=body))
        except (ApiError, Unreachable) as error:
            raise Refused("UNREACHABLE", f"rights cannot be looked up: {error}") from None
        status = found.get("status") or {}
        return status.get("allowed") is True and status.get("denied") is not True


def _key(caller: Caller, right: Right) -> tuple[object, ...]:
    return caller.user, caller.groups, caller.uid, caller.extra, right
