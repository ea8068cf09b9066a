"""Small job graphs of a given shape, and what their tasks report."""

from __future__ import annotations

from typing import Any

import flowjob as fj
from flowjob.core.job_events import TaskId
from flowjob.plan.compile import compile_job
from flowjob.plan.job_graph import JobGraph, Vertex
from flowjob.runtime.checkpoint.manifest import SnapshotFigures, TaskSnapshot


class Row(fj.Schema):
    k: str
    v: int


def two_vertices(parallelism: int = 2) -> JobGraph:
    """A source, and behind an exchange what counts and shows."""
    job = fj.Job("counted")
    rows = job.read(fj.from_rows([Row("a", 1)], Row))
    job.write(rows.key_by("k").agg(n=fj.count()), fj.show("n"))
    return compile_job(job, parallelism=parallelism)


def wide(vertices: int, parallelism: int) -> JobGraph:
    """Vertices without edges: for sizes only."""
    nodes = two_vertices(1).vertices[-1].nodes
    many = tuple(Vertex(i, f"vertex {i}", parallelism, nodes) for i in range(vertices))
    return JobGraph("wide", many, ())


def report(**values: Any) -> dict[str, Any]:
    """As runtime/task_metrics.py makes it."""
    nothing = {
        "rows_in": 0, "rows_out": 0, "bytes_in": 0, "bytes_out": 0, "busy_us": 0, "idle_us": 0, "backpressured_us": 0,
        "watermark": None, "watermark_lag_us": None, "ended": False, "operators": [],
    }  # fmt: skip
    return nothing | values


def taken(vertex: int, subtask: int, **figures: Any) -> TaskSnapshot:
    return TaskSnapshot(task=TaskId(vertex, subtask), figures=SnapshotFigures(**figures))
