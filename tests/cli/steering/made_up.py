"""Jobs that commands are tried on: nobody is asked, everything that was wished is remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from flowjob.cli.everything import app
from flowjob.cli.exits import exit_with
from flowjob.cli.steering import choosing
from flowjob.client.models import (
    Job,
    JobRef,
    JobSummary,
    Operation,
    OperationResult,
    Progress,
    SnapshotFacts,
    Snapshots,
    StateMove,
    UpgradePlan,
)
from flowjob.cluster.job_details import (
    EdgeFacts,
    Figures,
    Graph,
    LogLine,
    LogQuery,
    Logs,
    VertexFacts,
)
from flowjob.errors import FlowjobError

AT = "2026-03-01T12:00:00.123Z"


def summary(name: str = "orders", namespace: str = "shop", **more: Any) -> JobSummary:
    return JobSummary(namespace=namespace, name=name, state="Running", parallelism=2, **more)


class MadeUpJob:
    """Whatever is asked of it becomes an operation; `wishes` has what was said."""

    def __init__(self, name: str, namespace: str, jobs: MadeUpJobs) -> None:
        self.name = name
        self.namespace = namespace
        self._jobs = jobs

    def __getattr__(self, verb: str) -> Callable[..., Operation]:
        def begin(*said: Any, **given: Any) -> Operation:
            self._jobs.wishes.append((verb, said, given))
            ref = JobRef(namespace=self.namespace, name=self.name)
            return Operation(id="op-1", kind=verb.capitalize(), job=ref, state="Running")

        return begin

    def get(self) -> Job:
        return Job(
            namespace=self.namespace, name=self.name, state="Running", parallelism=2, max_parallelism=128,
            tasks={"Running": 4}, rows_in_per_second=30_000, busiest=0.95, at=AT, message="checkpoints fail",
        )  # fmt: skip

    def graph(self, *, subtasks: bool = False) -> Graph:
        figures = Figures(rows_out_per_second=30_000, busy=0.4)
        vertices = [
            VertexFacts(id=0, name="read", parallelism=2, is_source=True, figures=figures),
            VertexFacts(id=1, name="count", parallelism=2, is_sink=True, busiest=0.95),
        ]
        edges = [EdgeFacts(id=0, source=0, target=1, exchange="hash", keys=["word"])]
        return Graph(
            name=self.name,
            at=AT,
            parallelism=2,
            max_parallelism=128,
            vertices=vertices,
            edges=edges,
        )

    def logs(self, query: LogQuery) -> Logs:
        self._jobs.wishes.append(("logs", (query,), {}))
        return Logs(lines=[LogLine(sequence=1, at=AT, message="hello \x1b[31mred")])

    def follow_logs(self, query: LogQuery) -> Iterator[LogLine]:
        yield from self.logs(query).lines

    def snapshots(self) -> Snapshots:
        one = SnapshotFacts(
            type="Savepoint", name="before", path="s3://b/x", bytes=1_200_000, newest=True
        )
        return Snapshots(snapshots=[one])

    def plan_upgrade(self, wish: Any) -> UpgradePlan:
        self._jobs.wishes.append(("plan_upgrade", (wish,), {}))
        return self._jobs.plan


class MadeUpJobs:
    """Whom a command finds in place of a service."""

    where = "http://it"
    default_namespace: str | None = None

    def __init__(self, *listed: JobSummary) -> None:
        self.listed = list(listed) or [summary()]
        self.wishes: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.result: OperationResult | None = None
        self.fails: FlowjobError | None = None
        self.waited: float | None = -1.0
        move = StateMove(operator="count", uid="c", outcome="Kept", text="7 rows")
        self.plan = UpgradePlan(accepted=True, actions=["Upgrade"], state=[move])

    def close(self) -> None: ...

    def jobs(self, **filters: str | None) -> Iterator[JobSummary]:
        namespace, q = filters.get("namespace"), filters.get("q")
        for job in self.listed:
            if namespace in (None, job.namespace) and (q or "") in job.name:
                yield job

    def job(self, name: str, namespace: str) -> MadeUpJob:
        return MadeUpJob(name, namespace, self)

    def submit(self, body: Any, namespace: str) -> Operation:
        self.wishes.append(("submit", (body, namespace), {}))
        ref = JobRef(namespace=namespace, name=body["metadata"]["name"])
        return Operation(id="op-1", kind="Submit", job=ref, state="Running")

    def wait(
        self, operation: Operation, *, timeout: float | None = None, on_progress: Any = None
    ) -> Operation:
        self.waited = timeout
        if self.fails is not None:
            raise self.fails
        if on_progress is not None:
            for step in ("takes a savepoint", "takes a savepoint", "stores"):
                on_progress(msgspec.structs.replace(operation, progress=Progress(step=step)))
        return msgspec.structs.replace(operation, state="Done", result=self.result)


def put(monkeypatch: pytest.MonkeyPatch, jobs: MadeUpJobs) -> MadeUpJobs:
    """In place of whatever a command would ask."""
    monkeypatch.setattr(choosing, "_chosen", lambda where, tries=None: jobs)
    return jobs


def run(*arguments: str) -> Result:
    """As the console script would: its output, its status."""
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=True)
    if isinstance(result.exception, FlowjobError):
        import io

        said = io.StringIO()
        result.exit_code = exit_with(result.exception, said, as_json="--json" in arguments)
        result.stderr_bytes = (result.stderr_bytes or b"") + said.getvalue().encode()
    elif result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result
