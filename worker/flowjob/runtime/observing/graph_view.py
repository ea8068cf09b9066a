"""The job's graph and tasks with their figures, as cluster/job_figures.py says them.

Looks at the newest figures (task_table.py) and at where tasks are (the job machine); it remembers nothing."""

from __future__ import annotations

import math
from collections import Counter

import msgspec.structs
import numpy as np
import numpy.typing as npt

from flowjob.cluster.job_figures import (
    EdgeFacts,
    Figures,
    Graph,
    HeldBy,
    OperatorFacts,
    SourceLag,
    SubtaskFacts,
    TaskFacts,
    TaskManagerFacts,
    Tasks,
    TaskState,
    VertexFacts,
)
from flowjob.core.elements import MAX_TIME
from flowjob.core.job_events import Cancelled, Succeeded, TaskId
from flowjob.core.region import Region, RegionPhase
from flowjob.plan.job_graph import JobGraph, Vertex
from flowjob.plan.specs import SinkSpec, SourceSpec
from flowjob.runtime.jobmanager.conducting import Conductor
from flowjob.runtime.observing.observer import Observer
from flowjob.runtime.observing.task_table import NEWEST, TOTALS, VertexTable

_PHASES: dict[RegionPhase, TaskState] = {
    RegionPhase.WAITING: "Waiting", RegionPhase.STARTING: "Starting", RegionPhase.DEPLOYING: "Deploying",
    RegionPhase.RUNNING: "Running", RegionPhase.RESTARTING: "Restarting",
}  # fmt: skip


def graph_of(observer: Observer, *, subtasks: bool) -> Graph:
    """`subtasks`: with their figures."""
    request, conductor = observer.request, observer.conductor
    if request is None or conductor is None:
        return Graph(name="", at=observer.now)
    graph, states = request.graph, states_of(conductor)
    vertices = []
    for vertex in graph.vertices:
        table = observer.tables[vertex.id]
        found = vertex_facts(vertex, table, states, held_by(graph, table), conductor)
        found = msgspec.structs.replace(found, latency=observer.latencies.of_vertex(vertex.id))
        if subtasks:
            each = [
                SubtaskFacts(
                    subtask=i, state=states[vertex.id, i], figures=subtask_figures(table, i)
                )
                for i in range(vertex.parallelism)
            ]
            found = msgspec.structs.replace(found, subtasks=each)
        vertices.append(found)
    return Graph(
        name=graph.name,
        at=observer.now,
        parallelism=request.job.parallelism,
        max_parallelism=graph.max_parallelism,
        vertices=vertices,
        edges=_edges(graph, vertices),
    )


def vertex_facts(
    vertex: Vertex,
    table: VertexTable,
    states: dict[tuple[int, int], TaskState],
    held: HeldBy | None,
    conductor: Conductor,
) -> VertexFacts:
    """Without its subtasks."""
    is_source = isinstance(vertex.nodes[0].spec, SourceSpec)
    skew, skewed = skew_of(table.rates[:, TOTALS.index("read" if is_source else "rows_in")])
    return VertexFacts(
        id=vertex.id,
        name=vertex.name,
        parallelism=vertex.parallelism,
        operators=_operators(vertex, conductor),
        is_source=is_source,
        is_sink=any(isinstance(node.spec, SinkSpec) for node in vertex.nodes),
        states=dict(Counter(states[vertex.id, i] for i in range(vertex.parallelism))),
        figures=vertex_figures(table),
        busiest=_share(table.largest("busy_us")),
        most_backpressured=_share(table.largest("backpressured_us")),
        skew=skew,
        skewed_subtask=skewed,
        held_by=held,
        source_lag=_source_lag(vertex, table, conductor) if is_source else None,
    )


def vertex_figures(table: VertexTable) -> Figures:
    """All subtasks together."""
    marks = table.watermark[~np.isnan(table.watermark)]
    lags, state = table.lag[~np.isnan(table.lag)], table.state[~np.isnan(table.state)]
    totals, rates = table.totals.sum(axis=0), table.rates.sum(axis=0)
    shares = table.rates[table.known].mean(axis=0) if table.known.any() else np.zeros(len(TOTALS))
    all_known = len(marks) == len(table.watermark)
    return _figures(
        dict(zip(TOTALS, totals)),
        {**dict(zip(TOTALS, rates)), **{n: shares[TOTALS.index(n)] for n in _SHARES}},
        dict(zip(NEWEST, table.newest.sum(axis=0))),
        float(marks.min()) if all_known and len(marks) else math.nan,
        float(lags.max()) if len(lags) else math.nan,
        float(state.sum()) if len(state) else math.nan,
    )


def subtask_figures(table: VertexTable, subtask: int) -> Figures:
    return _figures(
        dict(zip(TOTALS, table.totals[subtask])),
        dict(zip(TOTALS, table.rates[subtask])),
        dict(zip(NEWEST, table.newest[subtask])),
        float(table.watermark[subtask]),
        float(table.lag[subtask]),
        float(table.state[subtask]),
    )


_SHARES = ("busy_us", "idle_us", "backpressured_us")


def _figures(
    totals: dict[str, float],
    rates: dict[str, float],
    newest: dict[str, float],
    watermark: float,
    lag: float,
    state: float,
) -> Figures:
    """`watermark` in µs, `lag` in seconds; NaN: not known."""
    busy, idle, back = (_share(float(rates[n])) for n in _SHARES)
    return Figures(
        rows_in=int(totals["rows_in"]),
        rows_out=int(totals["rows_out"]),
        bytes_in=int(totals["bytes_in"]),
        bytes_out=int(totals["bytes_out"]),
        rows_in_per_second=round(float(rates["rows_in"]), 3),
        rows_out_per_second=round(float(rates["rows_out"]), 3),
        bytes_in_per_second=round(float(rates["bytes_in"]), 3),
        bytes_out_per_second=round(float(rates["bytes_out"]), 3),
        busy=busy,
        idle=idle,
        backpressured=back,
        watermark_ms=_ms(watermark),
        lag_seconds=None if math.isnan(lag) else round(lag, 3),
        late_rows=int(newest["late_rows"]),
        bad_rows=int(newest["bad_rows"]),
        queued_bytes=int(newest["queued_bytes"]),
        buffered_bytes=int(newest["buffered_bytes"]),
        state_bytes=None if math.isnan(state) else int(state),
    )


def skew_of(rates: npt.NDArray[np.float32]) -> tuple[float, int | None]:
    """The largest over the mean, and which that is; 1.0 and None where all are alike."""
    mean = float(rates.mean()) if len(rates) else 0.0
    if mean <= 0:
        return 1.0, None
    skew = float(rates.max()) / mean
    return round(skew, 3), int(rates.argmax()) if skew > 1.0 + 1e-6 else None


def held_by(graph: JobGraph, table: VertexTable) -> HeldBy | None:
    """The edge with the lowest watermark among those that have not ended, by all subtasks."""
    lowest: list[tuple[float, int, int]] = []
    for edge, times in table.inputs.items():
        active = np.where(np.isnan(times[:, 0]), np.inf, times[:, 0])
        place = int(active.argmin())
        if active[place] < MAX_TIME:
            lowest.append((float(active[place]), edge, int(times[place, 1])))
    if not lowest:
        return None
    time, edge, producer = min(lowest)
    others = sorted(t for t, e, _ in lowest if e != edge)
    source = next(e.source for e in graph.edges if e.id == edge)
    ahead = (others[0] - time) * 1e-6 if others and not math.isinf(others[0] - time) else None
    return HeldBy(
        edge=edge,
        vertex=source,
        name=graph.vertex(source).name,
        subtask=producer,
        watermark_ms=_ms(time),
        ahead_seconds=None if ahead is None or math.isnan(ahead) else round(ahead, 3),
    )


def tasks_of(observer: Observer, vertex: int | None) -> Tasks:
    """Of one vertex, or all."""
    request, conductor = observer.request, observer.conductor
    if request is None or conductor is None:
        return Tasks(at=observer.now)
    states, slots, found = states_of(conductor), conductor.machine.slots, []
    for one in request.graph.vertices:
        if vertex is not None and one.id != vertex:
            continue
        table = observer.tables[one.id]
        for i in range(one.parallelism):
            record = slots.get(i)
            facts = TaskFacts(
                vertex=one.id,
                name=one.name,
                subtask=i,
                parallelism=one.parallelism,
                state=states[one.id, i],
                attempt=observer.attempt_of(i),
                slot=i,
                task_manager=None if record is None else record.taskmanager,
                host=None if record is None or record.address is None else record.address.host,
                pid=None if record is None else record.pid,
                figures=subtask_figures(table, i),
            )
            found.append(facts)
    return Tasks(at=observer.now, tasks=found, task_managers=_taskmanagers(conductor))


def _taskmanagers(conductor: Conductor) -> list[TaskManagerFacts]:
    used = Counter(s.taskmanager for s in conductor.machine.slots.values() if s.living)
    return [
        TaskManagerFacts(
            name=s.name, host=s.host, pid=s.pid, slots=s.slots, slots_used=used[s.name]
        )
        for s in conductor.taskmanagers()
    ]


def states_of(conductor: Conductor) -> dict[tuple[int, int], TaskState]:
    """By vertex and subtask."""
    machine, metrics = conductor.machine, conductor.metrics
    over: TaskState | None = None
    if machine.outcome is not None:
        over = "Cancelled" if isinstance(machine.outcome, Cancelled) else "Failed"
        over = "Finished" if isinstance(machine.outcome, Succeeded) else over
    states: dict[tuple[int, int], TaskState] = {}
    for region in machine.regions:
        for task in region.tasks:
            if _is_done(region, task, metrics.get(task, {})):
                states[task.vertex, task.subtask] = "Finished"
            else:
                states[task.vertex, task.subtask] = over or _PHASES[region.phase]
    return states


def _is_done(region: Region, task: TaskId, values: object) -> bool:
    ended = isinstance(values, dict) and bool(values.get("ended"))
    return task in region.finished or (ended and region.phase is RegionPhase.RUNNING)


def _operators(vertex: Vertex, conductor: Conductor) -> list[OperatorFacts]:
    sums = [[0, 0, 0, 0] for _ in vertex.nodes]
    for i in range(vertex.parallelism):  # of every task: plain numbers, for there may be many
        reported = conductor.metrics.get(TaskId(vertex.id, i), {}).get("operators", ())
        for of, values in zip(sums, reported):
            of[0] += values.get("rows_in", 0)
            of[1] += values.get("rows_out", 0)
            of[2] += values.get("late_rows", 0)
            of[3] += values.get("bad_rows", 0)
    return [
        OperatorFacts(
            name=node.name,
            uid=node.uid,
            kind=type(node.spec).__name__.removesuffix("Spec").lower(),
            rows_in=sums[place][0],
            rows_out=sums[place][1],
            late_rows=sums[place][2],
            bad_rows=sums[place][3],
        )
        for place, node in enumerate(vertex.nodes)
    ]


def _source_lag(vertex: Vertex, table: VertexTable, conductor: Conductor) -> SourceLag:
    waiting = conductor.splits.left(vertex.id)
    rows, size = table.left.sum(axis=0).tolist()  # not known where it is not of one of them
    return SourceLag(
        rows=None if waiting.rows is None or math.isnan(rows) else int(rows) + waiting.rows,
        bytes=None if waiting.bytes is None or math.isnan(size) else int(size) + waiting.bytes,
        splits_waiting=conductor.splits.waiting(vertex.id),
        splits_under_way=table.latest("splits"),
        splits_read=table.latest("splits_read"),
    )


def _edges(graph: JobGraph, vertices: list[VertexFacts]) -> list[EdgeFacts]:
    held = {v.id: v.held_by.edge for v in vertices if v.held_by is not None}
    return [
        EdgeFacts(
            id=edge.id,
            source=edge.source,
            target=edge.target,
            port=edge.port,
            exchange=edge.partitioning.exchange.value,
            keys=[key.name for key in edge.partitioning.keys],
            holds_time_back=len(graph.inputs_of(edge.target)) > 1
            and held.get(edge.target) == edge.id,
        )
        for edge in graph.edges
    ]


def _share(value: float) -> float:
    return round(min(1.0, max(0.0, value)), 4)


def _ms(micros: float) -> int | None:
    """Of a watermark: None before the first and behind the last one."""
    return (
        None
        if math.isnan(micros) or math.isinf(micros) or micros >= MAX_TIME
        else int(micros // 1000)
    )
