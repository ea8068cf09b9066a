"""The operator over a fake API server, with decisions that tests script, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

from flowjob.cluster.control_api import JobManagerView, OperationView, Request
from flowjob.cluster.identity import JobId
from flowjob.testing import run_virtually
from flowjob_operator.core.actions import Outcome, SnapshotOutcome
from flowjob_operator.core.observed import Observed, SnapshotObserved
from flowjob_operator.identity.randomness import Randomness
from flowjob_operator.process.asking.jobmanagers import Address, Silent
from flowjob_operator.process.assembly import Assembled, World
from flowjob_operator.process.cluster.api import Object
from flowjob_operator.process.cluster.kinds import FLOWJOBS
from flowjob_operator.process.cluster.surveying import Scope
from flowjob_operator.process.cluster.watching import Sink
from flowjob_operator.process.running import Life
from flowjob_operator.process.settings import Settings
from flowjob_operator.process.telling.metrics import Metrics
from flowjob_operator.resources.flowjob_status import FlowJobStatus, Phase
from tests.operator.process.fake_api import FakeApi, FakeWatches
from tests.operator.process.keys import randomness
from tests.operator.process.world import VirtualClock

SPEC = {
    "image": "flowjob-worker:1",
    "job": {"script": "job = 1", "state": "Running", "parallelism": 1},
    "checkpoints": {"storage": "s3://bucket/x"},
    "deletionPolicy": "Retain",
    "upgrade": {"mode": "Savepoint"},
}


def a_job(name: str = "flights", namespace: str = "a", **more: Any) -> Object:
    return {
        "apiVersion": "flowjob.dev/v1beta1",
        "kind": "FlowJob",
        "metadata": {"name": name, "namespace": namespace, "labels": {"team": "x"}},
        "spec": {**SPEC, **more},
    }


def a_snapshot(name: str = "before", job: str = "flights", namespace: str = "a") -> Object:
    return {
        "apiVersion": "flowjob.dev/v1beta1",
        "kind": "FlowSnapshot",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"jobRef": {"name": job}},
    }


def a_pod(name: str, job: str = "flights", component: str = "taskmanager", **status: Any) -> Object:
    labels = {
        "app.kubernetes.io/name": "flowjob",
        "app.kubernetes.io/component": component,
        "flowjob.dev/job": job,
        "flowjob.dev/revision": "1",
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "a", "labels": labels},
        "spec": {"containers": [{"name": "flowjob", "image": "x"}]},
        "status": {"phase": "Running", **status},
    }


JobDecision = Callable[[Observed], Outcome]


def all_is_well(observed: Observed) -> Outcome:
    """Runs, and nothing is to be done."""
    status = observed.job.status.model_copy(
        update={
            "phase": Phase.RUNNING,
            "observed_generation": observed.job.metadata.generation,
        }
    )
    return Outcome(status=status)


@dataclass
class Scripted:
    """Decisions."""

    job: JobDecision = all_is_well
    snapshot: Callable[[SnapshotObserved], SnapshotOutcome] = lambda seen: SnapshotOutcome(
        status=seen.snapshot.status
    )
    seen: list[Observed] = field(default_factory=list)
    snapshots_seen: list[SnapshotObserved] = field(default_factory=list)

    def of_job(self, observed: Observed) -> Outcome:
        self.seen.append(observed)
        return self.job(observed)

    def of_snapshot(self, observed: SnapshotObserved) -> SnapshotOutcome:
        self.snapshots_seen.append(observed)
        return self.snapshot(observed)

    def times(self, name: str) -> int:
        return sum(seen.job.metadata.name == name for seen in self.seen)


@dataclass
class FakeJobManagers:
    """By name of the job: a view, or an error, or seconds after which nothing is answered."""

    views: dict[str, JobManagerView | Exception | float] = field(default_factory=dict)
    operations: dict[str, OperationView] = field(default_factory=dict)
    asked: list[tuple[str, Request]] = field(default_factory=list)
    looks: int = 0

    async def status(
        self, job: JobId, addresses: Sequence[Address]
    ) -> tuple[JobManagerView, Address]:
        self.looks += 1
        found = self.views.get(job.name, Silent("nobody answers"))
        if isinstance(found, float):
            await asyncio.sleep(found)
            raise Silent(f"no answer within {found:g} s")
        if isinstance(found, Exception):
            raise found
        return found, addresses[0]

    async def operation(
        self, job: JobId, addresses: Sequence[Address], id_: str
    ) -> OperationView | None:
        return self.operations.get(id_)

    async def ask(
        self, job: JobId, addresses: Sequence[Address], id_: str, request: Request
    ) -> OperationView:
        found = self.views.get(job.name, Silent("nobody answers"))
        if isinstance(found, Exception):
            raise found
        self.asked.append((id_, request))
        return self.operations.setdefault(id_, OperationView(id=id_, state="UnderWay"))


class Ended(Exception):
    """The process would have ended here."""


@dataclass
class Operator:
    """One life of the process. `api` outlives it."""

    api: FakeApi
    decisions: Scripted = field(default_factory=Scripted)
    managers: FakeJobManagers = field(default_factory=FakeJobManagers)
    settings: dict[str, Any] = field(default_factory=dict)
    identity: str = "replica-0"
    randomness: Randomness = field(default_factory=randomness)
    watches: list[FakeWatches] = field(default_factory=list)
    over: list[Sequence[Scope]] = field(default_factory=list)
    died: str | None = None
    parts: Assembled = field(init=False)

    def __post_init__(self) -> None:
        told = {"namespace": "operators", "identity": self.identity, "image": "flowjob-worker:1"}
        self.clock = VirtualClock()
        world = World(
            api=self.api,
            clock=self.clock,
            randomness=self.randomness,
            decisions=self.decisions,
            asked=lambda _: self.managers,
            watch=self._watch,
            version="1",
        )
        self.parts = Assembled(Settings(**{**told, **self.settings}), world, Metrics())

    def _watch(self, over: Sequence[Scope], sink: Sink) -> FakeWatches:
        made = FakeWatches(self.api, sink)
        self.watches.append(made)
        self.over.append(list(over))
        return made

    def die(self, why: str) -> NoReturn:
        self.died = why
        raise Ended(why)

    @asynccontextmanager
    async def living(self) -> AsyncIterator[Operator]:
        self.life = Life(self.parts, self.api, self.clock, self.die)
        task = asyncio.create_task(self.life.run())
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, Ended):
                await task


def play(scenario: Callable[[], Any]) -> None:
    """In virtual time."""
    run_virtually(scenario())


def status_of(api: FakeApi, name: str = "flights", namespace: str = "a") -> FlowJobStatus:
    return FlowJobStatus.of(api.of(FLOWJOBS, namespace, name).get("status") or {})
