"""A Kubernetes API over HTTP, as far as the service speaks it: reviews, rights, lists and watches, server-side apply.

Every request is authorised by its own token, so that what is written is written by whoever asked."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

SERVICE = "service-token"
ROOT = "/apis/flowjob.dev/v1beta1"
Object = dict[str, Any]


@dataclass
class FakeKubernetes:
    """`rights`: (user, verb, resource, namespace); `*` is any."""

    tokens: dict[str, str] = field(default_factory=dict)
    rights: set[tuple[str, str, str, str]] = field(default_factory=set)
    objects: dict[tuple[str, str, str], Object] = field(default_factory=dict)
    owners: dict[tuple[str, str, str], dict[str, str]] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """Who, method, path"""
    names: set[tuple[str, str, str, str, str]] = field(default_factory=set)
    """Rights of single names"""
    held: asyncio.Event = field(default_factory=asyncio.Event)
    """Set as long as tokens are looked up without delay"""
    version: int = 100
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    events: list[tuple[str, str, Object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tokens[SERVICE] = "service"
        self.held.set()
        for verb in ("get", "list", "watch"):
            for resource in ("flowjobs", "flowsnapshots"):
                self.rights.add(("service", verb, resource, "*"))
        self.rights.add(("service", "create", "tokenreviews", ""))
        self.rights.add(("service", "create", "subjectaccessreviews", ""))

    def may(self, user: str, verb: str, resource: str, namespace: str) -> bool:
        places = {namespace, "*"} if namespace else {"*", ""}
        return any((user, verb, resource, place) in self.rights for place in places)

    def writes(self) -> list[tuple[str, str, str]]:
        """That were asked of objects, reviews apart."""
        return [r for r in self.requests if r[1] not in ("GET",) and "reviews" not in r[2]]

    def add(self, kind: str, namespace: str, name: str, **fields: Any) -> Object:
        """An object that `kubectl` has made."""
        plural = f"{kind.lower()}s"
        found: Object = {
            "apiVersion": "flowjob.dev/v1beta1",
            "kind": kind,
            "metadata": {"namespace": namespace, "name": name, "uid": f"uid-{name}", "generation": 1,
                         "creationTimestamp": "2026-03-01T11:00:00Z", "annotations": {}, "labels": {}},
            **fields,
        }  # fmt: skip
        key = (plural, namespace, name)
        self.owners[key] = dict.fromkeys(leaves({"spec": fields.get("spec", {})}), "kubectl")
        self._store(key, found, "ADDED")
        return found

    def status(self, namespace: str, name: str, **status: Any) -> None:
        key = ("flowjobs", namespace, name)
        found = copy.deepcopy(self.objects[key])
        found.setdefault("status", {}).update(status)
        self._store(key, found, "MODIFIED")

    def _store(self, key: tuple[str, str, str], found: Object, kind: str) -> Object:
        self.version += 1
        found["metadata"]["resourceVersion"] = str(self.version)
        owners = self.owners.get(key, {})
        found["metadata"]["managedFields"] = [
            {
                "manager": manager,
                "operation": "Apply",
                "fieldsV1": fields_of([path for path, owner in owners.items() if owner == manager]),
            }
            for manager in sorted(set(owners.values()))
        ]
        self.objects[key] = found
        self.events.append((key[0], kind, copy.deepcopy(found)))
        self.changed.set()
        self.changed = asyncio.Event()
        return found

    # -- HTTP

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        user = self.tokens.get(token)
        self.requests.append((user or "?", request.method, request.path))
        if user is None:
            return failure(401, "Unauthorized", "Unauthorized")
        if request.path.endswith("reviews"):
            return await self._review(user, request)
        parts = request.path.removeprefix(ROOT).strip("/").split("/")
        namespace = parts[1] if parts[0] == "namespaces" else ""
        rest = parts[2:] if namespace else parts
        plural, name = rest[0], rest[1] if len(rest) > 1 else ""
        verb = self._verb(request, name)
        if not self.may(user, verb, plural, namespace):
            return failure(403, "Forbidden", f'"{user}" cannot {verb} {plural} in "{namespace}"')
        if verb == "watch":
            return await self._watch(request, plural)
        if verb == "list":
            items = [
                o
                for (p, n, _), o in sorted(self.objects.items())
                if p == plural and namespace in ("", n)
            ]
            return web.json_response(
                {"items": items, "metadata": {"resourceVersion": str(self.version)}}
            )
        key = (plural, namespace, name)
        if verb == "create":
            return await self._create(request, plural, namespace)
        if key not in self.objects and verb != "patch":
            return failure(404, "NotFound", f'{plural} "{name}" not found')
        if verb == "get":
            return web.json_response(self.objects[key])
        if verb == "delete":
            found = self.objects.pop(key)
            self.events.append((plural, "DELETED", found))
            self.changed.set()
            self.changed = asyncio.Event()
            return web.json_response({"kind": "Status", "status": "Success"})
        return await self._apply(request, key)

    def _verb(self, request: web.Request, name: str) -> str:
        if request.method == "GET":
            return "get" if name else "watch" if "watch" in request.query else "list"
        return {"POST": "create", "PATCH": "patch", "DELETE": "delete"}[request.method]

    async def _review(self, user: str, request: web.Request) -> web.Response:
        plural = request.path.rsplit("/", 1)[-1]
        if not self.may(user, "create", plural, ""):
            return failure(403, "Forbidden", "no reviews")
        spec = (await request.json())["spec"]
        if plural == "tokenreviews":
            await self.held.wait()
            found = self.tokens.get(spec["token"])
            status: Object = {"authenticated": found is not None}
            if found is not None:
                status["user"] = {
                    "username": found,
                    "groups": ["system:authenticated"],
                    "uid": found,
                }
            return web.json_response({"status": status})
        asked = spec["resourceAttributes"]
        resource = asked["resource"] + (
            f"/{asked['subresource']}" if "subresource" in asked else ""
        )
        namespace = asked.get("namespace", "")
        allowed = self.may(spec["user"], asked["verb"], resource, namespace)
        one = (spec["user"], asked["verb"], resource, namespace, asked.get("name", ""))
        allowed = allowed or one in self.names
        return web.json_response({"status": {"allowed": allowed}})

    async def _watch(self, request: web.Request, plural: str) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        since, place = int(request.query["resourceVersion"]), 0
        while True:
            waiting = self.changed
            for kind, what, found in self.events[place:]:
                if (
                    kind == plural and int(found["metadata"]["resourceVersion"]) > since
                ) or what == "DELETED":
                    line = json.dumps({"type": what, "object": found})
                    await answer.write(line.encode() + b"\n")
            place = len(self.events)
            await waiting.wait()

    async def _create(self, request: web.Request, plural: str, namespace: str) -> web.Response:
        body = await request.json()
        name = body["metadata"]["name"]
        if (plural, namespace, name) in self.objects:
            return failure(409, "AlreadyExists", f'{plural} "{name}" already exists')
        body["metadata"] |= {"uid": f"uid-{name}", "generation": 1}
        return web.json_response(self._store((plural, namespace, name), body, "ADDED"), status=201)

    async def _apply(self, request: web.Request, key: tuple[str, str, str]) -> web.Response:
        body = await request.json()
        about = body["metadata"]
        if about.get("managedFields"):
            return failure(422, "Invalid", "metadata.managedFields must be nil")
        manager, force = request.query["fieldManager"], request.query["force"] == "true"
        old = self.objects.get(key)
        if old is None:
            about |= {"uid": f"uid-{key[2]}", "generation": 1}
            old = {**body, "spec": {}, "metadata": about}
            created = True
        else:
            created = False
            if (
                about.get("resourceVersion", old["metadata"]["resourceVersion"])
                != old["metadata"]["resourceVersion"]
            ):
                return failure(409, "Conflict", "the object has been modified")
        owners = dict(self.owners.get(key, {}))
        said = leaves(
            {
                "metadata": {"annotations": about.get("annotations", {})},
                "spec": body.get("spec", {}),
            }
        )
        made = copy.deepcopy(old)
        causes = []
        for path, value in said.items():
            owner = owners.get(path, manager)
            if owner != manager and value != at(old, path) and not force:
                causes.append({"reason": "FieldManagerConflict", "field": f".{path}",
                               "message": f'conflict with "{owner}" using flowjob.dev/v1beta1'})  # fmt: skip
            put(made, path, value)
            if force or path not in owners:
                owners[path] = manager
        if causes:
            return failure(409, "Conflict", "Apply failed with conflicts", causes)
        for path in [p for p, owner in owners.items() if owner == manager and p not in said]:
            put(made, path, None)
            del owners[path]
        if not created and made["spec"] != old["spec"]:
            made["metadata"]["generation"] += 1
        if "dryRun" in request.query:
            return web.json_response(made)
        self.owners[key] = owners
        return web.json_response(self._store(key, made, "ADDED" if created else "MODIFIED"))


def failure(
    status: int, reason: str, message: str, causes: list[Object] | None = None
) -> web.Response:
    body = {
        "kind": "Status",
        "reason": reason,
        "message": message,
        "details": {"causes": causes or []},
    }
    return web.json_response(body, status=status)


SEPARATOR = "|"


def leaves(found: Object, before: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in found.items():
        path = f"{before}.{key.replace('.', SEPARATOR)}" if before else key
        if isinstance(value, dict) and value:
            made.update(leaves(value, path))
        elif value != {}:
            made[path] = value
    return made


def parts_of(path: str) -> list[str]:
    return [part.replace(SEPARATOR, ".") for part in path.split(".")]


def at(found: Any, path: str) -> Any:
    for part in parts_of(path):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def put(found: Object, path: str, value: Any) -> None:
    *before, last = parts_of(path)
    for part in before:
        found = found.setdefault(part, {})
    if value is None:
        found.pop(last, None)
    else:
        found[last] = value


def fields_of(paths: list[str]) -> Object:
    made: Object = {}
    for path in paths:
        place = made
        for part in parts_of(path):
            place = place.setdefault(f"f:{part}", {})
    return made


def spec(**job: Any) -> Object:
    return {"image": "registry.example/orders:7",
            "job": {"entrypoint": "orders:job", "parallelism": 2, "state": "Running", **job},
            "checkpoints": {"storage": "s3://bucket/orders"}}  # fmt: skip


RUNNING: Object = {
    "phase": "Running", "observedGeneration": 1, "parallelism": 2, "maxParallelism": 128,
    "job": {"state": "Running", "attempt": 1, "restarts": 0, "startedAt": "2026-03-01T11:00:12Z"},
    "conditions": [{"type": "Ready", "status": "True", "reason": "Running", "message": "",
                    "lastTransitionTime": "2026-03-01T11:00:12Z"}],
    "lastCheckpointTime": "2026-03-01T12:00:00Z", "stateBytes": 1204,
}  # fmt: skip


def names() -> Iterator[str]:
    yield from (f"job-{number:02}" for number in range(100))
