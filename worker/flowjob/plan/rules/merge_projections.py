"""Makes one projection of two that follow each other, when the first only feeds the second.

A computed column that the second reads more than once stays where it is: it would be computed twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from flowjob.plan.logical import LogicalGraph, LogicalNode
from flowjob.plan.specs import ProjectSpec


def merge_projections(graph: LogicalGraph) -> LogicalGraph:
    """The same graph with fewer projections."""
    for node in list(graph):
        while merged := _merged_into(graph, graph[node.id]):
            graph = merged
    return graph


def _merged_into(graph: LogicalGraph, node: LogicalNode) -> LogicalGraph | None:
    if not isinstance(node.spec, ProjectSpec):
        return None
    given = node.inputs[0]
    before = graph[given.node]
    if (
        not isinstance(before.spec, ProjectSpec)
        or given.tag is not None
        or given.partitioning is not None
        or before.pinned
        or before.parallelism != node.parallelism
        or len(graph.consumers(before.id)) != 1
    ):
        return None
    computed = dict(before.spec.outputs)
    uses = Counter(c for _, e in node.spec.outputs for c in e.columns())
    if any(uses[c] > 1 and e.column_name is None for c, e in computed.items()):
        return None
    outputs = tuple((name, e.substitute(computed)) for name, e in node.spec.outputs)
    spec = ProjectSpec(input=before.spec.input, output=node.spec.output, outputs=outputs)
    nodes = {i: n for i, n in graph.nodes.items() if i != before.id}
    nodes[node.id] = replace(node, spec=spec, inputs=before.inputs)
    return LogicalGraph(nodes)
