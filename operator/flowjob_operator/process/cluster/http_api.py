"""The Api over HTTPS, by aiohttp: a generated client of all of Kubernetes would be most of the memory.

Bounds how many requests are under way, and how long each may take. Does not try again: the queue does, with pauses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

from flowjob_operator.process.clock import Clock
from flowjob_operator.process.cluster.api import (
    ANYTHING,
    FIELD_MANAGER,
    ApiError,
    Object,
    Page,
    Preconditions,
    Propagation,
    Resource,
    Unreachable,
)
from flowjob_operator.process.cluster.connection import Connection, Tokens
from flowjob_operator.process.sessions import WithSession

APPLY: Final = "application/apply-patch+yaml"
JSON_PATCH: Final = "application/json-patch+json"
MERGE: Final = "application/merge-patch+json"
JSON: Final = "application/json"

Observer = Callable[[str, str, int, float], None]
"""Told of each request: verb, plural, status (0: no answer), seconds."""


@dataclass(frozen=True, slots=True)
class Bounds:
    requests: int = 48
    """Under way at once"""
    seconds: float = 15.0
    """For one request, the wait for a connection included"""


@dataclass(frozen=True, slots=True)
class _Request:
    verb: str
    resource: str
    method: str
    path: str
    query: dict[str, str]
    body: Object | list[Object] | None = None
    content: str = JSON


class HttpApi(WithSession):
    """An Api. Use it as an async context manager."""

    def __init__(
        self,
        connection: Connection,
        clock: Clock,
        bounds: Bounds = Bounds(),
        observer: Observer | None = None,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._bounds = bounds
        self._observer = observer
        self._tokens = Tokens(connection, clock)

    def _open(self) -> aiohttp.ClientSession:
        secure = self._connection.server.startswith("https:")
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._bounds.requests,
                ssl=self._connection.ssl_context() if secure else False,
                keepalive_timeout=60,
            ),
            timeout=aiohttp.ClientTimeout(total=self._bounds.seconds),
            headers={"User-Agent": FIELD_MANAGER},
        )

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        path = resource.path(namespace, quote(name))
        return await self._send(_Request("get", resource.plural, "GET", path, {}))

    async def pages(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        labels: str = "",
        fields: str = "",
        size: int = 100,
    ) -> AsyncIterator[Page]:
        query = {"limit": str(size)}
        if labels:
            query["labelSelector"] = labels
        if fields:
            query["fieldSelector"] = fields
        while True:
            request = _Request("list", resource.plural, "GET", resource.path(namespace), query)
            found = await self._send(request)
            about = found.get("metadata") or {}
            yield Page(found.get("items") or [], str(about.get("resourceVersion") or ""))
            rest = about.get("continue")
            if not rest:
                return
            query = {**query, "continue": rest}

    async def create(
        self, resource: Resource, namespace: str, body: Object, *, dry_run: bool = False
    ) -> Object:
        query = {"fieldManager": FIELD_MANAGER, **_dry(dry_run)}
        if dry_run:
            query["fieldValidation"] = "Strict"
        path = resource.path(namespace)
        return await self._send(_Request("create", resource.plural, "POST", path, query, body))

    async def apply(
        self, resource: Resource, namespace: str, body: Object, *, dry_run: bool = False
    ) -> Object:
        query = {"fieldManager": FIELD_MANAGER, "force": "true", **_dry(dry_run)}
        path = resource.path(namespace, quote(body["metadata"]["name"]))
        request = _Request("apply", resource.plural, "PATCH", path, query, body, APPLY)
        return await self._send(request)

    async def replace(
        self, resource: Resource, namespace: str, body: Object, *, sub: str = ""
    ) -> Object:
        path = resource.path(namespace, quote(body["metadata"]["name"]), sub)
        query = {"fieldManager": FIELD_MANAGER}
        return await self._send(_Request("replace", resource.plural, "PUT", path, query, body))

    async def merge(
        self, resource: Resource, namespace: str, name: str, patch: Object, *, sub: str = ""
    ) -> Object:
        path = resource.path(namespace, quote(name), sub)
        query = {"fieldManager": FIELD_MANAGER}
        request = _Request("merge", resource.plural, "PATCH", path, query, patch, MERGE)
        return await self._send(request)

    async def write_status(
        self, resource: Resource, namespace: str, name: str, version: str, status: Object
    ) -> Object:
        # A patch, because the spec may be large; one of JSON, because fields that are gone must go.
        patch: list[Object] = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": "/status", "value": status},
        ]
        path = resource.path(namespace, quote(name), "status")
        query = {"fieldManager": FIELD_MANAGER}
        request = _Request("status", resource.plural, "PATCH", path, query, patch, JSON_PATCH)
        return await self._send(request)

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        preconditions: Preconditions = ANYTHING,
        propagation: Propagation = "Background",
        grace: int | None = None,
    ) -> None:
        must = {"uid": preconditions.uid, "resourceVersion": preconditions.resource_version}
        body: Object = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
            "preconditions": {k: v for k, v in must.items() if v is not None},
        }
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        path = resource.path(namespace, quote(name))
        await self._send(_Request("delete", resource.plural, "DELETE", path, {}, body))

    async def ask(self, path: str, body: Object) -> Object:
        return await self._send(_Request("create", path.rsplit("/", 1)[-1], "POST", path, {}, body))

    async def _send(self, request: _Request) -> Object:
        started = self._clock.monotonic()
        status = 0
        try:
            async with self._session.request(
                request.method,
                URL(self._connection.server + request.path + _query(request.query), encoded=True),
                data=None if request.body is None else msgspec.json.encode(request.body),
                headers={**self._tokens.header(), "Content-Type": request.content, "Accept": JSON},
            ) as answer:
                status = answer.status
                data = await answer.read()
                retry_after = _seconds(answer.headers.get("Retry-After"))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            what = f"{request.method} {request.path}: {type(error).__name__} {error}".strip()
            raise Unreachable(what) from None
        finally:
            if self._observer is not None:
                took = self._clock.monotonic() - started
                self._observer(request.verb, request.resource, status, took)
        if status == 401:
            self._tokens.forget()
        found = _decoded(data)
        if status >= 400:
            raise ApiError(status, found, retry_after)
        return found


def _decoded(data: bytes) -> Object:
    """What is not JSON comes from something before the API server, and is a message at best."""
    try:
        found: Any = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return {"message": data[:500].decode(errors="replace")}
    return found if isinstance(found, dict) else {"message": str(found)[:500]}


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}


def _query(query: dict[str, str]) -> str:
    return f"?{urlencode(query)}" if query else ""


def _seconds(retry_after: str | None) -> float:
    try:
        return min(float(retry_after or 0), 60.0)
    except ValueError:  # a date: nobody sends one here
        return 0.0
