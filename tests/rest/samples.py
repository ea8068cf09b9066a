"""A job in the words of cluster/job_details.py, with a value in every field, and a LiveJob that answers with it."""

from __future__ import annotations

import asyncio
import typing
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from flowjob.cluster import control_api, job_details
from flowjob.cluster.control_api import OperationView
from flowjob.cluster.job_details import DetailsError
from flowjob.cluster.local_requests import AnyRequest, PlannedUpgrade, UpgradeJob

AT = "2026-03-01T12:00:00.000Z"


def sample(kind: Any, name: str = "") -> Any:
    """A value of a type, with something in every field."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = typing.get_type_hints(kind)
        return kind(**{f: sample(hints[f], f) for f in kind.__struct_fields__})
    if origin is typing.Literal:
        return args[0]
    if origin is list:
        return [sample(args[0], name)]
    if origin is tuple:
        return (sample(args[0], name),)
    if origin is dict:
        return {"one": sample(args[1], name)}
    if args:
        return sample(next(a for a in args if a is not type(None)), name)
    if kind is str:
        return AT if name == "at" or name.endswith("_at") else f"a {name}"
    return {int: 3, float: 0.5, bool: True}[kind]


class FakeDetails:
    """A JobDetails. `fails`: what every question meets."""

    def __init__(self) -> None:
        self.facts: job_details.JobFacts = msgspec.structs.replace(
            sample(job_details.JobFacts), name="orders",
            view=msgspec.structs.replace(sample(control_api.JobManagerView), state="Running", uid="uid-orders"),
        )  # fmt: skip
        self.fails: DetailsError | None = None
        self.happened: list[job_details.Change] = []
        self.rung = asyncio.Event()
        self.asked: list[str] = []
        self.sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def happen(self, text: str) -> None:
        change = job_details.Change(sequence=len(self.happened) + 1, at=AT, topic="note", text=text)
        self.happened.append(change)
        self.rung.set()
        self.rung = asyncio.Event()

    def _answer(self, kind: Any) -> Any:
        self.asked.append(kind.__name__)
        if self.fails is not None:
            raise self.fails
        return sample(kind)

    async def job(self) -> job_details.JobFacts:
        if self.fails is not None:
            raise self.fails
        return self.facts

    async def graph(self, *, subtasks: bool = False) -> job_details.Graph:
        return self._answer(job_details.Graph)

    async def tasks(self, *, vertex: int | None = None) -> job_details.Tasks:
        return self._answer(job_details.Tasks)

    async def checkpoints(self) -> job_details.Checkpoints:
        return self._answer(job_details.Checkpoints)

    async def checkpoint(self, id: int) -> job_details.CheckpointDetail:
        if id > 100:
            raise DetailsError("UNKNOWN", f"there is no checkpoint {id}")
        return self._answer(job_details.CheckpointDetail)

    async def snapshots(self) -> job_details.Snapshots:
        return self._answer(job_details.Snapshots)

    async def exceptions(self) -> job_details.Exceptions:
        return self._answer(job_details.Exceptions)

    async def metrics(self, query: job_details.MetricsQuery) -> job_details.Metrics:
        return self._answer(job_details.Metrics)

    async def logs(self, query: job_details.LogQuery) -> job_details.Logs:
        return self._answer(job_details.Logs)

    async def configuration(self) -> job_details.Configuration:
        return self._answer(job_details.Configuration)

    async def plan(self) -> job_details.Plan:
        return self._answer(job_details.Plan)

    async def changes(self, *, after: int | None = None, wait: float = 0.0) -> job_details.Changes:
        if after is not None and len(self.happened) <= after and wait:
            waiting = [
                asyncio.ensure_future(self.rung.wait()),
                asyncio.ensure_future(self.sleep(wait)),
            ]
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in waiting:
                    one.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
        found = [c for c in self.happened if c.sequence > (after or 0)]
        return job_details.Changes(changes=found, next=len(self.happened))


class FakeOperations:
    """A JobOperations that keeps what it was asked, and does it when told to."""

    def __init__(self) -> None:
        self.views: dict[str, OperationView] = {}
        self.requests: dict[str, AnyRequest] = {}

    async def ask(self, id: str, request: AnyRequest) -> OperationView:
        self.requests[id] = request
        return self.views.setdefault(id, OperationView(id=id, state="UnderWay"))

    async def look(self, id: str) -> OperationView:
        if id not in self.views:
            raise DetailsError("UNKNOWN", f"operation {id} is not known here")
        return self.views[id]

    def end(self, id: str, **how: Any) -> None:
        self.views[id] = OperationView(id=id, **how)


class FakeLive:
    """A LiveJob."""

    def __init__(self) -> None:
        self.details = FakeDetails()
        self.operations = FakeOperations()
        self.over = asyncio.Event()
        self.rests = False
        self.planned: list[UpgradeJob] = []

    async def plan_upgrade(self, wish: UpgradeJob) -> PlannedUpgrade:
        self.planned.append(wish)
        found: PlannedUpgrade = sample(PlannedUpgrade)
        return found

    async def ended(self) -> None:
        await self.over.wait()
