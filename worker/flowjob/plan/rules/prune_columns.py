"""Ships and reads only the columns that somebody needs.

Backwards: which columns of each output are demanded, and by whom. Forwards: sources that can project read only those
that anybody demands, projections compute only those, and what a consumer gets beyond its own demand is cut off before
an exchange. All inputs of a union are cut to the same columns."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from flowjob.expressions import col
from flowjob.plan.job_graph import Exchange
from flowjob.plan.logical import Input, LogicalGraph, LogicalNode
from flowjob.plan.specs import (
    AssignEventTimeSpec,
    FilterSpec,
    ProjectSpec,
    RunningAggregateSpec,
    SourceSpec,
    UnionSpec,
    WindowAggregateSpec,
)
from flowjob.plan.types import StreamType

Demand = frozenset[str] | None
"""The columns that are needed; None: all of them."""

Output = tuple[int, str | None]
"""A node and the tag of one of its outputs."""

Demands = dict[Output, Demand]
"""What all consumers of an output demand together."""

_PASSES_COLUMNS = (FilterSpec, UnionSpec, AssignEventTimeSpec)


def prune_columns(graph: LogicalGraph) -> LogicalGraph:
    """The same graph with unneeded columns left out."""
    demands, consumers = _demands(graph)
    for node in list(graph):
        if not _reports_bad_rows(graph, node):
            graph = graph.with_node(_narrowed(graph[node.id], demands))
        for index in range(len(node.inputs)):
            graph = _cut_before(graph, node.id, index, consumers[node.id][index])
        graph = graph.with_node(_retyped(graph, graph[node.id]))
    return graph


def _demands(graph: LogicalGraph) -> tuple[Demands, dict[int, list[Demand]]]:
    """What is demanded of each output, and what each consumer demands of each of its inputs."""
    demands: Demands = {}
    consumers: dict[int, list[Demand]] = {}
    for node in reversed(list(graph)):
        wanted = demands.get((node.id, None), frozenset())
        demand = _demand_of(graph, node, wanted)
        consumers[node.id] = [_with_partitioning(given, demand) for given in node.inputs]
        for given, own in zip(node.inputs, consumers[node.id]):
            key = (given.node, given.tag)
            demands[key] = _join(demands.get(key, frozenset()), own)
    return demands, consumers


def _join(a: Demand, b: Demand) -> Demand:
    return None if a is None or b is None else a | b


def _with_partitioning(given: Input, demand: Demand) -> Demand:
    partitioning = given.partitioning
    if demand is None or partitioning is None:
        return demand
    if partitioning.exchange is Exchange.CUSTOM:
        return None if partitioning.column is None else demand | {partitioning.column}
    return demand | {key.column for key in partitioning.keys}


def _demand_of(graph: LogicalGraph, node: LogicalNode, wanted: Demand) -> Demand:
    """What `node` needs of its input, when `wanted` is needed of its output."""
    spec = node.spec
    match spec:
        case ProjectSpec():
            kept = [e for name, e in spec.outputs if wanted is None or name in wanted]
            return frozenset[str]().union(*(e.columns() for e in kept))
        case FilterSpec():
            return _join(wanted, spec.predicate.columns())
        case AssignEventTimeSpec():
            return _join(wanted, frozenset({str(spec.event_time.column)}))
        case UnionSpec():
            return _same_for_all(node, wanted)
        case WindowAggregateSpec() | RunningAggregateSpec():
            if "late" in graph.consumed_tags(node.id):
                return None
            keys = frozenset(key.column for key in spec.keys)
            return keys.union(*(call.inputs for call in spec.calls))
        case _:
            return None


def _same_for_all(union: LogicalNode, wanted: Demand) -> Demand:
    """What a union needs of each input: one thing for all of them, since their rows become one stream."""
    schema = union.spec.output.schema
    if wanted is None or schema is None:
        return None
    for given in union.inputs:
        wanted = _join(wanted, _with_partitioning(given, frozenset()))
    return None if wanted is None else frozenset(_keep(schema, wanted))


def _reports_bad_rows(graph: LogicalGraph, node: LogicalNode) -> bool:
    """Whether somebody gets the rows that a source could not read: then it must look at every column."""
    return isinstance(node.spec, SourceSpec) and not graph.consumed_tags(node.id) <= {None}


def _narrowed(node: LogicalNode, demands: Demands) -> LogicalNode:
    """A source or projection that gives only what is demanded."""
    demand = demands.get((node.id, None), frozenset())
    spec = node.spec
    schema = spec.output.schema
    if demand is None or schema is None:
        return node
    kept = _keep(schema, demand)
    if len(kept) == len(schema):
        return node
    if isinstance(spec, SourceSpec):
        source = spec.source.project(tuple(kept))
        if source is not None:
            return replace(
                node, spec=SourceSpec(input=source.type, output=source.type, source=source)
            )
    if isinstance(spec, ProjectSpec):
        outputs = tuple(o for o in spec.outputs if o[0] in kept)
        output = StreamType(pa.schema([schema.field(n) for n in kept]))
        return replace(node, spec=replace(spec, outputs=outputs, output=output))
    return node


def _keep(schema: pa.Schema, demand: frozenset[str]) -> list[str]:
    """The demanded columns in schema order; the first column when none is, since rows must still be counted."""
    return [name for name in schema.names if name in demand] or schema.names[:1]


def _cut_before(graph: LogicalGraph, node: int, index: int, demand: Demand) -> LogicalGraph:
    """Inserts a projection before an exchange or union whose input has more columns than demanded."""
    consumer = graph[node]
    given = consumer.inputs[index]
    type = graph[given.node].type_of(given.tag)
    crosses = given.partitioning is not None or isinstance(consumer.spec, UnionSpec)
    if demand is None or type.schema is None or not crosses:
        return graph
    kept = _keep(type.schema, demand)
    if len(kept) == len(type.schema):
        return graph
    output = StreamType(pa.schema([type.schema.field(n) for n in kept]))
    spec = ProjectSpec(input=type, output=output, outputs=tuple((n, col(n)) for n in kept))
    producer = graph[given.node]
    cut = LogicalNode(
        id=graph.next_id,
        spec=spec,
        name="prune",
        parallelism=producer.parallelism,
        mode=producer.mode,
        event_time=producer.timed(given.tag),
    )
    return graph.insert_before(node, index, cut)


def _retyped(graph: LogicalGraph, node: LogicalNode) -> LogicalNode:
    """The node with the input type its input now has; a node that passes columns on gets that output type too."""
    if not node.inputs:
        return node
    type = graph[node.inputs[0].node].type_of(node.inputs[0].tag)
    if type == node.spec.input:
        return node
    changed = {"input": type}
    if isinstance(node.spec, _PASSES_COLUMNS):
        changed["output"] = type
    return replace(node, spec=replace(node.spec, **changed))
