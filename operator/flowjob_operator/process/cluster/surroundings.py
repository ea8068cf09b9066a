"""What no watch tells, asked when a decision may depend on it: nodes, namespaces, definitions, why pods are not made.

What the operator may not read it does without: the answer is then that nothing is known. Whether a definition goes is
known for certain or the look fails: data is erased by that answer."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from flowjob_operator.process.clock import Clock
from flowjob_operator.process.cluster.api import Api, ApiError, Object, Resource, Unreachable
from flowjob_operator.process.cluster.kinds import EVENTS, NAMESPACES, NODES
from flowjob_operator.process.remembered import Cache, Remembered

CRDS: Final = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition"
)
NODE_SECONDS: Final = 10.0
PROBLEM_SECONDS: Final = 15.0
DISCOVERY_SECONDS: Final = 2.0
"""After the first of its objects is deleted, for the API server to show that a definition goes."""


class Surroundings:
    """Asked by observing.py."""

    def __init__(self, api: Api, clock: Clock, remembered: Remembered) -> None:
        self._api = api
        self._clock = clock
        self._remembered = remembered
        self._nodes: Cache[str, tuple[bool | None]] = Cache(clock, NODE_SECONDS)
        self._problems: Cache[str, str] = Cache(clock, PROBLEM_SECONDS)

    async def node_ready(self, name: str) -> bool | None:
        """None: not known. A node that is not there any more is not ready."""
        known = self._nodes.get(name)
        if known is not None:
            return known[0]
        ready: bool | None = None
        try:
            node = await self._api.get(NODES, _NOWHERE, name)
            conditions = {c["type"]: c for c in (node.get("status") or {}).get("conditions") or []}
            ready = (conditions.get("Ready") or {}).get("status") == "True"
        except ApiError as error:
            ready = False if error.is_not_found else None
        except Unreachable:
            ready = None
        return self._nodes.put(name, (ready,))[0]

    async def is_ending(self, namespace: str) -> bool:
        """Whether the namespace is being deleted, as far as the operator may know."""
        try:
            found = await self._api.get(NAMESPACES, _NOWHERE, namespace)
        except ApiError as error:
            return error.is_not_found
        except Unreachable:
            return False
        ends = found["metadata"].get("deletionTimestamp") is not None
        return self._remembered.ending.put(namespace, ends)

    async def definition_goes(self, resource: Resource, since: datetime) -> bool:
        """Whether the CustomResourceDefinition is being deleted, which deletes all its objects; `since`: when one of
        them was. Raises ApiError and Unreachable: this is never guessed."""
        name = f"{resource.plural}.{resource.group}"
        try:
            found = await self._api.get(CRDS, _NOWHERE, name)
        except ApiError as error:
            if error.is_forbidden:
                return await self._can_nothing_be_made(resource, since)
            if error.is_not_found:
                return True
            raise
        return found["metadata"].get("deletionTimestamp") is not None

    async def _can_nothing_be_made(self, resource: Resource, since: datetime) -> bool:
        """For an operator of some namespaces only. What a server offers everybody may see: it offers to create objects
        until their definition goes."""
        passed = (self._clock.now() - since).total_seconds()
        if passed < DISCOVERY_SECONDS:
            await self._clock.sleep(DISCOVERY_SECONDS - passed)
        try:
            offered = await self._api.get(_offer_of(resource), _NOWHERE, "")
        except ApiError as error:
            if error.is_not_found:
                return True
            raise
        verbs = {each["name"]: each.get("verbs") or [] for each in offered.get("resources") or []}
        return "create" not in verbs.get(resource.plural, ())

    async def why_no_pods(self, found: Object) -> str:
        """The newest warning about the object that its controller could not make a pod; empty: none."""
        uid = found["metadata"]["uid"]
        known = self._problems.get(uid)
        if known is not None:
            return known
        message, newest = "", ""
        try:
            fields = f"involvedObject.uid={uid},type=Warning"
            namespace = found["metadata"]["namespace"]
            async for page in self._api.pages(EVENTS, namespace, fields=fields):
                for event in page.items:
                    at = str(event.get("lastTimestamp") or event.get("eventTime") or "")
                    if event.get("reason") == "FailedCreate" and at >= newest:
                        message, newest = str(event.get("message") or ""), at
        except (ApiError, Unreachable):
            message = ""
        return self._problems.put(uid, message)


_NOWHERE: Final = ""
"""Namespace of what is in none; paths leave it out."""


def _offer_of(resource: Resource) -> Resource:
    return Resource(resource.group, resource.version, "", "APIResourceList")
