"""Cuts the optimised graph into chains: operators that run in one task and hand batches to each other by reference.

An operator joins its producer's chain when it has one input, straight on, at the same parallelism. Everything else
begins a chain of its own and gets its input through an exchange."""

from __future__ import annotations

from flowjob.plan.job_graph import (
    ChainNode,
    Edge,
    Exchange,
    JobGraph,
    NetworkOutput,
    Partitioning,
    Target,
    Vertex,
)
from flowjob.plan.logical import Input, LogicalGraph, LogicalNode
from flowjob.plan.specs import UnionSpec
from flowjob.plan.types import Mode


def chain(name: str, graph: LogicalGraph, max_parallelism: int) -> JobGraph:
    """The job graph. Every node has its parallelism resolved."""
    heads = [node.id for node in graph if not _joins(graph, node)]
    members: dict[int, list[int]] = {head: [] for head in heads}
    head_of: dict[int, int] = {}
    for node in graph:
        head = node.id if node.id in members else head_of[node.inputs[0].node]
        head_of[node.id] = head
        members[head].append(node.id)
    vertex_of = {head: number for number, head in enumerate(heads)}
    edges = _edges(graph, heads, head_of, vertex_of)
    vertices = tuple(_vertex(graph, vertex_of[head], members[head], edges) for head in heads)
    return JobGraph(name, vertices, tuple(edge for _, edge in edges), max_parallelism)


def _joins(graph: LogicalGraph, node: LogicalNode) -> bool:
    """Whether a node runs in the chain of its producer."""
    if len(node.inputs) != 1 or isinstance(node.spec, UnionSpec):
        return False
    given = node.inputs[0]
    return given.partitioning is None and graph[given.node].parallelism == node.parallelism


def _partitioning(graph: LogicalGraph, consumer: LogicalNode, given: Input) -> Partitioning:
    if given.partitioning is not None:
        return given.partitioning
    same = graph[given.node].parallelism == consumer.parallelism
    return Partitioning(Exchange.FORWARD if same else Exchange.REBALANCE)


def _uses_time(consumer: LogicalNode) -> bool:
    """A union of streams with and without event time has none: rows leave it behind on their way in."""
    return consumer.event_time or not isinstance(consumer.spec, UnionSpec)


NamedEdge = tuple[tuple[int, str | None], Edge]
"""An edge, and the node and tag of the output it carries."""


def _edges(
    graph: LogicalGraph, heads: list[int], head_of: dict[int, int], vertex_of: dict[int, int]
) -> list[NamedEdge]:
    edges: list[NamedEdge] = []
    for head in heads:
        consumer = graph[head]
        for index, given in enumerate(consumer.inputs):
            producer = graph[given.node]
            edge = Edge(
                id=len(edges),
                source=vertex_of[head_of[given.node]],
                target=vertex_of[head],
                port=consumer.port_of(index),
                partitioning=_partitioning(graph, consumer, given),
                type=producer.type_of(given.tag),
                timestamps=producer.timed(given.tag) and _uses_time(consumer),
                kinds=producer.mode is not Mode.APPEND,
            )
            edges.append(((given.node, given.tag), edge))
    return edges


def _vertex(graph: LogicalGraph, number: int, members: list[int], edges: list[NamedEdge]) -> Vertex:
    place = {node: index for index, node in enumerate(members)}
    nodes = []
    for id in members:
        node = graph[id]
        targets = tuple(
            Target(consumer.inputs[0].tag, place[consumer.id])
            for consumer, _ in graph.consumers(id)
            if consumer.id in place and consumer.id != members[0]
        )
        outputs = tuple(
            NetworkOutput(tag, edge.id) for (source, tag), edge in edges if source == id
        )
        nodes.append(ChainNode(node.name, node.spec, node.uid, targets, outputs))
    parallelism = graph[members[0]].parallelism
    assert parallelism is not None
    return Vertex(number, _chain_name(nodes), parallelism, tuple(nodes))


def _chain_name(nodes: list[ChainNode]) -> str:
    """`source → filter → select`; shortened in the middle when long."""
    names = [node.name for node in nodes]
    if len(names) > 4:
        names = [*names[:2], "…", names[-1]]
    return " → ".join(names)
