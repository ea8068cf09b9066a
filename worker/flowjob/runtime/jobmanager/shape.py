"""What the job machine needs to know of a job graph: subtasks, and which slots cannot live without each other.

Between plan/ and core/, which do not know each other."""

from __future__ import annotations

from flowjob.core.job_events import JobShape, VertexShape
from flowjob.plan.job_graph import JobGraph, consumers_of


def shape_of(graph: JobGraph) -> JobShape:
    """Its vertices, and its regions: slots that exchange data, directly or through others."""
    vertices = tuple(VertexShape(v.id, v.name, v.parallelism) for v in graph.vertices)
    shape = JobShape(vertices)
    return JobShape(vertices, _regions(graph, shape.slots))


def _regions(graph: JobGraph, slots: int) -> tuple[tuple[int, ...], ...]:
    """Connected components. Slot sharing: subtask i of every vertex is in slot i."""
    region = list(range(slots))  # of each slot: the least slot that it is connected with
    for edge in graph.edges:
        producers = graph.vertex(edge.source).parallelism
        consumers = graph.vertex(edge.target).parallelism
        for producer in range(producers):
            for consumer in consumers_of(edge, producer, producers, consumers):
                a, b = sorted((region[producer], region[consumer]))
                if a != b:
                    region = [a if r == b else r for r in region]
    return tuple(
        tuple(i for i in range(slots) if region[i] == first) for first in sorted(set(region))
    )
