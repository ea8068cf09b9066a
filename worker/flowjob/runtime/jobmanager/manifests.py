"""The manifest of a snapshot from what its tasks have acknowledged.

Pure. What a manifest is says runtime/checkpoint/manifest.py."""

from __future__ import annotations

from dataclasses import dataclass

from flowjob.core.checkpoint_records import by_number
from flowjob.core.coordinator_events import Kind, Store
from flowjob.core.elements import Stop
from flowjob.core.job_events import TaskId
from flowjob.plan.job_graph import JobGraph
from flowjob.plan.state_layout import state_layouts
from flowjob.runtime.checkpoint.manifest import Manifest, TaskSnapshot, VertexEntry

_SAVEPOINTS = (Kind.SAVEPOINT, Kind.STOP)


@dataclass(frozen=True, slots=True)
class JobAtHand:
    """What manifests say of their job."""

    graph: JobGraph
    run_id: str
    explain: str

    def told(self, task: TaskId) -> str:
        """A task, for people: `window 2/4`."""
        vertex = next((v for v in self.graph.vertices if v.id == task.vertex), None)
        if vertex is None:
            return by_number(task)
        return f"{vertex.name} {task.subtask + 1}/{vertex.parallelism}"


def manifest_of(
    job: JobAtHand, store: Store[TaskSnapshot], tasks: list[TaskSnapshot], now: int
) -> Manifest:
    """`now` in µs since the epoch."""
    graph = job.graph
    return Manifest(
        id=store.checkpoint,
        kind="savepoint" if store.kind in _SAVEPOINTS else "checkpoint",
        job=graph.name,
        run_id=job.run_id,
        created=now,
        max_parallelism=graph.max_parallelism,
        vertices=[
            VertexEntry(id=v.id, name=v.name, parallelism=v.parallelism) for v in graph.vertices
        ],
        tasks=tasks,
        drained=store.stop is Stop.DRAIN,
        explain=job.explain,
        operators=state_layouts(graph),
    )
