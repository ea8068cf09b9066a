"""What /metrics shows of a JobManager and of a TaskManager, in Prometheus' text format; docs/metrics.md has all.

Per vertex, which bounds the number of series by the size of the program; per subtask where metricsDetail says so. Never
labels: attempt, checkpoint, pod address, message of an exception. What the JobManager remembers of its job is in
remembered_metrics.py. `prometheus_client` is imported when it is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, get_args, get_type_hints

from flowjob.cluster.control_api import JobManagerView

MOST_VERTICES = 200
"""Vertices of a program that are shown; those behind are left out, and `flowjob_vertices_left_out` says how many."""

MOST_SUBTASKS = 1_000
"""Subtasks that are shown one by one; vertices that do not fit in any more are shown as a whole, without the label."""

SERIES_PER_VERTEX = 30
"""Of a vertex as a whole, or of one of its subtasks."""

SERIES_OF_LATENCY = 20
"""Of a pair of a source and a vertex; how many pairs there may be, runtime/observing/latencies.py says."""

SERIES_PER_JOB = 60
"""Of a job beside its vertices. A test keeps these bounds."""

_TASK = (
    ("rows_in", "rows_in", "counter", 1.0, "Rows that came in."),
    ("rows_out", "rows_out", "counter", 1.0, "Rows that went out."),
    ("bytes_in", "bytes_in", "counter", 1.0, "Bytes that came in from other processes."),
    ("bytes_out", "bytes_out", "counter", 1.0, "Bytes that went out."),
    ("batches_out", "batches_out", "counter", 1.0, "Batches that went out: rows per batch is rows_out by it."),
    ("busy_seconds", "busy_us", "counter", 1e-6, "Time at work, of all subtasks."),
    ("idle_seconds", "idle_us", "counter", 1e-6, "Time without input, of all subtasks."),
    ("backpressured_seconds", "backpressured_us", "counter", 1e-6, "Time held back by those behind, of all subtasks."),
    ("queued_bytes", "queued_bytes", "gauge", 1.0, "Received, and waiting to be worked on."),
    ("buffered_bytes", "buffered_bytes", "gauge", 1.0, "Made, and waiting for their batch to leave."),
    ("in_flight_bytes", "in_flight_bytes", "gauge", 1.0, "Sent, and not worked on yet by those behind."),
)  # fmt: skip
_SOURCE = (
    ("splits_under_way", "splits", "gauge", "Splits of a source that are being read, or given to a subtask."),
    ("splits_read", "splits_read", "counter", "Splits of a source that were read to their end."),
)  # fmt: skip
_OPERATOR = (
    ("late_rows", "late_rows", "Rows that came too late for their window."),
    ("bad_rows", "bad_rows", "Rows that could not be read."),
)


Histogram = tuple[Sequence[tuple[str, float]], float]


@dataclass(slots=True)
class Family:
    """One metric. `samples`: values by their labels' values, in order of `labels`; of a histogram in their place
    `histograms`: how many in all up to each bound, by the bound as text, and the sum."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...] = ()
    samples: dict[tuple[str, ...], float] = field(default_factory=dict)
    histograms: dict[tuple[str, ...], Histogram] = field(default_factory=dict)


Tasks = Mapping[tuple[int, int], Mapping[str, Any]]
"""By vertex and subtask: totals as runtime/task_metrics.py gives them."""


def one(name: str, kind: str, text: str, value: float) -> Family:
    """A metric without labels."""
    return Family(name, kind, text, (), {(): float(value)})


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
        one("flowjob_restarts", "counter", "Restarts after failures.", view.restarts),
        one("flowjob_parallelism", "gauge", "Parallelism of the job.", view.parallelism),
        one("flowjob_slots_needed", "gauge", "Slots the job needs.", view.slots.needed),
        one("flowjob_slots_offered", "gauge", "Slots TaskManagers offer.", view.slots.offered),
        one("flowjob_taskmanagers", "gauge", "TaskManagers that are registered.", view.slots.task_managers),
        one("flowjob_checkpoints", "counter", "Checkpoints that were completed.", checkpoints.completed),
        one(
            "flowjob_checkpoints_failed_in_a_row", "gauge", "Failed since the newest complete one.",
            checkpoints.failed_in_a_row,
        ),
        one("flowjob_checkpoints_under_way", "gauge", "Checkpoints under way.", checkpoints.under_way),
    ]  # fmt: skip
    if latest is not None:
        age = now - datetime.fromisoformat(latest.completed_at).timestamp()
        found.append(
            one(
                "flowjob_checkpoint_age_seconds",
                "gauge",
                "Since the newest complete checkpoint.",
                max(0.0, age),
            )
        )
        found.append(
            one(
                "flowjob_checkpoint_size_bytes",
                "gauge",
                "Size of the newest complete checkpoint.",
                latest.size,
            )
        )
    return found


def of_vertices(tasks: Tasks, names: Sequence[str], *, per_subtask: bool) -> list[Family]:
    """`names`: of the vertices, by number."""
    labels = ("vertex", "subtask") if per_subtask else ("vertex",)
    families = {name: _family(name, kind, text, labels) for name, _, kind, _, text in _TASK}
    families |= {name: _family(name, kind, text, labels) for name, _, kind, text in _SOURCE}
    families |= {name: _family(name, "counter", text, labels) for name, _, text in _OPERATOR}
    late = "Event time behind the clock, of the slowest subtask."
    lag = _family("watermark_lag_seconds", "gauge", late, labels)
    shown = labels_of(names)[:MOST_VERTICES]
    apart = _shown_apart(tasks, len(names)) if per_subtask else frozenset()
    for (vertex, subtask), values in sorted(tasks.items()):
        if vertex >= len(shown):
            continue
        key: tuple[str, ...] = (shown[vertex],)
        if per_subtask:
            key = (*key, str(subtask) if vertex in apart else "")
        _count(families, key, values)
        behind = values.get("watermark_lag_us")
        if behind is not None:
            lag.samples[key] = max(lag.samples.get(key, 0.0), behind * 1e-6)
    left_out = max(0, len(names) - MOST_VERTICES)
    return [
        *families.values(),
        lag,
        one(
            "flowjob_vertices_left_out",
            "gauge",
            "Vertices that are not shown, for their number.",
            left_out,
        ),
    ]


def _family(name: str, kind: str, text: str, labels: tuple[str, ...]) -> Family:
    return Family(f"flowjob_vertex_{name}", kind, text, labels)


def _count(families: Mapping[str, Family], key: tuple[str, ...], values: Mapping[str, Any]) -> None:
    """Adds what one task says of itself."""
    for name, field_, _, unit, _ in _TASK:
        _add(families[name], key, values.get(field_, 0) * unit)
    for name, field_, _, _ in _SOURCE:
        if field_ in values:
            _add(families[name], key, values[field_])
    for name, field_, _ in _OPERATOR:
        _add(families[name], key, sum(o.get(field_, 0) for o in values.get("operators", ())))


def _shown_apart(tasks: Tasks, vertices: int) -> frozenset[int]:
    """Vertices whose subtasks are shown one by one: the first ones, up to MOST_SUBTASKS together."""
    counts = Counter(vertex for vertex, _ in tasks)
    apart, shown = set(), 0
    for vertex in range(min(vertices, MOST_VERTICES)):
        shown += counts[vertex]
        if shown > MOST_SUBTASKS:
            break
        apart.add(vertex)
    return frozenset(apart)


def of_taskmanager(*, registered: bool, slots: int, used: int) -> list[Family]:
    return [
        one(
            "flowjob_taskmanager_registered",
            "gauge",
            "Whether a JobManager has taken it.",
            registered,
        ),
        one("flowjob_taskmanager_slots", "gauge", "Slots that it offers.", slots),
        one("flowjob_taskmanager_slots_used", "gauge", "Slots with a worker process.", used),
    ]


def text_of(families: Iterable[Family]) -> bytes:
    """Prometheus' text format."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    class Collector:
        def collect(self) -> Iterator[Any]:
            for family in families:
                if family.kind == "histogram":
                    many = HistogramMetricFamily(family.name, family.text, labels=family.labels)
                    for labels, (buckets, total) in family.histograms.items():
                        many.add_metric(labels, buckets, total)
                    yield many
                    continue
                kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
                metric = kind(family.name, family.text, labels=family.labels)
                for labels, value in family.samples.items():
                    metric.add_metric(labels, value)
                yield metric

    registry = CollectorRegistry()
    registry.register(Collector())
    return bytes(generate_latest(registry))


def _add(family: Family, key: tuple[str, ...], value: float) -> None:
    family.samples[key] = family.samples.get(key, 0.0) + value


def labels_of(names: Sequence[str]) -> list[str]:
    """One per vertex: names of vertices are not always different."""
    counts = Counter(names)
    return [name if counts[name] == 1 else f"{name} ({i})" for i, name in enumerate(names)]
