"""A manifest for a job that has never run: all its tasks, with no rows in them.

Pure. State is put into it by editing.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO

from flowjob.core.job_events import TaskId
from flowjob.plan.job_graph import JobGraph
from flowjob.plan.stored_layout import StateLayout
from flowjob.runtime.checkpoint.manifest import (
    Manifest,
    OperatorState,
    PartEntry,
    TaskSnapshot,
    VertexEntry,
)
from flowjob.runtime.checkpoint.sections import Section
from flowjob.runtime.checkpoint.state_files import inlined, write_parts


def empty_manifest(
    graph: JobGraph,
    layouts: Sequence[StateLayout],
    sections: Mapping[str, Sequence[Section]],
    now: int,
) -> Manifest:
    """As if each vertex had had one subtask; `now` in µs since the epoch. `sections`: empty ones by uid, where the
    layouts do not say all columns."""
    known = {layout.uid: layout for layout in layouts}
    tasks = [
        TaskSnapshot(
            task=TaskId(vertex.id, 0),
            operators=[
                OperatorState(
                    uid=node.uid,
                    name=node.name,
                    kind=known[node.uid].kind,
                    parts=_parts(sections.get(node.uid, ()), graph.max_parallelism),
                )
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


def _parts(sections: Sequence[Section], max_parallelism: int) -> list[PartEntry]:
    file = BytesIO()
    entries = write_parts(sections, max_parallelism, range(max_parallelism), file)
    return inlined(entries, file.getvalue())
