"""FlowJobs and FlowSnapshots as they were last seen: listed once, then watched, so that a list costs the API server
nothing.

It may lag behind by a moment: whoever writes reads the object afresh. Rights are not looked at here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from flowjob_api.clock import Clock
from flowjob_api.rows import Row
from flowjob_api.services.cluster.kubernetes import ApiError, Call, Kubernetes, Object, Unreachable
from flowjob_api.services.cluster.paths import JOBS, SNAPSHOTS, collection

_log = logging.getLogger("flowjob.api")

PAGE: Final = 200
WATCH_SECONDS: Final = 300
LONGEST_PAUSE: Final = 30.0

Key = tuple[str, str]
"""Namespace and name"""


@dataclass(slots=True)
class Kept:
    """An object as JSON, a tenth of what it needs decoded, and what is made of it once.

    version  the object's resourceVersion
    row      in the list of jobs
    """

    data: bytes
    uid: str
    version: str
    row: Row | None = None

    def decoded(self) -> Object:
        found: Object = msgspec.json.decode(self.data)
        return found


class Mirror:
    """`run` keeps it; `namespaces`: those that are looked at; empty: all."""

    def __init__(
        self, kubernetes: Kubernetes, clock: Clock, namespaces: tuple[str, ...] = ()
    ) -> None:
        self._kubernetes = kubernetes
        self._clock = clock
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self._kept: dict[str, dict[str, dict[str, Kept]]] = {JOBS: {}, SNAPSHOTS: {}}
        self._by_uid: dict[str, Key] = {}
        """FlowJobs"""
        self._listed: set[tuple[str, str | None]] = set()
        self._changes = 0
        self.versions: dict[str, int] = {}
        """Of namespaces that have FlowJobs: another with every change of one"""

    @property
    def is_whole(self) -> bool:
        return len(self._listed) == 2 * len(self._namespaces)

    def get(self, plural: str, namespace: str, name: str) -> Object | None:
        kept = self._kept[plural].get(namespace, {}).get(name)
        return None if kept is None else kept.decoded()

    def kept(self, plural: str, namespace: str) -> Sequence[Kept]:
        """By name."""
        return [one for _, one in sorted(self._kept[plural].get(namespace, {}).items())]

    def all(self, plural: str, namespace: str) -> Iterator[Object]:
        """By name."""
        return (one.decoded() for one in self.kept(plural, namespace))

    def namespaces(self) -> list[str]:
        """That have FlowJobs, in order."""
        return sorted(self._kept[JOBS])

    def of_uid(self, uid: str) -> Object | None:
        """The FlowJob of this uid."""
        key = self._by_uid.get(uid)
        return None if key is None else self.get(JOBS, *key)

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
        found: set[Key] = set()
        query: tuple[tuple[str, str], ...] = (("limit", str(PAGE)),)
        while True:
            page = await self._kubernetes.send(Call("GET", collection(plural, namespace), query))
            for one in page.get("items") or ():
                found.add(_key(one))
                self.note(plural, one)
            about = page.get("metadata") or {}
            if not about.get("continue"):
                break
            query = (("limit", str(PAGE)), ("continue", about["continue"]))
        kept = self._kept[plural]
        there = [(n, name) for n in kept if namespace in (None, n) for name in kept[n]]
        for key in there:
            if key not in found:
                self._drop(plural, key)
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
                    self._drop(plural, _key(found))
                case "BOOKMARK":
                    pass
                case _:
                    return ""
            version = str((found.get("metadata") or {}).get("resourceVersion") or version)
        return version

    def note(self, plural: str, found: Object) -> None:
        """Also what the answer to a write says: the next read has it."""
        namespace, name = key = _key(found)
        about = found.get("metadata") or {}
        uid, version = str(about.get("uid") or ""), str(about.get("resourceVersion") or "")
        within = self._kept[plural].setdefault(namespace, {})
        old = within.get(name)
        if old is not None and version and (old.uid, old.version) == (uid, version):
            return
        within[name] = Kept(msgspec.json.encode(pruned(found)), uid, version)
        if plural == JOBS:
            if old is not None:
                self._by_uid.pop(old.uid, None)
            self._by_uid[uid] = key
            self._changed(namespace)

    def _drop(self, plural: str, key: Key) -> None:
        namespace, name = key
        within = self._kept[plural].get(namespace, {})
        old = within.pop(name, None)
        if old is None:
            return
        if not within:
            del self._kept[plural][namespace]
        if plural == JOBS:
            self._by_uid.pop(old.uid, None)
            self._changed(namespace)
            if not within:
                del self.versions[namespace]

    def _changed(self, namespace: str) -> None:
        self._changes += 1
        self.versions[namespace] = self._changes


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
