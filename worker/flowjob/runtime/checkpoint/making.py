"""A manifest for a job that has never run: all its tasks, with nothing in them.

Pure. State is put into it by editing.py."""

from __future__ import annotations

from collections.abc import Sequence

from flowjob.core.job_events import TaskId
from flowjob.plan.job_graph import JobGraph
from flowjob.plan.state_layout import StateLayout
from flowjob.runtime.checkpoint.manifest import (
    Manifest,
    OperatorState,
    TaskSnapshot,
    VertexEntry,
)


def empty_manifest(graph: JobGraph, layouts: Sequence[StateLayout], now: int) -> Manifest:
    """As if each vertex had had one subtask; `now` in µs since the epoch."""
    known = {layout.uid: layout for layout in layouts}
    tasks = [
        TaskSnapshot(
            task=TaskId(vertex.id, 0),
            operators=[
                OperatorState(uid=node.uid, name=node.name, kind=known[node.uid].kind)
                for node in vertex.nodes
                if node.uid is not None
            ],
        )
        for vertex in graph.vertices
    ]
    return Manifest(
        id=0,
        kind="savepoint",
        job=graph.name,
        run_id="",
        created=now,
        max_parallelism=graph.max_parallelism,
        vertices=[VertexEntry(id=v.id, name=v.name, parallelism=1) for v in graph.vertices],
        tasks=tasks,
        operators=list(layouts),
    )
