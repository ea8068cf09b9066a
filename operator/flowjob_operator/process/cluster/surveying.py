"""Lists everything that matters, at the start and now and then: what watches cannot tell, they have to be told.

A watch that begins anew does not say what is gone, kinds that are seldom edited are not watched, and a namespace may be
closed to us. So lists fill the mirror, clear it of ghosts, and show what the operator may not read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from flowjob_operator.process.clock import Clock
from flowjob_operator.process.cluster.api import Api, ApiError, Object, Resource
from flowjob_operator.process.cluster.mirror import Mirror, Missing, News, version_of
from flowjob_operator.process.cluster.scopes import LISTED, WATCHED, Selection

log: Final = structlog.get_logger("flowjob_operator.surveying")

EVERYWHERE: Final = None
REMEMBERED_ENDS: Final = 10_000
Scope = str | None
"""A namespace, or EVERYWHERE"""


@dataclass(slots=True)
class Survey:
    """`denied`: why, by scope. What is denied is neither watched nor worked on."""

    open: list[Scope] = field(default_factory=list)
    denied: dict[Scope, str] = field(default_factory=dict)


class Surveyor:
    """`changed` is told of every object that is news, `lost` of every one that is gone."""

    def __init__(
        self,
        api: Api,
        mirror: Mirror,
        selection: Selection,
        changed: Callable[[Resource, Object], None],
        lost: Callable[[Resource, Missing], None],
    ) -> None:
        self._api = api
        self._mirror = mirror
        self._selection = selection
        self._changed = changed
        self._lost = lost

    async def survey(self, scopes: Sequence[Scope]) -> Survey:
        """Raises Unreachable, and ApiError for what is wrong with no single scope."""
        found = Survey()
        for scope in scopes:
            why = await self._one(scope)
            if why is None:
                found.open.append(scope)
            else:
                found.denied[scope] = why
        return found

    async def _one(self, scope: Scope) -> str | None:
        """Why the scope is closed; None: it is open. All that is missing is said at once."""
        missing = []
        for resource in (*WATCHED, *LISTED):
            try:
                await self._list(resource, scope)
            except ApiError as error:
                if error.is_not_found:
                    return f"{resource.plural}.{resource.group} are not known to the API server: install the CRDs"
                if error.status not in (401, 403):
                    raise
                missing.append(f"{resource.plural}.{resource.group}".rstrip("."))
        if not missing:
            return None
        where = "the whole cluster" if scope is None else f"namespace {scope}"
        what = ", ".join(missing)
        return f"may not list {what} in {where}: grant what docs/operator.md lists, or name other namespaces"

    async def _list(self, resource: Resource, scope: Scope) -> None:
        listed: set[str] = set()
        version = 0
        async for page in self._api.pages(resource, scope, labels=self._selection.of(resource)):
            version = version_of({"metadata": {"resourceVersion": page.version}})
            for found in page.items:
                found.setdefault("apiVersion", resource.api_version)
                found.setdefault("kind", resource.kind)
                listed.add(found["metadata"]["uid"])
                if self._mirror.note(resource, found) is not News.NONE:
                    self._changed(resource, found)
        for missing in self._mirror.missing(resource, scope, listed, version):
            self._lost(resource, missing)


class Canary:
    """What watches must tell sooner or later: what the operator has written itself, and what a list has found that no
    watch had told. One that hangs shows by it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._expected: dict[tuple[str, str], tuple[int, float]] = {}
        """By kind and uid: the version, and since when"""
        self._told: dict[tuple[str, str], int] = {}
        """The newest version that a watch has told: often before the request that has made it is answered"""
        self._ended: dict[tuple[str, str], None] = {}
        """Of which nothing will be told any more, oldest first"""

    def expect(self, found: Object) -> None:
        key = (found["kind"], found["metadata"]["uid"])
        version = version_of(found)
        if key in self._ended or self._told.get(key, -1) >= version:
            return
        old = self._expected.get(key)
        since = self._clock.monotonic() if old is None else old[1]
        self._expected[key] = (version, since)

    def seen(self, kind: str, uid: str, version: int) -> None:
        self._told[(kind, uid)] = version
        old = self._expected.get((kind, uid))
        if old is not None and version >= old[0]:
            del self._expected[(kind, uid)]

    def gone(self, kind: str, uid: str) -> None:
        """Its end is told, maybe before the request that has brought it about is answered."""
        self._expected.pop((kind, uid), None)
        self._told.pop((kind, uid), None)
        self._ended[(kind, uid)] = None
        if len(self._ended) > REMEMBERED_ENDS:
            del self._ended[next(iter(self._ended))]

    def clear(self) -> None:
        """The watches begin anew, and tell everything."""
        self._expected.clear()
        self._told.clear()

    def silent_for(self) -> float:
        """Seconds since the oldest thing that should have been told."""
        oldest = min((since for _, since in self._expected.values()), default=None)
        return 0.0 if oldest is None else self._clock.monotonic() - oldest
