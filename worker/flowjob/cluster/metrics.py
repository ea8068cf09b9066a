"""What /metrics shows of a JobManager and of a TaskManager, in Prometheus' text format.

Per vertex, which bounds the number of series by the size of the program; per subtask where metricsDetail says so. Never
labels: attempt, checkpoint, pod address, message of an exception. `prometheus_client` is imported when it is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, get_args, get_type_hints

from flowjob.cluster.control_api import JobManagerView

MOST_VERTICES = 200
"""Vertices of a program that are shown; those behind are left out, and `flowjob_vertices_left_out` says how many."""

SERIES_PER_VERTEX = 10
SERIES_PER_JOB = 40
"""Bounds, which a test keeps."""

_TASK = (
    ("rows_in", "rows_in", "counter", 1.0, "Rows that came in."),
    ("rows_out", "rows_out", "counter", 1.0, "Rows that went out."),
    ("bytes_in", "bytes_in", "counter", 1.0, "Bytes that came in from other processes."),
    ("busy_seconds", "busy_us", "counter", 1e-6, "Time at work, of all subtasks."),
    ("idle_seconds", "idle_us", "counter", 1e-6, "Time without input, of all subtasks."),
    ("backpressured_seconds", "backpressured_us", "counter", 1e-6, "Time held back by those behind."),
)  # fmt: skip
_OPERATOR = (
    ("late_rows", "late_rows", "Rows that came too late for their window."),
    ("bad_rows", "bad_rows", "Rows that could not be read."),
)


@dataclass(slots=True)
class Family:
    """One metric. `samples`: values by their labels' values, in order of `labels`."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...] = ()
    samples: dict[tuple[str, ...], float] = field(default_factory=dict)


Tasks = Mapping[tuple[int, int], Mapping[str, Any]]
"""By vertex and subtask: totals as runtime/task_metrics.py gives them."""


def of_job(view: JobManagerView | None, now: float) -> list[Family]:
    """Of a JobManager. `view` None: it does not lead. `now`: seconds since the epoch."""
    leads = Family("flowjob_leader", "gauge", "Whether this JobManager leads the job.")
    leads.samples[()] = float(view is not None)
    if view is None:
        return [leads]
    states = get_args(get_type_hints(JobManagerView)["state"])
    state = Family("flowjob_job_state", "gauge", "1 for the state the job is in.", ("state",))
    state.samples = {(name,): float(name == view.state) for name in states}
    checkpoints, latest = view.checkpoints, view.checkpoints.latest
    found = [
        leads,
        state,
        _one("flowjob_restarts", "counter", "Restarts after failures.", view.restarts),
        _one("flowjob_parallelism", "gauge", "Of the job.", view.parallelism),
        _one("flowjob_slots_needed", "gauge", "Slots the job needs.", view.slots.needed),
        _one("flowjob_slots_offered", "gauge", "Slots TaskManagers offer.", view.slots.offered),
        _one("flowjob_taskmanagers", "gauge", "Registered.", view.slots.task_managers),
        _one("flowjob_checkpoints", "counter", "Completed.", checkpoints.completed),
        _one("flowjob_checkpoints_failed_in_a_row", "gauge", "By now.", checkpoints.failed_in_a_row),
        _one("flowjob_checkpoints_under_way", "gauge", "Now.", checkpoints.under_way),
    ]  # fmt: skip
    if latest is not None:
        age = now - datetime.fromisoformat(latest.completed_at).timestamp()
        found.append(
            _one("flowjob_checkpoint_age_seconds", "gauge", "Of the newest one.", max(0.0, age))
        )
        found.append(
            _one("flowjob_checkpoint_size_bytes", "gauge", "Of the newest one.", latest.size)
        )
    return found


def of_vertices(tasks: Tasks, names: Sequence[str], *, per_subtask: bool) -> list[Family]:
    """`names`: of the vertices, by number."""
    labels = ("vertex", "subtask") if per_subtask else ("vertex",)
    families = {
        name: Family(f"flowjob_vertex_{name}", kind, text, labels)
        for name, _, kind, _, text in _TASK
    }
    for name, _, text in _OPERATOR:
        families[name] = Family(f"flowjob_vertex_{name}", "counter", text, labels)
    late = "Event time behind the clock, of the slowest subtask."
    lag = Family("flowjob_vertex_watermark_lag_seconds", "gauge", late, labels)
    for (vertex, subtask), values in sorted(tasks.items()):
        if vertex >= min(MOST_VERTICES, len(names)):
            continue
        key = (_label(vertex, names),) + ((str(subtask),) if per_subtask else ())
        for name, field_, _, unit, _ in _TASK:
            _add(families[name], key, values.get(field_, 0) * unit)
        for name, field_, _ in _OPERATOR:
            _add(families[name], key, sum(o.get(field_, 0) for o in values.get("operators", ())))
        behind = values.get("watermark_lag_us")
        if behind is not None:
            lag.samples[key] = max(lag.samples.get(key, 0.0), behind * 1e-6)
    left_out = max(0, len(names) - MOST_VERTICES)
    return [
        *families.values(),
        lag,
        _one("flowjob_vertices_left_out", "gauge", "Not shown, for their number.", left_out),
    ]


def of_taskmanager(*, registered: bool, slots: int, used: int) -> list[Family]:
    return [
        _one("flowjob_taskmanager_registered", "gauge", "With a JobManager.", registered),
        _one("flowjob_taskmanager_slots", "gauge", "That it offers.", slots),
        _one("flowjob_taskmanager_slots_used", "gauge", "With a worker process.", used),
    ]


def text_of(families: Iterable[Family]) -> bytes:
    """Prometheus' text format."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    class Collector:
        def collect(self) -> Iterator[Any]:
            for family in families:
                kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
                metric = kind(family.name, family.text, labels=family.labels)
                for labels, value in family.samples.items():
                    metric.add_metric(labels, value)
                yield metric

    registry = CollectorRegistry()
    registry.register(Collector())
    return bytes(generate_latest(registry))


def _one(name: str, kind: str, text: str, value: float) -> Family:
    return Family(name, kind, text, (), {(): float(value)})


def _add(family: Family, key: tuple[str, ...], value: float) -> None:
    family.samples[key] = family.samples.get(key, 0.0) + value


def _label(vertex: int, names: Sequence[str]) -> str:
    """Names of vertices are not always different."""
    return names[vertex] if names.count(names[vertex]) == 1 else f"{names[vertex]} ({vertex})"
