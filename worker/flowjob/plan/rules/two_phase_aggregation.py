"""Aggregates at the senders first, so that the exchange carries one row per key and pane instead of all rows.

Only where the result cannot differ (windows.two_phase_possible) and where there is an exchange between processes to
relieve. Whether it pays for the data at hand is decided by the local operator as it runs: it stops grouping when keys
hardly repeat."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from flowjob.plan.job_graph import Exchange
from flowjob.plan.logical import Input, LogicalGraph, LogicalNode
from flowjob.plan.partials import partial_fields, two_phase_possible
from flowjob.plan.specs import LocalWindowAggregateSpec, WindowAggregateSpec
from flowjob.plan.types import StreamType


def two_phase_aggregation(graph: LogicalGraph) -> LogicalGraph:
    """The same graph with local window aggregates before exchanges."""
    for node in list(graph):
        if isinstance(node.spec, WindowAggregateSpec) and _pays(graph, node):
            graph = _split(graph, node, node.spec)
    return graph


def _pays(graph: LogicalGraph, node: LogicalNode) -> bool:
    assert isinstance(node.spec, WindowAggregateSpec)
    given = node.inputs[0]
    crosses = given.partitioning is not None and given.partitioning.exchange in (
        Exchange.HASH,
        Exchange.GLOBAL,
    )
    several = max(node.parallelism or 1, graph[given.node].parallelism or 1) > 1
    return (
        crosses
        and several
        and "late" not in graph.consumed_tags(node.id)
        and two_phase_possible(node.spec)
    )


def _split(graph: LogicalGraph, node: LogicalNode, spec: WindowAggregateSpec) -> LogicalGraph:
    given: Input = node.inputs[0]
    producer = graph[given.node]
    schema = spec.input.schema
    assert schema is not None
    fields = [schema.field(key.column) for key in spec.keys]
    fields.append(pa.field("__pane", pa.int64(), nullable=False))
    fields += partial_fields(spec)
    between = StreamType(pa.schema(fields))
    local = LogicalNode(
        id=graph.next_id,
        spec=LocalWindowAggregateSpec(
            input=spec.input,
            output=between,
            keys=spec.keys,
            assigner=spec.assigner,
            calls=spec.calls,
        ),
        name=f"local {node.name}",
        where=node.where,
        parallelism=producer.parallelism,
        event_time=producer.timed(given.tag),
    )
    graph = graph.insert_before(node.id, 0, local)
    final = replace(spec, from_partials=True)
    return graph.with_node(replace(graph[node.id], spec=final))
