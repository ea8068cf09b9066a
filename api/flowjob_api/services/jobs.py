"""The protocol that all routers speak: jobs, wherever they are.

Every method takes who asks, and answers only what they may see; what is not there and what may not be seen look alike.
Raises problems.Refused. Knows no HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from flowjob.cluster.job_details import JobDetails
from flowjob_api.auth.callers import Caller
from flowjob_api.rows import Row
from flowjob_api.schemas.actions import FlowJobWish, UpgradePlan, UpgradeWish
from flowjob_api.schemas.history import Snapshots
from flowjob_api.schemas.jobs import Job
from flowjob_api.schemas.model import Wish
from flowjob_api.schemas.operations import Operation, OperationKind


@dataclass(frozen=True, slots=True)
class Ref:
    """Which job."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A write.

    key       the caller's Idempotency-Key: asked again under it, it is the same operation
    if_match  the ETag that the job must still have
    force     also fields that others own
    snapshot  name of the one it is about
    """

    kind: OperationKind
    wish: Wish
    key: str | None = None
    if_match: str | None = None
    force: bool = False
    snapshot: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """Jobs by namespace and name, all that may be seen. `version` is another whenever one of them is."""

    rows: Sequence[Row]
    version: object


@dataclass(frozen=True, slots=True)
class Versioned:
    """A job, and the ETag that its next write may be bound to."""

    job: Job
    etag: str


class Jobs(Protocol):
    """See above."""

    @property
    def mode(self) -> Literal["local", "cluster"]: ...

    async def ready(self) -> str | None:
        """Why nothing can be answered now; None: it can."""
        ...

    async def jobs(self, caller: Caller, namespace: str | None) -> Listed:
        """Of one namespace, or of all that the caller may list."""
        ...

    async def job(self, caller: Caller, ref: Ref) -> Versioned: ...

    async def details(self, caller: Caller, ref: Ref, *, logs: bool = False) -> JobDetails:
        """To be asked at once: rights are looked at now. `logs`: they are what is wanted."""
        ...

    async def check(self, caller: Caller, ref: Ref, *, snapshots: bool = False) -> None:
        """Refuses whoever may not look at it; `snapshots`: and at those."""
        ...

    async def snapshots(self, caller: Caller, ref: Ref) -> Snapshots: ...

    async def begin(self, caller: Caller, ref: Ref, asked: Asked) -> Operation: ...

    async def plan(self, caller: Caller, ref: Ref, wish: UpgradeWish) -> UpgradePlan:
        """What an upgrade would do; changes nothing."""
        ...

    async def submit(
        self, caller: Caller, namespace: str, body: FlowJobWish, asked: Asked
    ) -> Operation: ...

    async def operation(self, caller: Caller, id: str) -> Operation: ...
