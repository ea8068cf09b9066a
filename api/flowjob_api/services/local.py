"""The job of this process, or none: answers from its JobManager, asks it by the operations that an operator would use.

Operations are remembered here, in bounded memory, under ids made of the caller's Idempotency-Key: asked again they are
the same. What the JobManager does is its own business."""

from __future__ import annotations

import asyncio
from typing import Literal

from flowjob.cluster.job_details import JobDetails, LiveJob
from flowjob_api.auth.callers import Caller
from flowjob_api.clock import Clock
from flowjob_api.problems import Refused
from flowjob_api.rows import row_of
from flowjob_api.schemas.actions import FlowJobWish, UpgradePlan, UpgradeWish
from flowjob_api.schemas.history import Snapshots
from flowjob_api.schemas.operations import Operation
from flowjob_api.services.jobs import Asked, Listed, Ref, Versioned
from flowjob_api.services.local_facts import LOCAL, etag_of, job_of
from flowjob_api.services.local_operations import LocalOperations, check_possible
from flowjob_api.services.local_wishes import plan_of, upgrade_of


class LocalJobs:
    """Jobs. `live` None: there is none, and the list is empty."""

    mode: Literal["local", "cluster"] = "local"

    def __init__(self, live: LiveJob | None, clock: Clock) -> None:
        self._live = live
        self._operations = None if live is None else LocalOperations(live, clock)
        self._planning = asyncio.Lock()

    async def ready(self) -> str | None:
        return None

    async def jobs(self, caller: Caller, namespace: str | None) -> Listed:
        if self._live is None or namespace not in (None, LOCAL):
            return Listed([], "")
        found = (await self._versioned(self._live)).job
        if not found.name:  # it is being planned
            return Listed([], "")
        row = row_of(found)
        return Listed([row], row.body.decode())

    async def job(self, caller: Caller, ref: Ref) -> Versioned:
        return await self._versioned(await self._found(ref))

    async def _versioned(self, live: LiveJob) -> Versioned:
        assert self._operations is not None
        facts = await live.details.job()
        current = self._operations.current()
        return Versioned(
            job_of(facts, current, rests=live.rests), etag_of(facts, self._operations.asked)
        )

    async def _found(self, ref: Ref) -> LiveJob:
        """Raises Refused: NOT_FOUND."""
        if self._live is None:
            raise Refused(
                "NOT_FOUND", "this service has no job: start one with `flowjob run --web`"
            )
        facts = await self._live.details.job()
        if not facts.name:
            raise Refused(
                "UNREACHABLE",
                "the job is being planned: ask again in a moment",
                headers={"Retry-After": "1"},
            )
        if ref != Ref(LOCAL, facts.name):
            raise Refused("NOT_FOUND", f"there is no job {ref.namespace}/{ref.name} here")
        return self._live

    async def details(self, caller: Caller, ref: Ref, *, logs: bool = False) -> JobDetails:
        return (await self._found(ref)).details

    async def check(self, caller: Caller, ref: Ref, *, snapshots: bool = False) -> None:
        await self._found(ref)

    async def snapshots(self, caller: Caller, ref: Ref) -> Snapshots:
        live = await self._found(ref)
        found = await live.details.snapshots()
        from flowjob_api.answering import full

        return Snapshots.model_validate(full(found))

    async def begin(self, caller: Caller, ref: Ref, asked: Asked) -> Operation:
        live = await self._found(ref)
        assert self._operations is not None
        return await self._operations.begin(ref, await live.details.job(), asked)

    async def plan(self, caller: Caller, ref: Ref, wish: UpgradeWish) -> UpgradePlan:
        live = await self._found(ref)
        check_possible("Upgrade", await live.details.job(), rests=live.rests)
        asked = upgrade_of(wish, "dry-run")
        async with self._planning:  # each imports the program in a process of its own
            found = await live.plan_upgrade(asked)
        return plan_of(found)

    async def submit(
        self, caller: Caller, namespace: str, body: FlowJobWish, asked: Asked
    ) -> Operation:
        raise Refused(
            "UNSUPPORTED",
            "jobs of this machine are started with `flowjob run`; FlowJobs are submitted to the service of a cluster: "
            "name it with --server, or the cluster with --context",
        )

    async def operation(self, caller: Caller, id: str) -> Operation:
        if self._operations is None:
            raise Refused("NOT_FOUND", f"there is no operation {id[:100]} here")
        return await self._operations.look(id)
