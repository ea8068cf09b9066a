"""Answers for a job in this process: `JobDetails` and `JobOperations` of cluster/job_details.py.

The JobManager's host says who leads and what the state is, its observer what has been; this puts questions and answers
together. It must not know HTTP."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import msgspec.structs

from flowjob.cluster.control_api import NotLeader, OperationView
from flowjob.cluster.job_details import (
    LONGEST_WAIT,
    METRICS,
    Changes,
    CheckpointDetail,
    Checkpoints,
    Configuration,
    DetailsError,
    Exceptions,
    Graph,
    JobDetails,
    JobFacts,
    JobOperations,
    LogQuery,
    Logs,
    Metrics,
    MetricsQuery,
    Plan,
    Series,
    Snapshots,
    Tasks,
)
from flowjob.cluster.local_requests import AnyRequest
from flowjob.errors import StorageError
from flowjob.runtime.jobmanager.hosting import Host
from flowjob.runtime.jobmanager.operating import Operations
from flowjob.runtime.jobmanager.request import JobRequest
from flowjob.runtime.observing.checkpoint_view import checkpoints_of, detail_of
from flowjob.runtime.observing.configuration import configuration_of
from flowjob.runtime.observing.graph_view import graph_of, states_of, tasks_of
from flowjob.runtime.observing.kept_snapshots import KeptSnapshots
from flowjob.runtime.observing.observer import Observer
from flowjob.runtime.observing.time_series import (
    COARSE_STEP,
    FINE_STEP,
    NAMES,
    WHOLE_JOB,
    TimeSeries,
    whole_job,
)


class ObservedJob:
    """A job_details.JobDetails. `local`: see JobFacts."""

    def __init__(self, host: Host, *, local: bool = False) -> None:
        self._host = host
        self._local = local
        self._kept = KeptSnapshots(host.env)

    async def job(self) -> JobFacts:
        observer = self._observer()
        request, tables = observer.request, list(observer.tables.values())
        if request is None or observer.conductor is None:
            view = self._host.view()
            return JobFacts(name="", run="", view=view, at=observer.now, local=self._local)
        figures = dict(zip(NAMES, whole_job(tables, None)))
        lag, state = figures["lag"], figures["stateBytes"]
        job = observer.conductor.job
        return JobFacts(
            name=job.name,
            run=job.run_id,
            view=self._host.view(),
            at=observer.now,
            digest=job.digest,
            local=self._local,
            vertices=len(tables),
            tasks=dict(Counter(states_of(observer.conductor).values())),
            rows_in_per_second=round(sum(table.rate("read") for table in tables), 3),
            rows_out_per_second=round(sum(table.rate("written") for table in tables), 3),
            busiest=_share(max((table.share("busy_us") for table in tables), default=0.0)),
            most_backpressured=_share(
                max((table.share("backpressured_us") for table in tables), default=0.0)
            ),
            lag_seconds=None if math.isnan(lag) else round(float(lag), 3),
            state_bytes=None if math.isnan(state) else int(state),
            exceptions=observer.exceptions.count,
        )

    async def graph(self, *, subtasks: bool = False) -> Graph:
        return graph_of(self._observer(), subtasks=subtasks)

    async def tasks(self, *, vertex: int | None = None) -> Tasks:
        observer = self._observer()
        if vertex is not None and vertex not in observer.tables:
            raise DetailsError("UNKNOWN", f"the job has no vertex {vertex}")
        return tasks_of(observer, vertex)

    async def checkpoints(self) -> Checkpoints:
        return checkpoints_of(self._observer())

    async def checkpoint(self, id: int) -> CheckpointDetail:
        found = detail_of(self._observer(), id)
        if found is None:
            raise DetailsError("UNKNOWN", f"checkpoint {id} is not among those remembered")
        return found

    async def snapshots(self) -> Snapshots:
        plan = self._request().job.checkpoints
        if plan is None:
            return Snapshots()
        try:
            return await self._kept.list(plan)
        except StorageError as error:
            raise DetailsError("STORAGE", str(error)) from error

    async def exceptions(self) -> Exceptions:
        memory = self._observer().exceptions
        return Exceptions(exceptions=memory.newest_first(), dropped=memory.dropped)

    async def metrics(self, query: MetricsQuery) -> Metrics:
        series = self._observer().series
        if query.vertex is None:
            vertices = [WHOLE_JOB]
        else:
            vertices = series.vertices if query.vertex == -1 else [query.vertex]
        unknown = [name for name in query.names if name not in METRICS]
        if unknown:
            raise DetailsError("BAD_REQUEST", f"there is no metric `{unknown[0][:80]}`")
        return _metrics(series, vertices, query)

    async def logs(self, query: LogQuery) -> Logs:
        observer, clock = self._observer(), self._host.env.clock
        found = observer.logs.answer(query)
        until = clock.monotonic() + min(query.wait, LONGEST_WAIT)
        while not found.lines and query.after is not None and clock.monotonic() < until:
            await observer.logs.bell.listen(clock, until - clock.monotonic())
            found = observer.logs.answer(msgspec.structs.replace(query, after=found.next))
        return found

    async def configuration(self) -> Configuration:
        return configuration_of(self._request())

    async def plan(self) -> Plan:
        request = self._request()
        return Plan(
            text=request.job.explain,
            digest=request.job.digest,
            parallelism=request.job.parallelism,
            max_parallelism=request.graph.max_parallelism,
        )

    async def changes(self, *, after: int | None = None, wait: float = 0.0) -> Changes:
        observer, clock = self._observer(), self._host.env.clock
        found = observer.changes.answer(after)
        until = clock.monotonic() + min(wait, LONGEST_WAIT)
        while not found.changes and after is not None and clock.monotonic() < until:
            await observer.changes.bell.listen(clock, until - clock.monotonic())
            found = observer.changes.answer(after)
        return found

    def _observer(self) -> Observer:
        """Raises DetailsError when another JobManager is to be asked."""
        found = self._host.answer()
        if isinstance(found, NotLeader):
            raise not_leading(found)
        return self._host.observer

    def _request(self) -> JobRequest:
        request = self._observer().request
        if request is None:
            raise DetailsError("UNKNOWN", "the job has not been planned here yet")
        return request


class AskedOperations:
    """A job_details.JobOperations."""

    def __init__(self, host: Host, operations: Operations) -> None:
        self._host = host
        self._operations = operations

    async def ask(self, id: str, request: AnyRequest) -> OperationView:
        self._lead()
        view = self._operations.ask(id, request)
        if view is None:
            raise DetailsError("CONFLICT", f"operation {id} is another request's")
        return view

    async def look(self, id: str) -> OperationView:
        self._lead()
        view = self._operations.look(id)
        if view is None:
            raise DetailsError("UNKNOWN", f"operation {id[:80]} is not known here")
        return view

    def _lead(self) -> None:
        found = self._host.answer()
        if isinstance(found, NotLeader):
            raise not_leading(found)


@dataclass(frozen=True, slots=True)
class ServedJob:
    """A job_details.LiveJob."""

    details: JobDetails
    operations: JobOperations


def not_leading(found: NotLeader) -> DetailsError:
    return DetailsError("NOT_LEADING", "this JobManager does not lead the job", found.leader)


def _metrics(series: TimeSeries, vertices: list[int], query: MetricsQuery) -> Metrics:
    fine = query.window == "10m"
    names = [name for name in NAMES if not query.names or name in query.names]
    shown, times = [], []
    for vertex in vertices:
        steps = series.steps(vertex, fine=fine)
        if steps is None:
            raise DetailsError("UNKNOWN", f"the job has no vertex {vertex}")
        times = [int(time) for time in steps.times[steps.order()]]
        for name in names:
            values = [
                None if math.isnan(v) else round(float(v), 4) for v in steps.row(NAMES.index(name))
            ]
            shown.append(
                Series(
                    name=name,
                    unit=METRICS[name][0],
                    vertex=None if vertex == WHOLE_JOB else vertex,
                    values=values,
                )
            )
    return Metrics(step_seconds=FINE_STEP if fine else COARSE_STEP, times_ms=times, series=shown)


def _share(value: float) -> float:
    return round(min(1.0, max(0.0, value)), 4)
