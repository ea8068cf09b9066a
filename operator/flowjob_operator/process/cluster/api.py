"""What the operator asks of the Kubernetes API, as a protocol: a real server and the tests' fake both speak it.

Objects are plain dicts as they are on the wire. Knows resources by their paths and errors by what they mean here;
nothing of HTTP connections (http_api.py) or of what is asked for when."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

Object = dict[str, Any]

FIELD_MANAGER = "flowjob-operator"
"""Owner of the fields that the operator applies."""

Propagation = Literal["Foreground", "Background", "Orphan"]


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind, as paths name it. `group` is empty for the oldest ones."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str = "", sub: str = "") -> str:
        """`namespace` None: all of them; empty: of what is in none."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        within = f"namespaces/{namespace}" if namespace else ""
        return "/".join(part for part in (root, within, self.plural, name, sub) if part)


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What must still be so for a delete to be done; else it is a conflict."""

    uid: str | None = None
    resource_version: str | None = None


ANYTHING: Final = Preconditions()


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list. All pages of one list are of the same `version`, a moment of the server's."""

    items: list[Object]
    version: str


class ApiError(Exception):
    """The server has answered, and not with what was asked for."""

    def __init__(self, status: int, body: Mapping[str, Any], retry_after: float = 0.0) -> None:
        self.status = status
        self.reason = str(body.get("reason") or "")
        self.message = str(body.get("message") or "")
        self.retry_after = retry_after
        """Seconds that the server wants to be left alone"""
        details = body.get("details") or {}
        self.causes: list[Mapping[str, Any]] = list(details.get("causes") or [])
        super().__init__(f"{status} {self.reason}: {self.message}")

    @property
    def is_not_found(self) -> bool:
        return self.status == 404

    @property
    def is_conflict(self) -> bool:
        """Somebody was faster: the decision was made on something old."""
        return self.status == 409 and self.reason != "AlreadyExists"

    @property
    def is_already_there(self) -> bool:
        return self.status == 409 and self.reason == "AlreadyExists"

    @property
    def is_namespace_terminating(self) -> bool:
        """Nothing can be made in the namespace any more: that is no fault of anybody."""
        return self.status == 403 and any(
            cause.get("reason") == "NamespaceTerminating" for cause in self.causes
        )

    @property
    def is_forbidden(self) -> bool:
        """By permissions or quota."""
        return self.status == 403 and not self.is_namespace_terminating

    @property
    def is_gone(self) -> bool:
        """The version of a list is too old."""
        return self.status == 410

    @property
    def is_of_the_request(self) -> bool:
        """The same request will be refused again: what it asks for is wrong. A field that does not exist is answered
        with 500 where an object is applied."""
        wrong_field = self.status == 500 and "failed to create typed patch object" in self.message
        return wrong_field or self.status in (400, 413, 422)

    @property
    def is_a_refusal(self) -> bool:
        """Of what was asked for, not of this moment or of this process: somebody has to do something about it."""
        of_the_moment = (401, 408, 409, 410, 429)
        refused = 400 <= self.status < 500 and self.status not in of_the_moment
        return self.is_of_the_request or (refused and not self.is_namespace_terminating)

    @property
    def is_of_dry_runs(self) -> bool:
        """A webhook that cannot be tried: that says nothing of what it would answer."""
        return self.status == 400 and "does not support dry run" in self.message


class Unreachable(Exception):
    """No answer, or none in time. Whether the request was done is not known."""


class Api(Protocol):
    """All methods raise ApiError and Unreachable."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """`namespace` is empty for what is in none."""
        ...

    def pages(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        labels: str = "",
        fields: str = "",
        size: int = 100,
    ) -> AsyncIterator[Page]:
        """The list, in parts of `size` at most. At least one page, perhaps an empty one."""
        ...

    async def create(
        self, resource: Resource, namespace: str, body: Object, *, dry_run: bool = False
    ) -> Object:
        """A dry run refuses fields that do not exist, too."""
        ...

    async def apply(
        self, resource: Resource, namespace: str, body: Object, *, dry_run: bool = False
    ) -> Object:
        """Server-side, as FIELD_MANAGER, and by force: what this operator applies is its own to say."""
        ...

    async def replace(
        self, resource: Resource, namespace: str, body: Object, *, sub: str = ""
    ) -> Object:
        """A conflict when `metadata.resourceVersion` is not the newest."""
        ...

    async def merge(
        self, resource: Resource, namespace: str, name: str, patch: Object, *, sub: str = ""
    ) -> Object:
        """A merge patch. With `metadata.resourceVersion` in it, a conflict when that is not the newest."""
        ...

    async def write_status(
        self, resource: Resource, namespace: str, name: str, version: str, status: Object
    ) -> Object:
        """Replaces the whole status and nothing else. A conflict when `version` is not the newest."""
        ...

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
        """`grace`: seconds that a pod has to end itself; None: as the pod says."""
        ...

    async def ask(self, path: str, body: Object) -> Object:
        """Posts a review, such as a SelfSubjectAccessReview, and returns what the server made of it."""
        ...
