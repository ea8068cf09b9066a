"""An API server in memory, as far as the operator's process uses one: versions, preconditions, watches.

Errors are those of a real one (tests/e2e/api_server runs the same code against it). `before` and `after` make requests
slow, fail, or fail after they were done."""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from flowjob_operator.process.cluster.api import (
    ANYTHING,
    ApiError,
    Object,
    Page,
    Preconditions,
    Propagation,
    Resource,
)
from flowjob_operator.process.cluster.scopes import WATCHED

Place = tuple[str, str, str]
Watcher = Callable[[Resource, str | None, Object], None]


@dataclass
class Request:
    verb: str
    resource: str
    namespace: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} {self.namespace or ''}/{self.name}"


Fault = Callable[[Request], Exception | BaseException | float | None]
"""What happens to a request: an error before it is done, seconds that it takes, or nothing."""


def error(status: int, reason: str, message: str = "", causes: list[Any] | None = None) -> ApiError:
    return ApiError(
        status,
        {"reason": reason, "message": message or reason, "details": {"causes": causes or []}},
    )


def terminating(namespace: str) -> ApiError:
    message = (
        f"unable to create new content in namespace {namespace} because it is being terminated"
    )
    return error(403, "Forbidden", message, [{"reason": "NamespaceTerminating"}])


@dataclass
class FakeApi:
    """An Api."""

    objects: dict[Place, Object] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    before: Fault = lambda _: None
    after: Fault = lambda _: None
    """Happens when the request was done already: the answer is lost"""
    watchers: list[Watcher] = field(default_factory=list)
    resources: dict[str, Resource] = field(default_factory=dict)
    kept_requests: int = 100_000
    _versions: Any = field(default_factory=lambda: itertools.count(1000))
    _version: int = 1000

    # -- what tests do

    def put(self, resource: Resource, found: Object) -> Object:
        """As somebody else: made, or written over."""
        about = found["metadata"]
        place = (resource.plural, about["namespace"], about["name"])
        old = self.objects.get(place)
        made = copy.deepcopy(found)
        made.setdefault("apiVersion", resource.api_version)
        made.setdefault("kind", resource.kind)
        uid = old["metadata"]["uid"] if old else f"uid-{next(self._versions)}"
        generation = old["metadata"].get("generation", 1) if old else 1
        if old is not None and old.get("spec") != made.get("spec"):
            generation += 1
        made["metadata"] = {"uid": uid, **made["metadata"], "generation": generation}
        return self._store(resource, place, made, "ADDED" if old is None else "MODIFIED")

    def take(self, resource: Resource, namespace: str, name: str) -> None:
        """As somebody else: deleted."""
        self._remove(resource, (resource.plural, namespace, name))

    def has(self, resource: Resource, namespace: str, name: str) -> bool:
        return (resource.plural, namespace, name) in self.objects

    def of(self, resource: Resource, namespace: str, name: str) -> Object:
        return self.objects[(resource.plural, namespace, name)]

    def counts(self) -> Counter[str]:
        return Counter(f"{r.verb} {r.resource}" for r in self.requests)

    # -- what the operator does

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        request = await self._begin("get", resource, namespace, name)
        found = self.objects.get((resource.plural, namespace, name))
        if resource.plural == "customresourcedefinitions" and found is None:
            return {"metadata": {"name": name}}  # as long as no test says that it goes
        if found is None:
            raise error(404, "NotFound", f"{resource.plural} {name!r} not found")
        return await self._end(request, found)

    async def pages(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        labels: str = "",
        fields: str = "",
        size: int = 100,
    ) -> AsyncIterator[Page]:
        await self._begin("list", resource, namespace, "")
        items = [
            copy.deepcopy(found)
            for (plural, within, _), found in sorted(self.objects.items())
            if plural == resource.plural
            and namespace in (None, "", within)
            and _selects(labels, found)
            and _has_fields(fields, found)
        ]
        version = str(self._version)
        for n in range(0, max(len(items), 1), size):
            yield Page(items[n : n + size], version)

    async def create(
        self, resource: Resource, namespace: str, body: Object, *, dry_run: bool = False
    ) -> Object:
        place = (resource.plural, namespace, body["metadata"]["name"])
        request = await self._begin("create", resource, namespace, place[2])
        if place in self.objects:
            raise error(409, "AlreadyExists", f"{resource.plural} {place[2]!r} already exists")
        return await self._end(request, self._make(resource, place, body, dry_run))

    async def apply(
        self, resource: Resource, namespace: str, body: Object, *, dry_run: bool = False
    ) -> Object:
        place = (resource.plural, namespace, body["metadata"]["name"])
        request = await self._begin("apply", resource, namespace, place[2])
        old = self.objects.get(place)
        if old is None:
            return await self._end(request, self._make(resource, place, body, dry_run))
        made = _merged(old, body)
        if made == old or dry_run:
            return await self._end(request, made)
        return await self._end(request, self._store(resource, place, made, "MODIFIED"))

    async def replace(
        self, resource: Resource, namespace: str, body: Object, *, sub: str = ""
    ) -> Object:
        place = (resource.plural, namespace, body["metadata"]["name"])
        request = await self._begin("replace", resource, namespace, place[2])
        old = self._there(resource, place)
        self._must_be_newest(old, body["metadata"].get("resourceVersion"))
        if old.get("type") != body.get("type"):
            raise error(422, "Invalid", "type: Invalid value: field is immutable")
        made = {**copy.deepcopy(body), "metadata": {**old["metadata"], **body["metadata"]}}
        return await self._end(request, self._store(resource, place, made, "MODIFIED"))

    async def merge(
        self, resource: Resource, namespace: str, name: str, patch: Object, *, sub: str = ""
    ) -> Object:
        place = (resource.plural, namespace, name)
        request = await self._begin("merge", resource, namespace, name)
        old = self._there(resource, place)
        self._must_be_newest(old, (patch.get("metadata") or {}).get("resourceVersion"))
        made = _merged(old, patch)
        if made["metadata"].get("deletionTimestamp") and not made["metadata"].get("finalizers"):
            self._remove(resource, place)
            return await self._end(request, made)
        return await self._end(request, self._store(resource, place, made, "MODIFIED"))

    async def write_status(
        self, resource: Resource, namespace: str, name: str, version: str, status: Object
    ) -> Object:
        place = (resource.plural, namespace, name)
        request = await self._begin("status", resource, namespace, name)
        old = self._there(resource, place)
        self._must_be_newest(old, version)
        made = {**copy.deepcopy(old), "status": copy.deepcopy(status)}
        return await self._end(request, self._store(resource, place, made, "MODIFIED"))

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
        place = (resource.plural, namespace, name)
        request = await self._begin("delete", resource, namespace, name)
        old = self._there(resource, place)
        if preconditions.uid not in (None, old["metadata"]["uid"]):
            raise error(409, "Conflict", "the uid in the precondition is another one")
        self._must_be_newest(old, preconditions.resource_version)
        if old["metadata"].get("finalizers"):
            about = {**old["metadata"], "deletionTimestamp": "2026-11-21T12:00:00Z"}
            self._store(resource, place, {**old, "metadata": about}, "MODIFIED")
        else:
            self._remove(resource, place)
        await self._end(request, {})

    async def ask(self, path: str, body: Object) -> Object:
        return body

    # -- how

    async def _begin(
        self, verb: str, resource: Resource, namespace: str | None, name: str
    ) -> Request:
        request = Request(verb, resource.plural, namespace, name)
        if len(self.requests) < self.kept_requests:
            self.requests.append(request)
        await asyncio.sleep(0)
        await _happen(self.before(request))
        return request

    async def _end(self, request: Request, found: Object) -> Object:
        await _happen(self.after(request))
        return copy.deepcopy(found)

    def _make(self, resource: Resource, place: Place, body: Object, dry_run: bool) -> Object:
        made = copy.deepcopy(body)
        about = {"uid": f"uid-{next(self._versions)}", "generation": 1, "namespace": place[1]}
        about["creationTimestamp"] = "2026-11-21T12:00:00Z"
        made["metadata"] = {**about, **made["metadata"]}
        return made if dry_run else self._store(resource, place, made, "ADDED")

    def _there(self, resource: Resource, place: Place) -> Object:
        if place not in self.objects:
            raise error(404, "NotFound", f"{resource.plural} {place[2]!r} not found")
        return self.objects[place]

    def _must_be_newest(self, old: Object, version: str | None) -> None:
        if version not in (None, "", old["metadata"]["resourceVersion"]):
            raise error(409, "Conflict", "the object has been modified")

    def _store(self, resource: Resource, place: Place, made: Object, kind: str) -> Object:
        self._version = next(self._versions)
        made["metadata"] = {**made["metadata"], "resourceVersion": str(self._version)}
        self.objects[place] = made
        self.resources[resource.plural] = resource
        self._tell(resource, kind, made)
        return made

    def _remove(self, resource: Resource, place: Place) -> None:
        gone = self.objects.pop(place)
        self._version = next(self._versions)
        about = {**gone["metadata"], "resourceVersion": str(self._version)}
        self._tell(resource, "DELETED", {**gone, "metadata": about})

    def _tell(self, resource: Resource, kind: str, found: Object) -> None:
        for watcher in self.watchers:
            watcher(resource, kind, copy.deepcopy(found))


async def _happen(fault: Exception | BaseException | float | None) -> None:
    if isinstance(fault, float):
        await asyncio.sleep(fault)
    elif fault is not None:
        raise fault


def _merged(old: Any, new: Any) -> Any:
    """A merge patch; for what the operator applies that is the same, but for lists."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return copy.deepcopy(new)
    made = dict(old)
    for name, value in new.items():
        if name == "resourceVersion":
            continue
        if value is None:
            made.pop(name, None)
        else:
            made[name] = _merged(made.get(name), value)
    return made


def _selects(labels: str, found: Object) -> bool:
    there = found["metadata"].get("labels") or {}
    return all(there.get(k) == v for k, _, v in (p.partition("=") for p in labels.split(",") if p))


def _has_fields(fields: str, found: Object) -> bool:
    for part in (p for p in fields.split(",") if p):
        path, _, value = part.partition("=")
        at: Any = found
        for name in path.split("."):
            at = (at or {}).get(name)
        if str(at) != value:
            return False
    return True


class FakeWatches:
    """Watches over a FakeApi: everything that is there, then what happens. `muted` ones tell nothing."""

    def __init__(self, api: FakeApi, sink: Watcher) -> None:
        self._api = api
        self._sink = sink
        self.muted = False
        self.ended: str | None = None
        self.stopped = False

    @property
    def why(self) -> str | None:
        return self.ended

    def start(self) -> None:
        for (plural, _, _), found in list(self._api.objects.items()):
            self._hear(self._api.resources[plural], None, copy.deepcopy(found))
        self._api.watchers.append(self._hear)

    async def stop(self) -> None:
        self.stopped = True
        if self._hear in self._api.watchers:
            self._api.watchers.remove(self._hear)

    def _hear(self, resource: Resource, kind: str | None, found: Object) -> None:
        """Later than the answer to the request that it comes of, as from a real one."""
        if resource in WATCHED and not self.muted and self.ended is None:
            later = 0.0 if kind is None else 0.02
            asyncio.get_running_loop().call_later(later, self._sink, resource, kind, found)
