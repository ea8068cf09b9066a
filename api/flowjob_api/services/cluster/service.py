"""All FlowJobs of a cluster, as the routers want them: who may see what, from where it comes, and how it is changed.

Puts the parts of this package together; each of them knows one thing. Rights are looked at before anything is looked
up, so that a refusal does not tell what is there."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any, Final, Literal

from flowjob.cluster.identity import JobId
from flowjob.cluster.job_details import DetailsError, JobDetails
from flowjob_api.answering import full
from flowjob_api.auth.callers import Caller
from flowjob_api.problems import Refused
from flowjob_api.rows import Row, row_of
from flowjob_api.schemas.actions import FlowJobWish, SavepointWish, UpgradePlan, UpgradeWish
from flowjob_api.schemas.history import Snapshots
from flowjob_api.schemas.operations import Operation
from flowjob_api.services.cluster import facts, memos, operations, planning, speaking
from flowjob_api.services.cluster.jobmanagers import JobManagers
from flowjob_api.services.cluster.kubernetes import Call, Object
from flowjob_api.services.cluster.mirror import Mirror
from flowjob_api.services.cluster.owning import MANAGER
from flowjob_api.services.cluster.paths import API_VERSION, JOBS, SNAPSHOTS, collection, item
from flowjob_api.services.cluster.rights import Right, Rights
from flowjob_api.services.cluster.wishes import change_of
from flowjob_api.services.cluster.writing import (
    Writing,
    check_removed,
    check_version,
    etag_of,
    marks,
)
from flowjob_api.services.jobs import Asked, Listed, Ref, Versioned
from flowjob_api.services.local_facts import figures_of

LOOK_WITHIN: Final = 2.0
"""Seconds for a JobManager to say how its job is, before its FlowJob's status is shown instead."""


class ClusterJobs:
    """Jobs."""

    mode: Literal["local", "cluster"] = "cluster"

    def __init__(
        self, mirror: Mirror, rights: Rights, managers: JobManagers, writing: Writing
    ) -> None:
        self._mirror = mirror
        self._rights = rights
        self._managers = managers
        self._writing = writing
        self._rows: dict[str, tuple[int, list[Row]]] = {}
        """By namespace, as of a version of it"""

    async def ready(self) -> str | None:
        return None if self._mirror.is_whole else "FlowJobs have not been listed yet"

    async def jobs(self, caller: Caller, namespace: str | None) -> Listed:
        self._check_whole()
        if namespace is not None:
            await self._rights.need(caller, Right("list", namespace))
            allowed = [namespace]
        else:
            allowed = await self._allowed(caller)
        rows = [row for one in allowed for row in self._listed(one)]
        return Listed(rows, tuple((one, self._mirror.versions.get(one)) for one in allowed))

    async def _allowed(self, caller: Caller) -> list[str]:
        """In order."""
        namespaces = self._mirror.namespaces()
        if await self._rights.has(caller, Right("list", "")):
            return namespaces
        rights = [Right("list", one) for one in namespaces]
        return [one.namespace for one in await self._rights.those(caller, rights)]

    def _listed(self, namespace: str) -> list[Row]:
        """Only what has changed is made anew: a list of a thousand is asked for often."""
        versions = self._mirror.versions
        version, known = versions.get(namespace), self._rows.get(namespace)
        if version is None:  # also what there never was: names that are asked for are not kept
            return []
        if len(self._rows) > len(versions):
            self._rows = {one: rows for one, rows in self._rows.items() if one in versions}
        if known is None or known[0] != version:
            kept = self._mirror.kept(JOBS, namespace)
            for one in kept:
                if one.row is None:
                    one.row = row_of(facts.summary_of(one.decoded()))
            known = self._rows[namespace] = version, [one.row for one in kept if one.row]
        return known[1]

    def _check_whole(self) -> None:
        if not self._mirror.is_whole:
            raise Refused("UNREACHABLE", "FlowJobs have not been listed yet: ask again in a moment")

    async def _found(self, caller: Caller, ref: Ref, *, sub: str = "") -> Object:
        """Raises Refused: FORBIDDEN, NOT_FOUND."""
        item(JOBS, ref.namespace, ref.name)  # a name, or nothing
        await self._rights.need(caller, Right("get", ref.namespace, ref.name))
        if sub:
            await self._rights.need(caller, Right("get", ref.namespace, ref.name, sub=sub))
        self._check_whole()
        found = self._mirror.get(JOBS, ref.namespace, ref.name)
        if found is None:
            raise Refused(
                "NOT_FOUND", f"there is no FlowJob {ref.name} in namespace {ref.namespace}"
            )
        return found

    async def job(self, caller: Caller, ref: Ref) -> Versioned:
        found = await self._found(caller, ref)
        try:
            async with asyncio.timeout(LOOK_WITHIN):
                live = figures_of(await self._details(found).job())
        except (DetailsError, TimeoutError):
            live = {}
        # The phase says what the operator does; what the job does is its JobManager's to say.
        phase = (found.get("status") or {}).get("phase")
        for name in ("health", "message", "started_at", "ended_at") + (
            () if phase == "Running" else ("state",)
        ):
            live.pop(name, None)

        def fields() -> dict[str, Any]:
            told = {"operation": operations.current(found)}
            return facts.job_fields(found) | live | told

        return Versioned(facts.job_of(found, fields), etag_of(found))

    async def details(self, caller: Caller, ref: Ref, *, logs: bool = False) -> JobDetails:
        return self._details(await self._found(caller, ref, sub="log" if logs else ""))

    def _details(self, found: Object) -> JobDetails:
        about = found["metadata"]
        return self._managers.of(JobId(about["namespace"], about["name"], about["uid"]))

    async def check(self, caller: Caller, ref: Ref, *, snapshots: bool = False) -> None:
        await self._found(caller, ref)
        if snapshots:
            await self._rights.need(caller, Right("list", ref.namespace, resource=SNAPSHOTS))

    async def snapshots(self, caller: Caller, ref: Ref) -> Snapshots:
        found = await self._found(caller, ref)
        await self._rights.need(caller, Right("list", ref.namespace, resource=SNAPSHOTS))
        objects = [
            facts.snapshot_of(one)
            for one in self._mirror.all(SNAPSHOTS, ref.namespace)
            if facts.is_of_job(one, found) and not facts.verifies(one)
        ]
        try:
            kept = Snapshots.model_validate(full(await self._details(found).snapshots()))
        except DetailsError:
            kept = None
        return facts.merged(objects, kept)

    async def begin(self, caller: Caller, ref: Ref, asked: Asked) -> Operation:
        await self._found(caller, ref)
        speaking.check(asked.wish)
        if isinstance(asked.wish, SavepointWish):
            return await self._take(caller, ref, asked, asked.wish)
        if asked.kind == "DeleteSnapshot":
            return await self._delete(caller, ref, asked)
        if asked.kind == "VerifySnapshot":
            return await self._verify(caller, ref, asked)
        written = await self._writing.change(caller, ref, asked)
        self._mirror.note(JOBS, written.found)
        return operations.of_job(written.found, written.memo.generation)

    async def _take(self, caller: Caller, ref: Ref, asked: Asked, wish: SavepointWish) -> Operation:
        found = await self._writing.read(ref)
        check_version(asked.if_match, found)
        key, what = marks(caller, asked)
        name = wish.name or f"{ref.name}-{(key or os.urandom(8).hex())[:12]}"
        annotations = {memos.KEY_ANNOTATION: f"{key}.{what}"} if key else {}
        body = {
            "apiVersion": API_VERSION,
            "kind": "FlowSnapshot",
            "metadata": {"name": name, "namespace": ref.namespace, "annotations": annotations},
            "spec": {"jobRef": {"name": ref.name}, "type": "Savepoint"},
        }
        return await self._made(caller, ref, body, f"{key}.{what}" if key else "")

    async def _verify(self, caller: Caller, ref: Ref, asked: Asked) -> Operation:
        """By a FlowSnapshot of the same path: a pod of the job's namespace reads all of it, with the job's rights on
        its storage, where this service has none. It goes with the one that it looks at."""
        found = await self._of_job(caller, ref, asked.snapshot)
        seen = facts.snapshot_of(found)
        if seen.phase != "Completed" or not seen.path:
            raise Refused("NOT_NOW", f"{asked.snapshot} is {seen.phase}, and not there to be read")
        key, what = marks(caller, asked)
        annotations = {facts.VERIFIES: asked.snapshot}
        if key:
            annotations[memos.KEY_ANNOTATION] = f"{key}.{what}"
        about = found["metadata"]
        owner = {"apiVersion": API_VERSION, "kind": "FlowSnapshot", "name": about["name"]}
        body = {
            "apiVersion": API_VERSION,
            "kind": "FlowSnapshot",
            "metadata": {
                "name": f"{asked.snapshot[:200]}-check-{(key or os.urandom(8).hex())[:12]}",
                "namespace": ref.namespace,
                "annotations": annotations,
                "ownerReferences": [{**owner, "uid": about["uid"]}],
            },
            "spec": {"jobRef": {"name": ref.name}, "path": seen.path, "deletionPolicy": "Retain"},
        }
        made = await self._made(caller, ref, body, annotations.get(memos.KEY_ANNOTATION, ""))
        await self._tidy(caller, ref, asked.snapshot, made)
        return made

    async def _tidy(self, caller: Caller, ref: Ref, snapshot: str, made: Operation) -> None:
        """What earlier checks of it have found is out of date. Whoever may not delete them leaves them."""
        checks = [
            one
            for one in self._mirror.all(SNAPSHOTS, ref.namespace)
            if facts.verifies(one) == snapshot
        ]
        for one in checks:
            earlier = operations.of_snapshot(one)
            if earlier.state in ("Done", "Failed") and earlier.id != made.id:
                with contextlib.suppress(Refused):
                    await self._remove(caller, one)

    async def _made(self, caller: Caller, ref: Ref, body: Object, mark: str) -> Operation:
        """A FlowSnapshot, once per mark."""
        path, query = collection(SNAPSHOTS, ref.namespace), (("fieldManager", MANAGER),)
        try:
            made = await self._writing.send(Call("POST", path, query, body, token=caller.token))
        except Refused as error:
            if error.code != "EXISTS" or not mark:
                raise
            made = await self._same(ref, body["metadata"]["name"], mark, error)
        self._mirror.note(SNAPSHOTS, made)
        return operations.of_snapshot(made)

    async def _of_job(self, caller: Caller, ref: Ref, name: str) -> Object:
        """A FlowSnapshot of the job, read afresh. Raises Refused."""
        await self._rights.need(caller, Right("get", ref.namespace, name, SNAPSHOTS))
        path = item(SNAPSHOTS, ref.namespace, name)
        job = self._mirror.get(JOBS, ref.namespace, ref.name)
        found = await self._writing.send(Call("GET", path))
        if job is None or not facts.is_of_job(found, job):
            raise Refused("NOT_FOUND", f"{name} is no snapshot of {ref.name}")
        return found

    async def _same(self, ref: Ref, name: str, mark: str, error: Refused) -> Object:
        """The FlowSnapshot that was made under the same key. Raises Refused."""
        made = await self._writing.send(Call("GET", item(SNAPSHOTS, ref.namespace, name)))
        found = (made["metadata"].get("annotations") or {}).get(memos.KEY_ANNOTATION, "")
        if found == mark:
            return made
        if found.partition(".")[0] == mark.partition(".")[0]:
            raise Refused("KEY_REUSED", "another request was made under that Idempotency-Key")
        raise error

    async def _delete(self, caller: Caller, ref: Ref, asked: Asked) -> Operation:
        found = await self._of_job(caller, ref, asked.snapshot)
        uid = str(found["metadata"]["uid"])
        if facts.snapshot_of(found).in_use:
            raise Refused("IN_USE", "the job needs this snapshot to go on")
        await self._remove(caller, found)
        return operations.of_deletion(ref.namespace, asked.snapshot, uid, found)

    async def _remove(self, caller: Caller, snapshot: Object) -> None:
        """This one, not another of its name. Raises Refused."""
        about = snapshot["metadata"]
        path = item(SNAPSHOTS, about["namespace"], about["name"])
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": str(about["uid"])},
        }
        await self._writing.send(Call("DELETE", path, body=body, token=caller.token))

    async def plan(self, caller: Caller, ref: Ref, wish: UpgradeWish) -> UpgradePlan:
        await self._found(caller, ref)
        speaking.check(wish)
        try:
            found, made = await self._writing.rehearse(caller, ref, wish)
        except Refused as error:
            if error.code not in ("INVALID", "FIELD_OWNED"):
                raise
            return planning.refused_plan(
                error.detail, [f"{one.field}: {one.message}" for one in error.errors]
            )
        kept = check_removed(change_of(wish, found, 0), made)
        plan = planning.plan_of(found, made, kept)
        try:
            async with asyncio.timeout(LOOK_WITHIN):
                graph = await self._details(found).graph()
        except (DetailsError, TimeoutError):
            return plan  # nobody knows of its state now
        return plan.model_copy(
            update={"state": planning.moves_of(graph, plan.actions, wish.parallelism)}
        )

    async def submit(
        self, caller: Caller, namespace: str, body: FlowJobWish, asked: Asked
    ) -> Operation:
        speaking.check(body)
        if body.metadata.namespace not in (None, namespace):
            raise Refused("INVALID", "body.metadata.namespace: is not that of the path")
        ref = Ref(namespace, body.metadata.name)
        await self._rights.need(caller, Right("get", namespace, ref.name))
        written = await self._writing.submit(caller, ref, body, asked)
        self._mirror.note(JOBS, written.found)
        return operations.of_job(written.found, written.memo.generation)

    async def operation(self, caller: Caller, id: str) -> Operation:
        kind, _, rest = id.partition(".")
        if kind in (operations.SNAPSHOT, operations.DELETION):
            return await self._snapshot_operation(caller, kind, rest)
        uid, _, generation = id.rpartition(".")
        found = self._mirror.of_uid(uid) if generation.isascii() and generation.isdigit() else None
        if found is None:
            raise _unknown(id)
        about = found["metadata"]
        right = Right("get", about["namespace"], about["name"])
        if not await self._rights.of_one(caller, right) or len(generation) > 12:
            raise _unknown(id)
        if int(generation) > int(about.get("generation") or 0) + 1:
            raise _unknown(id)
        return operations.of_job(found, int(generation))

    async def _snapshot_operation(self, caller: Caller, kind: str, rest: str) -> Operation:
        namespace, _, name = rest.partition(".")
        uid = ""
        if kind == operations.DELETION:
            name, _, uid = name.rpartition(".")
        item(SNAPSHOTS, namespace, name)
        if not await self._rights.of_one(caller, Right("get", namespace, name, SNAPSHOTS)):
            raise _unknown(rest)
        found = self._mirror.get(SNAPSHOTS, namespace, name)
        if kind == operations.DELETION:
            return operations.of_deletion(namespace, name, uid, found)
        if found is None:
            raise _unknown(rest)
        return operations.of_snapshot(found)


def _unknown(id: str) -> Refused:
    return Refused("NOT_FOUND", f"there is no operation {id[:100]}, or you may not see it")
