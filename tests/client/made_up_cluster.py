"""A Kubernetes API as far as the client needs one, behind kubectl's words: objects with versions and generations."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import msgspec

from flowjob.errors import Conflict, NotFound


def flowjob(name: str = "orders", **status: Any) -> dict[str, Any]:
    """A FlowJob that runs undisturbed, unless `status` says otherwise."""
    ready = {"type": "Ready", "status": "True", "reason": "Running", "observedGeneration": 3}
    found: dict[str, Any] = {
        "phase": "Running", "observedGeneration": 3, "parallelism": 2, "maxParallelism": 128,
        "conditions": [ready], "job": {"state": "Running", "restarts": 1, "startedAt": "2026-03-01T11:00:00Z"},
    }  # fmt: skip
    meta = {
        "namespace": "shop",
        "name": name,
        "uid": f"uid-{name}",
        "generation": 3,
        "resourceVersion": "7",
    }
    spec = {
        "image": "orders:7",
        "job": {"entrypoint": "orders:job", "parallelism": 2, "args": {"a": "1"}},
    }
    return {"kind": "FlowJob", "metadata": meta, "spec": spec, "status": found | status}


class MadeUpCluster:
    """Answers like kubectl. `seen`: the commands that changed something."""

    where = "the cluster"

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects = {(o["kind"], o["metadata"]["name"]): o for o in objects}
        self.seen: list[tuple[str, ...]] = []
        self.log: list[str] = []
        self.says: dict[str, str] = {}

    def json(self, *arguments: str, sent: Any = None) -> Any:
        verb, *rest = arguments
        if verb == "config":
            return {"contexts": [{"context": {"namespace": "shop"}}]}
        if verb == "create":
            return self._create(sent)
        kind = {"flowjobs.flowjob.dev": "FlowJob", "flowsnapshots.flowjob.dev": "FlowSnapshot"}[
            rest[0]
        ]
        if "--" not in rest:
            return {"items": [o for (k, _), o in self.objects.items() if k == kind]}
        found = self._found(kind, rest[-1])
        return self._patch(found, arguments) if verb == "patch" else copy.deepcopy(found)

    def text(self, *arguments: str) -> str:
        self.seen.append(arguments)
        return self.says.get(" ".join(arguments[:2]), "")

    def lines(self, *arguments: str) -> Iterator[str]:
        self.seen.append(arguments)
        yield from self.log

    def job(self, name: str = "orders") -> dict[str, Any]:
        return self.objects["FlowJob", name]

    def _found(self, kind: str, name: str) -> dict[str, Any]:
        if (kind, name) not in self.objects:
            raise NotFound(f'the cluster: (NotFound): {kind} "{name}" not found')
        return self.objects[kind, name]

    def _create(self, sent: Any) -> Any:
        made = copy.deepcopy(sent)
        meta = made["metadata"]
        meta.setdefault("name", meta.pop("generateName", "") + "x7k2p")
        if (made["kind"], meta["name"]) in self.objects:
            raise Conflict(f"the cluster: (AlreadyExists): {meta['name']}")
        self.objects[made["kind"], meta["name"]] = made
        return copy.deepcopy(made)

    def _patch(self, found: dict[str, Any], arguments: tuple[str, ...]) -> Any:
        (body,) = [a.removeprefix("--patch=") for a in arguments if a.startswith("--patch=")]
        patch = msgspec.json.decode(body)
        version = patch["metadata"].pop("resourceVersion")
        if version != found["metadata"]["resourceVersion"]:
            raise Conflict("the cluster: (Conflict): the object has been modified")
        changed = copy.deepcopy(found)
        _merge(changed, patch)
        if changed["spec"] != found["spec"]:
            changed["metadata"]["generation"] += 1
        if "--dry-run=server" not in arguments:
            self.seen.append(arguments)
            changed["metadata"]["resourceVersion"] += "1"
            self.objects[found["kind"], found["metadata"]["name"]] = changed
        return copy.deepcopy(changed)


def _merge(into: dict[str, Any], patch: dict[str, Any]) -> None:
    """RFC 7386."""
    for name, value in patch.items():
        if value is None:
            into.pop(name, None)
        elif isinstance(value, dict):
            if not isinstance(into.get(name), dict):
                into[name] = {}
            _merge(into[name], value)
        else:
            into[name] = value
