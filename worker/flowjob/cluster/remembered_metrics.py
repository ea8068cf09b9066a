"""What /metrics shows of a job besides totals: what its JobManager remembers, of checkpoints, state, sources and lines.

A part of metrics.py, from the facts that the service shows too (job_figures.py, job_history.py): both say the same. It
must not know where facts come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from flowjob.cluster.job_figures import Graph, VertexFacts
from flowjob.cluster.job_history import CheckpointFacts, Checkpoints
from flowjob.cluster.metrics import MOST_VERTICES, Family, labels_of, one
from flowjob.core.durations import BOUNDS

_OF_VERTEX = (
    ("vertex_parallelism", "Subtasks."),
    ("vertex_state_bytes", "State in the newest complete snapshot."),
    ("vertex_busiest_share", "Time at work, 0 to 1, of the busiest subtask."),
    ("vertex_most_backpressured_share", "Time held back, 0 to 1, of the subtask that is held back most."),
    ("vertex_skew_ratio", "Rows of the subtask with most, by the mean of all; 1: all alike."),
    ("source_lag_rows", "Rows that a source has not read yet, where it can tell."),
    ("source_lag_bytes", "Bytes that a source has not read yet, where it can tell."),
    ("source_splits_waiting", "Splits of a source that were found, and not given to a subtask yet."),
)  # fmt: skip

PHASES = ("alignment", "sync", "async", "acknowledge", "store")
"""Of a checkpoint, as in job_history.CheckpointFacts."""


def of_graph(graph: Graph) -> list[Family]:
    """Per vertex. What is not known is left out."""
    families = {
        name: Family(f"flowjob_{name}", "gauge", text, ("vertex",)) for name, text in _OF_VERTEX
    }
    labels = labels_of([vertex.name for vertex in graph.vertices])
    for vertex, label in zip(graph.vertices[:MOST_VERTICES], labels):
        for name, value in _values(vertex).items():
            if value is not None:
                families[name].samples[(label,)] = float(value)
    return list(families.values())


def _values(vertex: VertexFacts) -> dict[str, float | None]:
    found: dict[str, float | None] = {
        "vertex_parallelism": vertex.parallelism,
        "vertex_state_bytes": vertex.figures.state_bytes,
        "vertex_busiest_share": vertex.busiest,
        "vertex_most_backpressured_share": vertex.most_backpressured,
        "vertex_skew_ratio": vertex.skew,
    }
    lag = vertex.source_lag
    if lag is not None:
        found["source_lag_rows"] = lag.rows
        found["source_lag_bytes"] = lag.bytes
        found["source_splits_waiting"] = lag.splits_waiting
    return found


def of_latencies(
    totals: Mapping[tuple[int, int], Sequence[int]], names: Sequence[str]
) -> list[Family]:
    """`totals`: by vertex of the source, and vertex; counts by durations.BOUNDS, and behind them the sum in µs.
    `names`: of the vertices, by number."""
    text = (
        "From leaving a source until a vertex is through with all that was before, of marked rows."
    )
    found = Family("flowjob_latency_seconds", "histogram", text, ("source", "vertex"))
    labels = labels_of(names)[:MOST_VERTICES]
    for (source, vertex), counts in sorted(totals.items()):
        if max(source, vertex) < len(labels):
            upto = list(accumulate(int(count) for count in counts[:-1]))
            buckets = [(str(BOUNDS[i] / 1e6), float(upto[i])) for i in _SHOWN]
            buckets.append(("+Inf", float(upto[-1])))
            found.histograms[labels[source], labels[vertex]] = buckets, int(counts[-1]) / 1e6
    return [found]


_SHOWN = range(BOUNDS.index(1000), len(BOUNDS), 2)
"""Bounds that double, from a millisecond on: Prometheus needs no more."""


def of_checkpoints(checkpoints: Checkpoints) -> list[Family]:
    """Of the history. Figures of the newest complete one, where it is still remembered."""
    found = [
        one(
            "flowjob_checkpoints_triggered", "counter", "Checkpoints begun.", checkpoints.triggered
        ),
        one("flowjob_checkpoints_failed", "counter", "Checkpoints failed.", checkpoints.failed),
        one(
            "flowjob_checkpoints_aborted",
            "counter",
            "Checkpoints called off, which is nobody's fault.",
            checkpoints.aborted,
        ),
    ]
    newest = next((c for c in checkpoints.history if c.status == "Completed"), None)
    return found if newest is None else [*found, *_of_newest(newest)]


def _of_newest(newest: CheckpointFacts) -> list[Family]:
    text = "From the trigger to the end, of the newest complete checkpoint."
    phases = Family(
        "flowjob_checkpoint_phase_seconds",
        "gauge",
        "Of the newest complete checkpoint, of the slowest subtask.",
        ("phase",),
    )
    for name in PHASES:
        value = getattr(newest, f"{name}_ms")
        if value is not None:
            phases.samples[(name,)] = value / 1e3
    return [
        one("flowjob_checkpoint_duration_seconds", "gauge", text, newest.duration_ms / 1e3),
        phases,
        one(
            "flowjob_checkpoint_in_flight_bytes",
            "gauge",
            "Rows that barriers have overtaken, of the newest complete checkpoint.",
            newest.in_flight_bytes,
        ),
    ]


def of_memory(*, exceptions: int, lines_dropped: int) -> list[Family]:
    """Since this JobManager began."""
    return [
        one("flowjob_exceptions", "counter", "Failures, symptoms of others included.", exceptions),
        one(
            "flowjob_log_lines_dropped",
            "counter",
            "Lines of the job that are kept no more, or were too many at once.",
            lines_dropped,
        ),
    ]
