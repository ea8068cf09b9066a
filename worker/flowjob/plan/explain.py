"""Prints plans for people: `flowjob explain`, golden test fixtures, and the text behind the plan digest.

The text is deterministic: equal plans print equally in every process, whatever the addresses of their objects."""

from __future__ import annotations

from collections.abc import Iterable

from flowjob.plan.compile import Compilable, compile_plan
from flowjob.plan.describe import describe, type_text
from flowjob.plan.job_graph import Edge, Exchange, JobGraph, Partitioning
from flowjob.plan.logical import Input, LogicalGraph, LogicalNode


def explain(job: Compilable, *, parallelism: int = 1) -> str:
    """The three stages of a job's plan, ready to print."""
    plan = compile_plan(job, parallelism=parallelism)
    return "\n".join(
        [
            f"job {job.name} (parallelism {parallelism}, max parallelism {job.max_parallelism})",
            "",
            "== Logical plan: what the program says ==",
            logical_text(plan.logical),
            "",
            "== Optimised plan ==",
            logical_text(plan.optimised),
            "",
            "== Job graph: one task per vertex and subtask ==",
            job_graph_text(plan.job_graph),
        ]
    )


def logical_text(graph: LogicalGraph) -> str:
    """One paragraph per node, in the order of the program."""
    return "\n".join(line for node in graph for line in _node_lines(graph, node))


def _node_lines(graph: LogicalGraph, node: LogicalNode) -> Iterable[str]:
    number = {id: n for n, id in enumerate(graph.nodes, 1)}
    inputs = ", ".join(_input_text(given, number) for given in node.inputs)
    arrow = f" <- {inputs}" if inputs else ""
    at = f" x{node.parallelism}" if node.parallelism is not None else ""
    yield f"{number[node.id]}. {node.name}{at}{arrow}"
    for detail in describe(node.spec):
        yield f"     {detail}"
    if not node.spec.output.is_objects or node.inputs:
        yield f"     : {type_text(node.spec.output)}{_marks(node)}"


def _input_text(given: Input, number: dict[int, int]) -> str:
    tag = f".{given.tag}" if given.tag else ""
    by = f" by {partitioning_text(given.partitioning)}" if given.partitioning else ""
    return f"{number[given.node]}{tag}{by}"


def _marks(node: LogicalNode) -> str:
    marks = [] if node.mode.value == "append" else [node.mode.value]
    if node.event_time:
        marks.append("event time")
    if node.uid is not None:
        marks.append(f"state `{node.uid}`")
    return f"  [{', '.join(marks)}]" if marks else ""


def job_graph_text(graph: JobGraph) -> str:
    """Vertices with their chains, then edges."""
    lines = []
    for vertex in graph.vertices:
        lines.append(f"vertex {vertex.id} x{vertex.parallelism}: {vertex.name}")
        for index, node in enumerate(vertex.nodes):
            uid = f"  state `{node.uid}`" if node.uid else ""
            lines.append(f"  [{index}] {node.name}: {type_text(node.spec.output)}{uid}")
            lines.extend(f"       {detail}" for detail in describe(node.spec))
            lines.extend(
                f"       {_tag(t.tag)}-> [{t.node}]" + (f" port {t.port}" if t.port else "")
                for t in node.targets
            )
            lines.extend(f"       {_tag(o.tag)}=> edge {o.edge}" for o in node.outputs)
    lines.extend(edge_text(edge) for edge in graph.edges)
    return "\n".join(lines)


def edge_text(edge: Edge) -> str:
    """`edge 0: vertex 0 -> vertex 1 by hash(origin)`, with the columns it ships."""
    port = f" port {edge.port}" if edge.port else ""
    return (
        f"edge {edge.id}: vertex {edge.source} -> vertex {edge.target}{port} by "
        f"{partitioning_text(edge.partitioning)}, ships {type_text(edge.type)}"
    )


def partitioning_text(partitioning: Partitioning) -> str:
    match partitioning.exchange:
        case Exchange.HASH:
            return f"hash({', '.join(key.column for key in partitioning.keys)})"
        case Exchange.CUSTOM:
            return f"custom({partitioning.column or 'row'})"
        case exchange:
            return str(exchange.value)


def _tag(tag: str | None) -> str:
    return f"{tag} " if tag else ""
