"""The door of a cluster's service: tokens that Kubernetes knows, by TokenReview, remembered for some seconds.

The token itself goes on with writes, so that Kubernetes decides and its audit names the person. Sessions of browsers
hold the token sealed."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from importlib.metadata import version
from typing import Any, Final

from fastapi import Request

from flowjob_api.auth.callers import Caller
from flowjob_api.auth.door import Opened
from flowjob_api.auth.forgery import refuse_foreign_origins
from flowjob_api.auth.presenting import LONGEST_TOKEN, presented
from flowjob_api.auth.sessions import Open, Sessions
from flowjob_api.clock import Clock
from flowjob_api.problems import Refused
from flowjob_api.schemas.session import Session
from flowjob_api.service_metrics import ServiceMetrics
from flowjob_api.services.cluster.kubernetes import ApiError, Call, Kubernetes, Unreachable
from flowjob_api.services.cluster.paths import TOKEN_REVIEWS
from flowjob_api.sharing import Sharing

_log = logging.getLogger("flowjob.api")

REMEMBERED_SECONDS: Final = 10.0
ASKED_AGAIN: Final = 7.0
"""What is asked for that long after it was looked up is looked up again, and nobody waits for it."""
REVIEWS_AT_ONCE: Final = 16
MOST_LATELY: Final = 5000
MOST_WAITING: Final = 256
"""Tokens that nobody has seen before, and that wait to be looked up: more are a flood."""


class KubernetesDoor:
    """A Door."""

    def __init__(
        self, kubernetes: Kubernetes, sessions: Sessions, clock: Clock, metrics: ServiceMetrics
    ) -> None:
        self._kubernetes = kubernetes
        self._sessions = sessions
        self._metrics = metrics
        self._sharing = Sharing(clock, most=MOST_LATELY)
        self._gate = asyncio.Semaphore(REVIEWS_AT_ONCE)
        self._waiting = 0
        self._lately: OrderedDict[bytes, None] = OrderedDict()
        """Tokens that were good when they were looked up last"""

    async def caller(self, request: Request) -> Caller:
        given = presented(request, self._sessions)
        found = await self._known(given.token)
        if found is None:
            raise Refused(
                "UNAUTHENTICATED",
                "Kubernetes does not know this token (any more): log in again",
                headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
            )
        return Caller(found.user, found.groups, found.uid, found.extra, given.token, given.via)

    async def still(self, caller: Caller) -> bool:
        found = await self._known(caller.token)
        return found is not None and found.user == caller.user

    async def session(self, request: Request) -> Session:
        opened = self._sessions.of(request)
        found = None if opened is None else await self._known(opened.token)
        if opened is None or found is None:
            return _session(None, None)
        return _session(found, opened)

    async def log_in(self, request: Request, token: str) -> Opened:
        refuse_foreign_origins(request)
        token = token.strip()
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise Refused("UNAUTHENTICATED", "this is no token")
        found = await self._known(token)
        if found is None:
            raise Refused("UNAUTHENTICATED", "Kubernetes does not know this token (any more)")
        opened, cookie = self._sessions.open(request, token)
        return Opened(_session(found, opened), cookie)

    async def log_out(self, request: Request) -> str:
        refuse_foreign_origins(request)
        return self._sessions.close(request)

    async def _known(self, token: str) -> Caller | None:
        """Raises Refused: UNREACHABLE."""
        if not token or len(token) > LONGEST_TOKEN:
            return None
        asked = False

        # Not by the token itself: memory is dumped more often than hashes are reversed.
        key = hashlib.sha256(token.encode()).digest()

        async def review() -> Caller | None:
            nonlocal asked
            asked = True
            return await self._looked_up(key, token)

        found: Caller | None = await self._sharing.ask(key, REMEMBERED_SECONDS, review, ASKED_AGAIN)
        self._metrics.reviews.labels("token", "no" if asked else "yes").inc()
        return found

    async def _looked_up(self, key: bytes, token: str) -> Caller | None:
        """Whoever makes up tokens takes no turn of those who have one: these are never too many. Raises Refused."""
        if key not in self._lately and self._waiting >= MOST_WAITING:
            raise Refused(
                "BUSY", "too many tokens wait to be looked up", headers={"Retry-After": "5"}
            )
        self._waiting += 1
        try:
            async with self._gate:
                found = await self._review(token)
        finally:
            self._waiting -= 1
        self._lately.pop(key, None)
        if found is not None:
            self._lately[key] = None
            if len(self._lately) > MOST_LATELY:
                self._lately.popitem(last=False)
        return found

    async def _review(self, token: str) -> Caller | None:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token},
        }
        try:
            answer = await self._kubernetes.send(Call("POST", TOKEN_REVIEWS, body=body))
        except (ApiError, Unreachable) as error:
            # To whom nobody knows yet, no more is told.
            _log.warning("tokens cannot be looked up: %s", error)
            raise Refused("UNREACHABLE", "tokens cannot be looked up now") from None
        status: dict[str, Any] = answer.get("status") or {}
        user: dict[str, Any] = status.get("user") or {}
        if status.get("authenticated") is not True or not user.get("username"):
            return None
        extra = user.get("extra") or {}
        return Caller(
            user=str(user["username"]),
            groups=tuple(user.get("groups") or ()),
            uid=str(user.get("uid") or ""),
            extra=tuple((key, tuple(values)) for key, values in sorted(extra.items())),
        )


def _session(caller: Caller | None, opened: Open | None) -> Session:
    return Session(
        user=None if caller is None else caller.user,
        groups=[] if caller is None else list(caller.groups),
        mode="cluster",
        authentication="token",
        logged_in=caller is not None,
        csrf_token=None if opened is None else opened.csrf,
        expires_at=None if opened is None else opened.expires_at,
        version=version("flowjob"),
    )
