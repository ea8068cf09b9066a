"""What surrounds every request: a bound on its body, a deadline, an id, headers for browsers, metrics, the audit line.

Pure ASGI, outside of everything else, so that it also holds for what no router knows."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowjob_api.clock import Clock
from flowjob_api.problems import Refused, response_of
from flowjob_api.service_metrics import ServiceMetrics
from flowjob_api.settings import Settings

_audit = logging.getLogger("flowjob.audit")

ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
METHODS: Final = WRITES | {"GET", "HEAD", "OPTIONS"}
HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        b"require-trusted-types-for 'script'; trusted-types svelte-trusted-html",
    ),
)


class _TooLate(Exception):
    """The body has not arrived in time."""


class Surrounding:
    """ASGI middleware."""

    def __init__(
        self, app: ASGIApp, settings: Settings, clock: Clock, metrics: ServiceMetrics
    ) -> None:
        self._app = app
        self._settings = settings
        self._clock = clock
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._settings.root_path:
            scope = {**scope, "root_path": self._settings.root_path}
        told = _Told(scope, send, self._clock, self._metrics)
        body = _Body(scope, receive, self._settings, self._clock)
        self._metrics.under_way.inc()
        try:
            if (refused := body.refusal()) is not None:
                await response_of(refused, scope["path"])(scope, receive, told.send)
                return
            try:
                await self._app(scope, body.receive, told.send)
            except Exception:
                if body.refused is None or told.status:
                    raise
            if body.refused is not None and not told.status:
                await response_of(body.refused, scope["path"])(scope, receive, told.send)
        finally:
            self._metrics.under_way.dec()
            told.count()


class _Told:
    """What is answered, on its way out."""

    def __init__(self, scope: Scope, send: Send, clock: Clock, metrics: ServiceMetrics) -> None:
        self._scope = scope
        self._send = send
        self._clock = clock
        self._metrics = metrics
        self._began = clock.monotonic()
        self._seconds = 0.0
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        self._id = given if ID.fullmatch(given) else os.urandom(8).hex().encode()
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._seconds = self._clock.monotonic() - self._began
            headers = [*message.get("headers", ()), *HEADERS, (b"x-request-id", self._id)]
            message = {**message, "headers": headers}
        await self._send(message)

    def count(self) -> None:
        route: Any = self._scope.get("route")
        path = getattr(route, "path", "") or "other"
        method = self._scope["method"] if self._scope["method"] in METHODS else "other"
        self._metrics.requests.labels(method, path, str(self.status)).inc()
        self._metrics.seconds.labels(method, path).observe(self._seconds)
        if method in WRITES:
            self._tell(method)

    def _tell(self, method: str) -> None:
        """The audit line: who has asked for what, and what was answered. Never a body: it may hold secrets."""
        caller = self._scope.get("state", {}).get("caller")
        client = self._scope.get("client") or ("", 0)
        _audit.info(
            "user=%r via=%s from=%s method=%s path=%r status=%s request=%s",
            getattr(caller, "user", None),
            getattr(caller, "via", "-"),
            client[0],
            method,
            self._scope["path"][:500],
            self.status,
            self._id.decode(),
        )


class _Body:
    """A request's body, on its way in."""

    def __init__(self, scope: Scope, receive: Receive, settings: Settings, clock: Clock) -> None:
        self._receive = receive
        self._settings = settings
        self._clock = clock
        self._length = 0
        self._ended = False
        self._until = clock.monotonic() + settings.body_within
        self._headers = dict(scope["headers"])
        self.refused: Refused | None = None

    def refusal(self) -> Refused | None:
        """By its headers."""
        length = self._headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self._settings.largest_body:
            return self._too_large()
        kind = self._headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        has_body = length != b"0" or b"transfer-encoding" in self._headers
        if has_body and kind != b"application/json" and not kind.endswith(b"+json"):
            return Refused("UNSUPPORTED_MEDIA_TYPE", "send the body as application/json")
        return None

    def _too_large(self) -> Refused:
        return Refused(
            "TOO_LARGE", f"a request's body is at most {self._settings.largest_body} bytes long"
        )

    async def receive(self) -> Message:
        if self._ended:
            return await self._receive()
        message = await self._in_time()
        if message["type"] == "http.request":
            self._length += len(message.get("body", b""))
            self._ended = not message.get("more_body", False)
            if self._length > self._settings.largest_body:
                self.refused = self._too_large()
                raise _TooLate
        else:
            self._ended = True
        return message

    async def _in_time(self) -> Message:
        receiving = asyncio.ensure_future(_received(self._receive))
        left = max(0.0, self._until - self._clock.monotonic())
        alarm = asyncio.ensure_future(self._clock.sleep(left))
        try:
            await asyncio.wait([receiving, alarm], return_when=asyncio.FIRST_COMPLETED)
            if not receiving.done():
                self.refused = Refused(
                    "SLOW", f"the body has not arrived within {self._settings.body_within:g} s"
                )
                raise _TooLate
            return receiving.result()
        finally:
            for task in (receiving, alarm):
                task.cancel()
            await asyncio.gather(receiving, alarm, return_exceptions=True)


async def _received(receive: Receive) -> Message:
    return await receive()
