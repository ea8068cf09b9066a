"""Jobs of a cluster by their objects: reads FlowJobs, FlowSnapshots and pods' logs, writes wishes into specs.

For when the service cannot be reached: rates, graphs and checkpoints are the JobManager's to tell, and are refused here
with what to do. A field that another manager has applied (git, most often) is not taken from it without being told to.
What objects mean is flowjob_objects.py's; how they travel is kubectl.py's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from flowjob.client import object_wishes as wishes
from flowjob.client.clock import Clock, RealClock
from flowjob.client.flowjob_objects import (
    Object,
    job_of,
    leaves,
    operation_of,
    owners,
    part,
    ref_of,
    snapshot_of,
    snapshot_operation,
    summary_of,
)
from flowjob.client.kubectl import Cluster
from flowjob.client.models import (
    Job,
    JobRef,
    JobSummary,
    Operation,
    PlannedChange,
    Snapshots,
    UpgradePlan,
    UpgradeWish,
)
from flowjob.client.pod_logs import log_lines
from flowjob.client.steering import RestoreSource
from flowjob.client.waiting import OnProgress, wait_for
from flowjob.cluster.job_details import Graph, LogLine, LogQuery, Logs
from flowjob.errors import BadRequest, Conflict, NotFound

MANAGER = "flowjob-cli"
"""Under which fields are written."""

JOBS, SNAPSHOTS = "flowjobs.flowjob.dev", "flowsnapshots.flowjob.dev"

MOST_PODS = 256
"""Whose logs are followed at once."""

NEEDS_SERVICE = "The service knows: --service NAMESPACE/NAME through kubectl, or --server URL"


class KubernetesClient:
    """See steering.Steering. `namespace`: of what is asked; None: that of the context, and lists are of all."""

    def __init__(
        self, cluster: Cluster, namespace: str | None = None, clock: Clock | None = None
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._clock: Clock = RealClock() if clock is None else clock

    @property
    def where(self) -> str:
        return self._cluster.where

    @property
    def default_namespace(self) -> str | None:
        if self._namespace is None:
            view = self._cluster.json("config", "view", "--minify")
            contexts = part(view, "contexts") or [{}]
            self._namespace = part(contexts[0], "context", "namespace") or "default"
        return self._namespace

    def close(self) -> None:
        """Nothing is kept open."""

    def jobs(
        self, *, namespace: str | None = None, state: str | None = None, q: str | None = None
    ) -> Iterator[JobSummary]:
        scope = f"--namespace={namespace}" if namespace else "--all-namespaces"
        states = set(state.split(",")) if state else None
        for found in part(self._cluster.json("get", JOBS, scope), "items") or ():
            job = summary_of(found)
            if (states is None or job.state in states) and (not q or q in job.name):
                yield job

    def job(self, name: str, namespace: str) -> KubernetesJob:
        return KubernetesJob(self._cluster, namespace, name)

    def submit(self, body: Any, namespace: str) -> Operation:
        """Raises Conflict when there is one of that name."""
        wanted = {**body, "metadata": {**body.get("metadata", {}), "namespace": namespace}}
        made = self._cluster.json(
            "create", f"--field-manager={MANAGER}", "--filename=-", sent=wanted
        )
        generation = part(made, "metadata", "generation") or 1
        id = f"Submit:{ref_of(made)}/{part(made, 'metadata', 'uid')}.{generation}"
        return operation_of(made, id, "Submit", generation)

    def operation(self, id: str) -> Operation:
        """Of the ids that KubernetesJob gives: `kind:namespace/name/what`."""
        kind, _, rest = id.partition(":")
        namespace, name, what = rest.split("/")
        if kind == "DeleteSnapshot":
            return self._deletion(id, JobRef(namespace=namespace, name=name), what)
        if kind == "Savepoint":
            found = self._get(SNAPSHOTS, namespace, what)
            return snapshot_operation(found, id, JobRef(namespace=namespace, name=name))
        uid, _, generation = what.rpartition(".")
        found = self._get(JOBS, namespace, name)
        if part(found, "metadata", "uid") != uid:
            raise NotFound(f"job {namespace}/{name} was deleted, and another one made of its name")
        return operation_of(found, id, kind, int(generation))

    def wait(
        self,
        operation: Operation,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Operation:
        return wait_for(operation, self.operation, self._clock, timeout, on_progress)

    def _get(self, kind: str, namespace: str, name: str) -> Object:
        found: Object = self._cluster.json("get", kind, f"--namespace={namespace}", "--", name)
        return found

    def _deletion(self, id: str, job: JobRef, snapshot: str) -> Operation:
        operation = Operation(id=id, kind="DeleteSnapshot", job=job, state="Running")
        try:
            self._get(SNAPSHOTS, job.namespace, snapshot)
        except NotFound:
            return msgspec.structs.replace(operation, state="Done")
        return operation


class KubernetesJob:
    """See steering.SteeredJob."""

    def __init__(self, cluster: Cluster, namespace: str, name: str) -> None:
        self.namespace = namespace
        self.name = name
        self._cluster = cluster

    def get(self) -> Job:
        return job_of(self._found())

    def graph(self, *, subtasks: bool = False) -> Graph:
        raise BadRequest(
            "the Kubernetes API does not know a job's graph and rates", next_step=NEEDS_SERVICE
        )

    def logs(self, query: LogQuery = LogQuery()) -> Logs:  # noqa: B008 - it is frozen
        """The newest lines of each pod, by their times."""
        found = list(log_lines(self._pod_lines(query, follow=False), query))
        found.sort(key=lambda line: line.at)
        return Logs(lines=found[-query.limit :])

    def follow_logs(self, query: LogQuery = LogQuery()) -> Iterator[LogLine]:  # noqa: B008
        return log_lines(self._pod_lines(query, follow=True), query)

    def snapshots(self) -> Snapshots:
        listed = self._cluster.json("get", SNAPSHOTS, f"--namespace={self.namespace}")
        mine = [
            found
            for found in part(listed, "items") or ()
            if self.name
            in (part(found, "spec", "jobRef", "name"), part(found, "status", "jobName"))
        ]
        mine.sort(key=lambda f: str(part(f, "metadata", "creationTimestamp")), reverse=True)
        return Snapshots(snapshots=[snapshot_of(found) for found in mine])

    def savepoint(self, name: str | None = None) -> Operation:
        wanted = wishes.savepoint_object(self.namespace, self.name, name)
        made = self._cluster.json("create", "--filename=-", sent=wanted)
        job = JobRef(namespace=self.namespace, name=self.name)
        id = f"Savepoint:{job}/{part(made, 'metadata', 'name')}"
        return snapshot_operation(made, id, job)

    def stop(
        self, *, name: str | None = None, drain: bool = False, timeout: str | None = None
    ) -> Operation:
        if name or timeout:
            raise BadRequest(
                "a savepoint that a cluster's job stops with is named by the operator",
                next_step="Leave --name out; or take one first: flowjob snapshot take --name NAME",
            )
        return self.suspend(drain=drain)

    def suspend(self, *, drain: bool = False, force: bool = False) -> Operation:
        found = self._found()
        return self._change("Suspend", found, wishes.suspended(found, drain=drain), force=force)

    def resume(self, *, parallelism: int | None = None, force: bool = False) -> Operation:
        return self._change("Resume", self._found(), wishes.resumed(parallelism), force=force)

    def cancel(self, *, force: bool = False) -> Operation:
        return self._change("Cancel", self._found(), wishes.cancelled(), force=force)

    def scale(self, parallelism: int, *, force: bool = False) -> Operation:
        return self._change("Scale", self._found(), wishes.scaled(parallelism), force=force)

    def restart(self, reason: str = "", *, force: bool = False) -> Operation:
        found = self._found()
        return self._change("Restart", found, wishes.restarted(found), force=force)

    def restore(self, source: RestoreSource, *, force: bool = False) -> Operation:
        found = self._found()
        return self._change("Restore", found, wishes.restored(found, source), force=force)

    def upgrade(self, wish: UpgradeWish, *, force: bool = False) -> Operation:
        return self._change("Upgrade", self._found(), wishes.upgraded(wish), force=force)

    def plan_upgrade(self, wish: UpgradeWish) -> UpgradePlan:
        """Which fields would change, and whether the API server takes them: what becomes of state is not known here."""
        found = self._found()
        patch = wishes.upgraded(wish)
        changes = [
            PlannedChange(
                field=".".join(path), old=_text(part(found, *path)), new=_text(part(patch, *path))
            )
            for path in leaves(patch)
            if part(found, *path) != part(patch, *path)
        ]
        problems = [
            f"{field} belongs to {owner}: say --force, or change it there"
            for field, owner in _taken(found, patch)
        ]
        if changes:
            try:
                self._patch(found, patch, "--dry-run=server")
            except BadRequest as refused:
                problems.append(refused.message)
        return UpgradePlan(
            accepted=not problems,
            actions=["Upgrade"] if changes else [],
            changes=changes,
            problems=problems,
            notes=[
                "only the API server was asked. Which state moves the service says, or flowjob explain --from"
            ],
        )

    def verify_snapshot(self, name: str) -> Operation:
        raise BadRequest("the Kubernetes API cannot verify a snapshot", next_step=NEEDS_SERVICE)

    def delete_snapshot(self, name: str) -> Operation:
        """Its data goes by its policy."""
        where = f"--namespace={self.namespace}"
        self._cluster.text("delete", SNAPSHOTS, where, "--wait=false", "--", name)
        job = JobRef(namespace=self.namespace, name=self.name)
        id = f"DeleteSnapshot:{job}/{name}"
        return Operation(id=id, kind="DeleteSnapshot", job=job, state="Running")

    def _found(self) -> Object:
        where = (f"--namespace={self.namespace}", "--show-managed-fields")
        found: Object = self._cluster.json("get", JOBS, *where, "--", self.name)
        return found

    def _change(
        self, kind: str, found: Object, patch: Mapping[str, Any], *, force: bool
    ) -> Operation:
        """Only if the object is still as it was found."""
        taken = [] if force else list(_taken(found, patch))
        if taken:
            owned = "; ".join(f"{field} belongs to {owner}" for field, owner in taken)
            raise Conflict(
                f"{owned}, which would set it again",
                reason="FIELD_OWNED",
                next_step="Change it there; or say --force, and have it leave that field alone",
            )
        changed = self._patch(found, patch)
        generation = part(changed, "metadata", "generation") or 0
        id = f"{kind}:{ref_of(changed)}/{part(changed, 'metadata', 'uid')}.{generation}"
        return operation_of(changed, id, kind, generation)

    def _patch(self, found: Object, patch: Mapping[str, Any], *options: str) -> Object:
        version = {"resourceVersion": part(found, "metadata", "resourceVersion")}
        body = msgspec.json.encode({"metadata": version, **patch}).decode()
        changed: Object = self._cluster.json(
            "patch",
            JOBS,
            f"--namespace={self.namespace}",
            "--type=merge",
            f"--field-manager={MANAGER}",
            f"--patch={body}",
            *options,
            "--",
            self.name,
        )
        return changed

    def _pod_lines(self, query: LogQuery, *, follow: bool) -> Iterator[str]:
        return self._cluster.lines(
            "logs",
            f"--namespace={self.namespace}",
            f"--selector=flowjob.dev/job={self.name}",
            "--all-containers",
            "--prefix",
            "--timestamps",
            f"--tail={query.limit}",
            f"--max-log-requests={MOST_PODS}",
            *(["--follow"] if follow else []),
        )


def _taken(found: Object, patch: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Fields that would really change, and who has applied them."""
    changed = [path for path in leaves(patch) if part(found, *path) != part(patch, *path)]
    return owners(found, changed, MANAGER)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
