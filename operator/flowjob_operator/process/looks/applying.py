"""The one place that changes anything in the cluster: actions go in, requests come out, in order.

Objects are applied server-side, as our own field manager; deletes have uid and version as preconditions; what exists
and may not change stays. Called only after the status that actions follow from was written. It never decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import structlog

from flowjob.cluster.identity import JobId
from flowjob_operator.core import actions
from flowjob_operator.core.observed import DryRunAnswer
from flowjob_operator.core.revision import ALL_PARTS, Part, Revision
from flowjob_operator.core.snapshot_turn import revision_at
from flowjob_operator.process.asking.looking import Looking
from flowjob_operator.process.cluster import kinds
from flowjob_operator.process.cluster.api import Api, ApiError, Object, Preconditions, Propagation
from flowjob_operator.process.cluster.mirror import Mirror
from flowjob_operator.process.cluster.revisions import Revisions
from flowjob_operator.process.papers.identities import Identities
from flowjob_operator.process.remembered import Remembered
from flowjob_operator.process.telling.events import Events, Regarding
from flowjob_operator.process.telling.metrics import Metrics
from flowjob_operator.rendering import revisions as rendering
from flowjob_operator.rendering import short_jobs
from flowjob_operator.rendering.owners import goes_with, made_for, owned_by
from flowjob_operator.rendering.platform import Platform
from flowjob_operator.rendering.snapshots import snapshot
from flowjob_operator.rendering.trying import WORKLOADS, trial_pods
from flowjob_operator.resources.kinds import API_VERSION, FlowJob, FlowSnapshot

log: Final = structlog.get_logger("flowjob_operator.applying")


class Stale(Exception):
    """What was decided on is not so any more: look again."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What actions are about. `version`: the resourceVersion that was written or observed last."""

    of: FlowJob | FlowSnapshot
    version: str

    @property
    def kind(self) -> str:
        return "FlowJob" if isinstance(self.of, FlowJob) else "FlowSnapshot"

    @property
    def job(self) -> JobId:
        """The FlowJob, of which `uid` is only known if this is about it."""
        about = self.of.metadata
        if isinstance(self.of, FlowJob):
            return JobId(about.namespace, about.name, about.uid)
        name = self.of.spec.job_ref.name if self.of.spec.job_ref else ""
        return JobId(about.namespace, name, self.of.status.job_uid or "")

    @property
    def regarding(self) -> Regarding:
        about = self.of.metadata
        return Regarding(API_VERSION, self.kind, about.namespace, about.name, about.uid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """By which things are done."""

    api: Api
    mirror: Mirror
    looking: Looking
    revisions: Revisions
    remembered: Remembered
    identities: Identities
    events: Events
    metrics: Metrics
    platform: Platform
    image: str = ""
    selector: str | None = None
    """Labels of what this installation looks after, as kubectl -l; None: nobody has said"""
    noted: Callable[[Object], None] = lambda _: None
    """Told of every object as the server has it after a change"""


class Applier:
    def __init__(self, means: Means) -> None:
        self._by = means

    async def do(self, subject: Subject, action: actions.Action) -> Subject:
        """The subject as it is afterwards. Raises Stale, ApiError, Unreachable, and jobmanagers.Silent and Refused."""
        name = type(action).__name__
        result = "failed"
        try:
            after = await self._do(subject, action)
            result = "done"
        finally:
            self._by.metrics.actions.labels(name, result).inc()
        if not isinstance(action, actions.EmitEvent):
            log.info("done", action=name, **_about(action))
        return after

    async def _do(self, subject: Subject, action: actions.Action) -> Subject:
        match action:
            case actions.EmitEvent():
                self._by.events.emit(
                    subject.regarding, action.type.value, action.reason, action.message
                )
            case actions.SaveRevision():
                rendered = self._rendered(subject.job, action.revision, action.fresh)
                made = rendering.controller_revision(subject.job, action.revision, rendered)
                if why := self._by.revisions.is_taken(subject.job, made["metadata"]["name"]):
                    raise ApiError(422, {"reason": "Invalid", "message": why})
                await self._create(made)
            case actions.ApplyRevision():
                await self._apply_revision(subject.job, action)
            case actions.Delete():
                await self._delete(subject, action)
            case actions.DeletePod():
                await self._delete_pod(subject, action)
            case actions.Ask():
                about = subject.job
                await self._by.looking.ask((about.namespace, about.name), action.id, action.request)
            case actions.CreateSnapshot():
                await self._create(snapshot(subject.of.metadata, action, self._by.selector))
            case actions.StartPreflight():
                restore = action.restore.for_job_file()
                job = subject.job
                short = short_jobs.preflight(
                    job, action.revision, restore, action.deadline, self._by.platform
                )
                await self._start_short([owned_by(each, job) for each in short])
            case actions.StartStorageJob():
                await self._start_storage_job(subject, action)
            case actions.DryRun():
                await self._dry_run(subject, action)
            case actions.EnsureIdentity():
                facts = await self._by.identities.write(subject.job, known=_has_identity(subject))
                self._by.remembered.identities[subject.of.metadata.uid] = facts
            case actions.AddFinalizer() | actions.RemoveFinalizer():
                return await self._finalizer(subject, action)
        return subject

    # -- revisions

    def _rendered(
        self, job: JobId, revision: Revision, fresh: frozenset[Part]
    ) -> rendering.Rendered:
        """Raises Stale when the revision that parts are taken from is not known (yet)."""
        previous = None
        if fresh != ALL_PARTS and revision.previous is not None:
            saved = self._by.revisions.one(job.namespace, job.name, job.uid, revision.previous)
            if saved is None:
                raise Stale(f"revision {revision.previous} is not there")
            previous = saved.rendered
        return rendering.render(job, revision, self._by.platform, fresh, previous)

    async def _apply_revision(self, job: JobId, action: actions.ApplyRevision) -> None:
        saved = self._by.revisions.one(job.namespace, job.name, job.uid, action.number)
        if saved is None:
            raise Stale(f"revision {action.number} is not there")
        now = rendering.Now(
            restore=action.restore.for_job_file(),
            task_managers=action.task_managers,
            owned=action.owned,
        )
        for each in rendering.to_apply(saved.rendered, job, now, action.parts):
            resource = kinds.resource_of(each)
            self._note(await self._by.api.apply(resource, job.namespace, each))

    async def _dry_run(self, subject: Subject, action: actions.DryRun) -> None:
        """What the API server says to every object, and to a pod of each workload; that it does not answer is an
        error, not a problem."""
        job, revision = subject.job, action.revision
        rendered = self._rendered(job, revision, action.fresh)
        by_name = {pod["metadata"]["name"]: pod for pod in trial_pods(rendered)}
        problems = []
        for each in rendered.objects():
            kind, name = each["kind"], each["metadata"]["name"]
            pod = by_name.get(name) if kind in WORKLOADS else None
            if pod is not None and (said := await self._tried(pod, job.namespace, new=True)):
                # The workload itself is answered with less about the same.
                problems.append(f"pods of {kind} {name}: {said}")
            elif said := await self._tried(owned_by(each, job), job.namespace):
                problems.append(f"{kind} {name}: {said}")
        self._by.remembered.dry_runs[subject.of.metadata.uid] = DryRunAnswer(
            revision=revision.number, generation=revision.generation, problems=tuple(problems)
        )

    async def _tried(self, body: Object, namespace: str, *, new: bool = False) -> str:
        """Why the API server would refuse it; empty: it would not. `new`: it is created, not applied."""
        api, resource = self._by.api, kinds.resource_of(body)
        try:
            await (api.create if new else api.apply)(resource, namespace, body, dry_run=True)
        except ApiError as error:
            if error.is_of_dry_runs:
                return ""
            if not error.is_a_refusal:
                raise
            return error.message
        return ""

    # -- single objects

    async def _start_short(self, made: Sequence[Object]) -> None:
        """A Job, and before it what it mounts and what its pod may reach: that may be there from an earlier Job of this
        name, and say what held then. What has the Job's name goes with it."""
        *before, body = made
        for each in before:
            await self._apply(each)
        job = await self._create(body)
        for each in before:
            if job is not None and each["metadata"]["name"] == job["metadata"]["name"]:
                await self._apply(goes_with(each, job))

    async def _apply(self, body: Object) -> None:
        resource = kinds.resource_of(body)
        self._note(await self._by.api.apply(resource, body["metadata"]["namespace"], body))

    async def _create(self, body: Object) -> Object | None:
        """What is there already stays as it is; else as it was made."""
        resource = kinds.resource_of(body)
        try:
            made = await self._by.api.create(resource, body["metadata"]["namespace"], body)
        except ApiError as error:
            if not error.is_already_there:
                raise
            return None
        self._note(made)
        return made

    async def _delete(self, subject: Subject, action: actions.Delete) -> None:
        resource = kinds.resource_of_kind(action.kind)
        namespace = subject.of.metadata.namespace
        seen = self._by.mirror.get(resource, namespace, action.name)
        version = None
        if seen is not None and action.uid in ("", seen["metadata"]["uid"]):
            version = seen["metadata"].get("resourceVersion")
        try:
            await self._by.api.delete(
                resource,
                namespace,
                action.name,
                preconditions=Preconditions(action.uid or None, version),
                propagation=cast(Propagation, action.propagation),
            )
        except ApiError as error:
            _gone_or_raise(error)

    async def _delete_pod(self, subject: Subject, action: actions.DeletePod) -> None:
        namespace = subject.of.metadata.namespace
        try:
            await self._by.api.delete(
                kinds.PODS,
                namespace,
                action.name,
                preconditions=Preconditions(uid=action.uid),
                grace=0 if action.force else None,
            )
        except ApiError as error:
            _gone_or_raise(error)

    async def _start_storage_job(self, subject: Subject, action: actions.StartStorageJob) -> None:
        by, task = self._by, short_jobs.StorageTask(action.name, action.command, action.path)
        job = JobId(subject.of.metadata.namespace, action.job or "", action.job_uid or "")
        revision = action.revision or self._revision_for(job, action)
        if revision is not None:
            made = short_jobs.storage_work(job, task, revision, by.platform)
        elif action.access is not None and action.path is not None:
            made = short_jobs.storage_work_by_access(
                job, task, action.access, by.image, by.platform
            )
        else:
            raise Stale(f"nothing says how the storage of {action.path or job.name} is reached")
        owner = JobId(job.namespace, subject.of.metadata.name, subject.of.metadata.uid)
        # What belongs to an object that is deleted in the foreground is collected at once; this is to come before.
        goes = subject.of.metadata.deletion_timestamp is not None
        marked = [made_for(each, owner) for each in made]
        await self._start_short(
            marked if goes else [owned_by(each, owner, subject.kind) for each in marked]
        )

    def _revision_for(self, job: JobId, action: actions.StartStorageJob) -> Revision | None:
        """The one that stores where the work is to be done: it has the volumes, too. Else the newest, where nothing
        else says how that is reached: a directory is reached by volumes only."""
        if not job.name or not job.uid:
            return None
        saved = self._by.revisions.of_job(job.namespace, job.name, job.uid)
        known, path = [each.revision for each in saved], action.path
        found = None if path is None else revision_at(path, known, action.access)
        by_volume = path is not None and path.startswith("file://")
        if found is None and known and (action.access is None or by_volume):
            found = known[-1]
        return found

    async def _finalizer(
        self, subject: Subject, action: actions.AddFinalizer | actions.RemoveFinalizer
    ) -> Subject:
        about = subject.of.metadata
        there = list(about.finalizers)
        if isinstance(action, actions.AddFinalizer):
            wanted = [*there, action.name] if action.name not in there else there
        else:
            wanted = [name for name in there if name != action.name]
        if wanted == there:
            return subject
        patch = {"metadata": {"finalizers": wanted, "resourceVersion": subject.version}}
        resource = kinds.resource_of_kind(subject.kind)
        try:
            found = await self._by.api.merge(resource, about.namespace, about.name, patch)
        except ApiError as error:
            if error.is_conflict:
                raise Stale("the object has changed") from None
            _gone_or_raise(error)
            return subject
        self._note(found)
        changed = about.model_copy(update={"finalizers": wanted})
        of = subject.of.model_copy(update={"metadata": changed})
        return Subject(of, str(found["metadata"].get("resourceVersion", "")))

    def _note(self, found: Object) -> None:
        self._by.mirror.note(kinds.resource_of(found), found)
        self._by.noted(found)


def _gone_or_raise(error: ApiError) -> None:
    """What is not there counts as deleted; another one of its name is none of ours."""
    if error.is_conflict:
        raise Stale(error.message) from None
    if not error.is_not_found:
        raise error


def _about(action: actions.Action) -> dict[str, Any]:
    """For the log: what it was done to."""
    found: dict[str, Any] = {}
    for name in ("name", "kind", "number", "command", "id", "operation"):
        value = getattr(action, name, None)
        if value not in (None, ""):
            found["object_kind" if name == "kind" else "target" if name == "name" else name] = value
    revision = getattr(action, "revision", None)
    if revision is not None:
        found["revision"] = revision.number
    return found


def _has_identity(subject: Subject) -> bool:
    known = subject.of.status.identity if isinstance(subject.of, FlowJob) else None
    return known is not None and known.serial is not None
