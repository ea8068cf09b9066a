"""What can be asked about jobs, whoever is asked: the service, or the Kubernetes API by kubectl.

Client and JobClient answer all of it; kubernetes_client.py what FlowJobs and pods can tell, and refuses the rest with
what to do instead. It must not know how either asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from flowjob.client.models import Job, JobSummary, Operation, Snapshots, UpgradePlan, UpgradeWish
from flowjob.client.waiting import OnProgress
from flowjob.cluster.job_details import Graph, LogLine, LogQuery, Logs


@dataclass(frozen=True, slots=True)
class RestoreSource:
    """Where state is to come from: exactly one of a FlowSnapshot's name, a path and another job's name."""

    snapshot: str | None = None
    path: str | None = None
    job: str | None = None

    @classmethod
    def of(cls, text: str) -> RestoreSource:
        """`job:other`, `s3://bucket/…`, or the name of a FlowSnapshot."""
        if text.startswith("job:"):
            return cls(job=text.removeprefix("job:"))
        return cls(path=text) if "/" in text else cls(snapshot=text)


class SteeredJob(Protocol):
    """One job. Every method raises ServiceError and its kin."""

    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...
    def get(self) -> Job: ...
    def graph(self, *, subtasks: bool = False) -> Graph: ...
    def logs(self, query: LogQuery = ...) -> Logs: ...
    def follow_logs(self, query: LogQuery = ...) -> Iterator[LogLine]: ...
    def snapshots(self) -> Snapshots: ...
    def savepoint(self, name: str | None = None) -> Operation: ...
    def stop(
        self, *, name: str | None = None, drain: bool = False, timeout: str | None = None
    ) -> Operation: ...
    def upgrade(self, wish: UpgradeWish, *, force: bool = False) -> Operation: ...
    def plan_upgrade(self, wish: UpgradeWish) -> UpgradePlan: ...
    def scale(self, parallelism: int, *, force: bool = False) -> Operation: ...
    def suspend(self, *, drain: bool = False, force: bool = False) -> Operation: ...
    def resume(self, *, parallelism: int | None = None, force: bool = False) -> Operation: ...
    def cancel(self, *, force: bool = False) -> Operation: ...
    def restart(self, reason: str = ..., *, force: bool = False) -> Operation: ...
    def restore(self, source: RestoreSource, *, force: bool = False) -> Operation: ...
    def verify_snapshot(self, name: str) -> Operation: ...
    def delete_snapshot(self, name: str) -> Operation: ...


class Steering(Protocol):
    """All jobs there are at one place."""

    @property
    def where(self) -> str:
        """For people."""
        ...

    @property
    def default_namespace(self) -> str | None:
        """Of a job whose namespace is not said; None: it has to be looked for."""
        ...

    def close(self) -> None: ...
    def jobs(
        self, *, namespace: str | None = None, state: str | None = None, q: str | None = None
    ) -> Iterator[JobSummary]: ...
    def job(self, name: str, namespace: str) -> SteeredJob: ...
    def submit(self, body: Any, namespace: str) -> Operation:
        """`body`: a FlowJob, as `kubectl apply` takes it."""
        ...

    def operation(self, id: str) -> Operation: ...
    def wait(
        self,
        operation: Operation,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Operation: ...
