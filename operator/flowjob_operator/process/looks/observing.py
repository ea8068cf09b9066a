"""Gathers what decisions look at: the FlowJob itself afresh, the objects around it from the mirror, the JobManager's
word from the background.

One place, so that a decision never depends on two moments by accident more than on these. Decides nothing, changes
nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from flowjob.cluster.identity import JobId
from flowjob_operator.core.asking import asked_of_job
from flowjob_operator.core.observed import (
    JOB_MANAGER,
    TASK_MANAGER,
    Defaults,
    IdentityFacts,
    ObjectKey,
    Observed,
    Operator,
    Pod,
    SavedRevision,
    SnapshotObserved,
    Unreachable,
)
from flowjob_operator.core.revision import Revision
from flowjob_operator.process.asking.jobmanagers import Address
from flowjob_operator.process.asking.looking import Interest, Looking, Seen
from flowjob_operator.process.clock import Clock
from flowjob_operator.process.cluster import kinds
from flowjob_operator.process.cluster.api import Api, ApiError, Object, Resource
from flowjob_operator.process.cluster.mirror import Mirror
from flowjob_operator.process.cluster.reading import child_of, pod_of, runs_of
from flowjob_operator.process.cluster.revisions import Revisions, Saved
from flowjob_operator.process.cluster.scopes import DEFAULTS_CONFIGMAP
from flowjob_operator.process.cluster.surroundings import Surroundings
from flowjob_operator.process.papers.identities import Identities
from flowjob_operator.process.remembered import Remembered
from flowjob_operator.resources.flowjob_status import JobState, Phase, Source
from flowjob_operator.resources.kinds import FlowJob, FlowSnapshot, Metadata

CHILDREN: Final = (
    kinds.DEPLOYMENTS,
    kinds.STATEFUL_SETS,
    kinds.SERVICES,
    kinds.CONFIGMAPS,
    kinds.BUDGETS,
    kinds.NETWORK_POLICIES,
)
API_PORT: Final = 7402
QUIET: Final = frozenset({Phase.RUNNING, Phase.SUSPENDED, Phase.FINISHED, Phase.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where it all comes from."""

    api: Api
    clock: Clock
    mirror: Mirror
    looking: Looking
    revisions: Revisions
    remembered: Remembered
    surroundings: Surroundings
    identities: Identities
    operator: Operator
    succeeded: Callable[[str], frozenset[str]]
    """Installations whose jobs in a namespace are this one's by now"""
    chart: Defaults
    api_port: int = API_PORT


class Observer:
    def __init__(self, sources: Sources) -> None:
        self._from = sources

    async def of_job(self, job: FlowJob) -> Observed:
        """Raises ApiError and api.Unreachable."""
        its = self._from
        namespace, name, uid = job.metadata.namespace, job.metadata.name, job.metadata.uid
        raw_pods = its.mirror.of_job(kinds.PODS, namespace, name)
        pods = await self._pods(raw_pods)
        saved = its.revisions.of_job(namespace, name, uid)
        snapshots = self._snapshots_of(namespace, name)
        seen = await self._seen(job, pods, raw_pods, _asked_of(snapshots))
        short = its.mirror.of_job(kinds.JOBS, namespace, name)
        failures = {j["metadata"]["uid"]: await self._problem(j, raw_pods) for j in short}
        preflights, storage = runs_of(short, raw_pods, lambda j: failures[j["metadata"]["uid"]])
        sources = await self._restore_sources(job)
        return Observed(
            now=its.clock.now(),
            operator=replace(its.operator, succeeds=its.succeeded(namespace)),
            job=job,
            defaults=self._defaults(namespace),
            children=tuple([c async for c in self._children(job, saved, raw_pods)]),
            pods=pods,
            revisions=tuple(_fact(each) for each in saved),
            jobmanager=seen.view,
            operations=dict(seen.operations),
            snapshots=snapshots,
            **sources,
            preflights=preflights,
            storage_runs=storage,
            dry_run=its.remembered.dry_runs.get(uid),
            identity=await self._identity(job, pods),
            refusal=its.remembered.refusals.get(uid, ""),
            namespace_terminating=await self._is_ending(namespace, job.metadata.deletion_timestamp),
            crd_going=await self._definition_goes(kinds.FLOWJOBS, job.metadata),
        )

    async def of_snapshot(self, snapshot: FlowSnapshot) -> SnapshotObserved:
        """Raises ApiError and api.Unreachable."""
        its, about = self._from, snapshot.metadata
        wanted = snapshot.spec.job_ref.name if snapshot.spec.job_ref else None
        job = await self._job(about.namespace, wanted) if wanted else None
        seen = Seen(Unreachable(reason="there is no FlowJob"))
        operation = None
        if job is not None:
            raw = its.mirror.of_job(kinds.PODS, about.namespace, job.metadata.name)
            asked = snapshot.status.operation_id
            others = _asked_of(self._snapshots_of(about.namespace, job.metadata.name))
            ids = tuple(dict.fromkeys((*others, *([asked] if asked else []))))
            seen = await self._seen(job, await self._pods(raw), raw, ids)
            operation = seen.operations.get(asked) if asked else None
        # Work on storage is the snapshot's own: the job may be gone, and was perhaps never named.
        jobs = its.mirror.mentioning(kinds.JOBS, about.namespace, [f'"{about.uid}"'])
        names = [f'"{each["metadata"]["uid"]}"' for each in jobs]
        pods = its.mirror.mentioning(kinds.PODS, about.namespace, names) if jobs else []
        _, storage = runs_of(jobs, pods, lambda _: "")
        return SnapshotObserved(
            now=its.clock.now(),
            operator=its.operator,
            snapshot=snapshot,
            job=job,
            revisions=() if job is None else self._revisions_of(job.metadata),
            users=tuple(await self._users(snapshot)),
            jobmanager=seen.view,
            operation=operation,
            storage_runs=storage,
            refusal=its.remembered.refusals.get(about.uid, ""),
            namespace_terminating=await self._is_ending(about.namespace, about.deletion_timestamp),
            crd_going=await self._definition_goes(kinds.FLOWSNAPSHOTS, about),
        )

    # -- parts

    def _revisions_of(self, job: Metadata) -> tuple[Revision, ...]:
        saved = self._from.revisions.of_job(job.namespace, job.name, job.uid)
        return tuple(each.revision for each in saved)

    async def _definition_goes(self, resource: Resource, about: Metadata) -> bool:
        since = about.deletion_timestamp
        return since is not None and await self._from.surroundings.definition_goes(resource, since)

    async def _pods(self, raw: Iterable[Object]) -> tuple[Pod, ...]:
        """Nodes are asked after where a pod does not do well: a pod that is ready says enough of its node."""
        found = []
        for each in raw:
            pod = pod_of(each)
            if pod.node and not pod.gone and (pod.deleting_since or not pod.ready):
                ready = await self._from.surroundings.node_ready(pod.node)
                pod = pod_of(each, lambda _, ready=ready: ready)  # type: ignore[misc]
            found.append(pod)
        return tuple(found)

    async def _seen(
        self,
        job: FlowJob,
        pods: Iterable[Pod],
        raw: Iterable[Object],
        snapshots: tuple[str, ...],
    ) -> Seen:
        """`snapshots`: ids that the job's snapshots ask under. They ask the same JobManager: one look is for all."""
        about = job.metadata
        ips = {each["metadata"]["name"]: (each.get("status") or {}).get("podIP") for each in raw}
        running = [
            pod
            for pod in pods
            if pod.component == JOB_MANAGER and pod.phase == "Running" and ips.get(pod.name)
        ]
        running.sort(key=lambda pod: (-pod.revision, pod.deleting_since is not None, pod.name))
        interest = Interest(
            job=JobId(about.namespace, about.name, about.uid),
            addresses=tuple(
                Address(str(ips[pod.name]), self._from.api_port, pod.name) for pod in running
            ),
            ids=(*asked_of_job(job), *snapshots),
            busy=_is_busy(job) or bool(snapshots) or any(_has_ended(pod) for pod in pods),
        )
        return await self._from.looking.newest((about.namespace, about.name), interest)

    async def _children(self, job: FlowJob, saved: Iterable[Saved], pods: list[Object]) -> Any:
        about = job.metadata
        by_number = {each.revision.number: each for each in saved}
        deployed = job.status.revisions.current if job.status.revisions else None
        for resource in CHILDREN:
            for found in self._from.mirror.of_job(resource, about.namespace, about.name):
                changed = self._from.revisions.is_changed(found, by_number, deployed)
                problem = await self._problem(found, pods)
                yield child_of(found, about.uid, changed=changed, problem=problem)

    async def _problem(self, found: Object, pods: Iterable[Object]) -> str:
        """Only asked for where pods are missing: it is a request each."""
        wanted = _pods_wanted(found)
        if wanted == 0:
            return ""
        uid = found["metadata"]["uid"]
        own = sum(
            1
            for pod in pods
            for owner in pod["metadata"].get("ownerReferences") or []
            if owner.get("uid") == uid
        )
        if own >= wanted:
            return ""
        return await self._from.surroundings.why_no_pods(found)

    def _defaults(self, namespace: str) -> tuple[Defaults, ...]:
        found = self._from.mirror.get(kinds.CONFIGMAPS, namespace, DEFAULTS_CONFIGMAP)
        if found is None:
            return (self._from.chart,)
        return (self._from.chart, Defaults(source=Source.NAMESPACE, values=found.get("data") or {}))

    def _snapshots_of(self, namespace: str, job: str) -> tuple[FlowSnapshot, ...]:
        found = self._from.mirror.of_job(kinds.FLOWSNAPSHOTS, namespace, job)
        return tuple(FlowSnapshot.of(each) for each in found)

    async def _restore_sources(self, job: FlowJob) -> dict[str, Any]:
        """What spec.job.restoreFrom names; absent where it names nothing that is there."""
        wanted = job.spec.job.restore_from
        if wanted is None:
            return {}
        namespace = job.metadata.namespace
        found: dict[str, Any] = {}
        if wanted.snapshot:
            raw = await self._one(kinds.FLOWSNAPSHOTS, namespace, wanted.snapshot)
            found["source_snapshot"] = None if raw is None else FlowSnapshot.of(raw)
        if wanted.job:
            found["source_job"] = await self._job(namespace, wanted.job)
            found["source_snapshots"] = self._snapshots_of(namespace, wanted.job)
        return found

    async def _job(self, namespace: str, name: str) -> FlowJob | None:
        raw = await self._one(kinds.FLOWJOBS, namespace, name)
        return None if raw is None else FlowJob.of(raw)

    async def _one(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """Of the mirror; one with other labels than ours are selected by is not in it, and asked for."""
        found = self._from.mirror.get(resource, namespace, name)
        if found is not None:
            return found
        try:
            return await self._from.api.get(resource, namespace, name)
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

    async def _users(self, snapshot: FlowSnapshot) -> list[FlowJob]:
        """FlowJobs that may need it. Before it is deleted all are asked for, also those of other labels."""
        about = snapshot.metadata
        if about.deletion_timestamp is None:
            words = [about.name, *([snapshot.status.path] if snapshot.status.path else [])]
            if snapshot.spec.job_ref is not None:
                words.append(snapshot.spec.job_ref.name)
            return [FlowJob.of(each) for each in self._from.mirror.users(about.namespace, words)]
        found = []
        async for page in self._from.api.pages(kinds.FLOWJOBS, about.namespace):
            found += [FlowJob.of(each) for each in page.items]
        return found

    async def _identity(self, job: FlowJob, pods: Iterable[Pod]) -> IdentityFacts | None:
        """Whether its Secret is there is asked while a pod waits for what it mounts: those that run have a copy."""
        its, about = self._from, job.metadata
        known = its.identities.facts(job.status.identity, its.remembered.identities.get(about.uid))
        if known is None or not any(_is_being_made(pod) for pod in pods):
            return known
        if its.remembered.secrets.get(about.uid):
            return known
        if await its.identities.is_missing(JobId(about.namespace, about.name, about.uid)):
            return its.identities.ended(known)
        its.remembered.secrets.put(about.uid, True)
        return known

    async def _is_ending(self, namespace: str, deleted: object) -> bool:
        if deleted is not None:  # data may go by this: what was so a moment ago does not count
            return await self._from.surroundings.is_ending(namespace)
        return bool(self._from.remembered.ending.get(namespace))


def _asked_of(snapshots: Iterable[FlowSnapshot]) -> tuple[str, ...]:
    """Ids of requests that nothing has become of yet."""
    return tuple(
        each.status.operation_id
        for each in snapshots
        if each.status.operation_id
        and each.status.completed_at is None
        and each.status.error is None
    )


def _is_being_made(pod: Pod) -> bool:
    waits = any(each.waiting == "ContainerCreating" for each in pod.containers)
    return pod.phase == "Pending" and waits and pod.deleting_since is None


def _has_ended(pod: Pod) -> bool:
    """A TaskManager's process, whatever the reason: the JobManager knows more of it in a moment."""
    of_job = pod.component == TASK_MANAGER
    return of_job and any(each.ended is not None and not each.ready for each in pod.containers)


def _is_busy(job: FlowJob) -> bool:
    status = job.status
    state = status.job.state if status.job else None
    running = state in (None, JobState.RUNNING) or status.phase in (
        Phase.SUSPENDED,
        Phase.FINISHED,
        Phase.CANCELLED,
        Phase.FAILED,
    )
    return (
        status.operation is not None
        or status.phase not in (*QUIET, Phase.FAILED)
        or not running
        or job.metadata.deletion_timestamp is not None
    )


def _fact(saved: Saved) -> SavedRevision:
    return SavedRevision(
        revision=saved.revision,
        objects=tuple(
            ObjectKey(kind=each["kind"], name=each["metadata"]["name"])
            for each in saved.rendered.objects()
        ),
        name=saved.name,
        uid=saved.uid,
        created_at=saved.created_at,
    )


def _pods_wanted(found: Object) -> int:
    if found["kind"] == "StatefulSet":
        return int((found.get("spec") or {}).get("replicas") or 0)
    if found["kind"] == "Job":
        status = found.get("status") or {}
        return 0 if status.get("succeeded") or status.get("failed") else 1
    return 0
