"""FlowJobs and FlowSnapshots as they were last seen: listed once, then watched, so that a list costs the API server
nothing.

It may lag behind by a moment: whoever writes reads the object afresh. Rights are not looked at here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Final

from flowjob_api.clock import Clock
from flowjob_api.services.cluster.kubernetes import ApiError, Call, Kubernetes, Object, Unreachable
from flowjob_api.services.cluster.paths import JOBS, SNAPSHOTS, collection

_log = logging.getLogger("flowjob.api")

PAGE: Final = 500
WATCH_SECONDS: Final = 300
LONGEST_PAUSE: Final = 30.0

Key = tuple[str, str]
"""Namespace and name"""


class Mirror:
    """`run` keeps it; `namespaces`: those that are looked at; empty: all."""

    def __init__(
        self, kubernetes: Kubernetes, clock: Clock, namespaces: tuple[str, ...] = ()
    ) -> None:
        self._kubernetes = kubernetes
        self._clock = clock
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self._kept: dict[str, dict[Key, Object]] = {JOBS: {}, SNAPSHOTS: {}}
        self._listed: set[tuple[str, str | None]] = set()
        self.version = 0
        """Grows with every change"""

    @property
    def is_whole(self) -> bool:
        return len(self._listed) == 2 * len(self._namespaces)

    def get(self, plural: str, namespace: str, name: str) -> Object | None:
        return self._kept[plural].get((namespace, name))

    def all(self, plural: str, namespace: str | None = None) -> Iterator[Object]:
        for key in sorted(self._kept[plural]):
            if namespace in (None, key[0]):
                yield self._kept[plural][key]

    def namespaces(self) -> set[str]:
        """That have FlowJobs."""
        return {key[0] for key in self._kept[JOBS]}

    def of_uid(self, uid: str) -> Object | None:
        """The FlowJob of this uid."""
        jobs = self._kept[JOBS].values()
        return next((job for job in jobs if job["metadata"].get("uid") == uid), None)

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            for plural in (JOBS, SNAPSHOTS):
                for namespace in self._namespaces:
                    group.create_task(self._follow(plural, namespace))

    async def _follow(self, plural: str, namespace: str | None) -> None:
        pause = 1.0
        while True:
            try:
                version = await self._list(plural, namespace)
                pause = 1.0
                while version:
                    version = await self._watch(plural, namespace, version)
            except (ApiError, Unreachable) as error:
                _log.warning("%s cannot be followed: %s", plural, error)
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _list(self, plural: str, namespace: str | None) -> str:
        found: dict[Key, Object] = {}
        query: tuple[tuple[str, str], ...] = (("limit", str(PAGE)),)
        while True:
            page = await self._kubernetes.send(Call("GET", collection(plural, namespace), query))
            for one in page.get("items") or ():
                found[_key(one)] = pruned(one)
            about = page.get("metadata") or {}
            if not about.get("continue"):
                break
            query = (("limit", str(PAGE)), ("continue", about["continue"]))
        kept = self._kept[plural]
        for key in [k for k in kept if namespace in (None, k[0]) and k not in found]:
            del kept[key]
        kept.update(found)
        self.version += 1
        self._listed.add((plural, namespace))
        return str(about.get("resourceVersion") or "")

    async def _watch(self, plural: str, namespace: str | None, version: str) -> str:
        """The version to go on from; empty: list again."""
        query = (
            ("watch", "true"), ("allowWatchBookmarks", "true"), ("resourceVersion", version),
            ("timeoutSeconds", str(WATCH_SECONDS)),
        )  # fmt: skip
        async for event in self._kubernetes.lines(
            Call("GET", collection(plural, namespace), query)
        ):
            found = event.get("object") or {}
            match event.get("type"):
                case "ADDED" | "MODIFIED":
                    self.note(plural, found)
                case "DELETED":
                    self._kept[plural].pop(_key(found), None)
                    self.version += 1
                case "BOOKMARK":
                    pass
                case _:
                    return ""
            version = str((found.get("metadata") or {}).get("resourceVersion") or version)
        return version

    def note(self, plural: str, found: Object) -> None:
        """Also what the answer to a write says: the next read has it."""
        self._kept[plural][_key(found)] = pruned(found)
        self.version += 1


def pruned(found: Object) -> Object:
    """Without what is half of its size and told to nobody."""
    about = {k: v for k, v in found.get("metadata", {}).items() if k != "managedFields"}
    annotations = about.get("annotations") or {}
    last = "kubectl.kubernetes.io/last-applied-configuration"
    if last in annotations:
        about["annotations"] = {k: v for k, v in annotations.items() if k != last}
    return {**found, "metadata": about}


def _key(found: Object) -> Key:
    about = found.get("metadata") or {}
    return str(about.get("namespace") or ""), str(about.get("name") or "")
