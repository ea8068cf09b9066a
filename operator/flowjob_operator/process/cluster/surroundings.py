"""What no watch tells, asked when a decision may depend on it: nodes, namespaces, why pods are not made.

Each answer is kept for some seconds. What the operator may not read it does without: the answer is then that nothing is
known."""

from __future__ import annotations

from typing import Final

from flowjob_operator.process.clock import Clock
from flowjob_operator.process.cluster.api import Api, ApiError, Object, Resource, Unreachable
from flowjob_operator.process.cluster.kinds import EVENTS, NAMESPACES, NODES
from flowjob_operator.process.permissions import SNAPSHOTS_CRD
from flowjob_operator.process.remembered import Cache, Remembered

CRDS: Final = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition"
)
NODE_SECONDS: Final = 10.0
PROBLEM_SECONDS: Final = 15.0
CRD_SECONDS: Final = 30.0


class Surroundings:
    """Asked by observing.py."""

    def __init__(self, api: Api, clock: Clock, remembered: Remembered) -> None:
        self._api = api
        self._remembered = remembered
        self._nodes: Cache[str, tuple[bool | None]] = Cache(clock, NODE_SECONDS)
        self._problems: Cache[str, str] = Cache(clock, PROBLEM_SECONDS)
        self._crd: Cache[str, bool] = Cache(clock, CRD_SECONDS)

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
        if self._remembered.ending.get(namespace):
            return True
        try:
            found = await self._api.get(NAMESPACES, _NOWHERE, namespace)
        except ApiError as error:
            return error.is_not_found
        except Unreachable:
            return False
        if found["metadata"].get("deletionTimestamp"):
            return self._remembered.ending.put(namespace, True)
        return False

    async def snapshots_crd_is_going(self) -> bool:
        known = self._crd.get(SNAPSHOTS_CRD)
        if known is not None:
            return known
        going = False
        try:
            found = await self._api.get(CRDS, _NOWHERE, SNAPSHOTS_CRD)
            going = bool(found["metadata"].get("deletionTimestamp"))
        except (ApiError, Unreachable):
            return False
        return self._crd.put(SNAPSHOTS_CRD, going)

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
