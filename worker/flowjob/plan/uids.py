"""Gives every stateful operator an identity that outlives changes of the program around it.

An identity comes from the user's logical graph alone: the operator's kind, its state's schema and its stateful
ancestors; never the job's name, stateless operators, parallelism or chaining. `.named` pins one. Two operators that
these cannot tell apart are refused: after an edit, state would go to the wrong one."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from flowjob.errors import AmbiguousState
from flowjob.plan.logical import LogicalGraph, LogicalNode
from flowjob.plan.specs import (
    AssignEventTimeSpec,
    ConnectedProcessSpec,
    KeyedProcessSpec,
    OperatorSpec,
    ReduceSpec,
    RunningAggregateSpec,
    SinkSpec,
    SourceSpec,
    WindowAggregateSpec,
    WindowApplySpec,
)
from flowjob.plan.types import KeyField, StreamType

STATEFUL = (
    SourceSpec,
    SinkSpec,
    AssignEventTimeSpec,
    WindowAggregateSpec,
    WindowApplySpec,
    RunningAggregateSpec,
    ReduceSpec,
    KeyedProcessSpec,
    ConnectedProcessSpec,
)


def assign_uids(graph: LogicalGraph) -> LogicalGraph:
    """The graph with `uid` set on stateful nodes. AmbiguousState when two would be equal."""
    ancestors: dict[int, tuple[str, ...]] = {}
    owners: dict[str, LogicalNode] = {}
    for node in list(graph):
        above = tuple(sorted({u for given in node.inputs for u in ancestors[given.node]}))
        if not _keeps_state(node.spec):
            ancestors[node.id] = above
            continue
        uid = node.name if node.pinned else _uid(node.spec, above)
        if uid in owners:
            _refuse(owners[uid], node)
        owners[uid] = node
        ancestors[node.id] = (uid,)
        graph = graph.with_node(replace(node, uid=uid))
    return graph


def _keeps_state(spec: OperatorSpec) -> bool:
    return spec.sink.keeps_state if isinstance(spec, SinkSpec) else isinstance(spec, STATEFUL)


def _uid(spec: OperatorSpec, ancestors: tuple[str, ...]) -> str:
    text = "\n".join([*_identity(spec), *ancestors])
    kind = type(spec).__name__.removesuffix("Spec").lower()
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _identity(spec: OperatorSpec) -> list[str]:
    """What of an operator its state depends on, as lines of text."""
    match spec:
        case SourceSpec():
            return ["source", spec.source.name, _schema(spec.output)]
        case SinkSpec():
            return ["sink", spec.sink.name]
        case AssignEventTimeSpec():
            return ["event time", str(spec.event_time.column)]
        case WindowAggregateSpec():
            calls = [f"{c.name}={c.aggregate}" for c in spec.calls]
            return ["window", str(spec.assigner), _keys(spec.keys), *calls]
        case WindowApplySpec():
            return ["window rows", str(spec.assigner), _keys(spec.keys), _schema(spec.input)]
        case RunningAggregateSpec():
            return ["aggregate", _keys(spec.keys), *(f"{c.name}={c.aggregate}" for c in spec.calls)]
        case ReduceSpec():
            return ["reduce", _keys(spec.keys), _schema(spec.output)]
        case KeyedProcessSpec() | ConnectedProcessSpec():
            # Not the qualified name: cloudpickle does not keep that of a class written within a function.
            return ["process", type(spec.function).__name__, _keys(spec.keys)]
        case _:
            raise AssertionError(f"not stateful: {spec}")


def _keys(keys: tuple[KeyField, ...]) -> str:
    return ", ".join(f"{k.name}: {k.type}" for k in keys)


def _schema(type: StreamType) -> str:
    if type.schema is None:
        return "objects"
    return ", ".join(f"{f.name}: {f.type}" for f in type.schema)


def _refuse(first: LogicalNode, second: LogicalNode) -> None:
    if first.pinned and second.pinned:
        raise AmbiguousState(
            f"two operators are named `{first.name}` (the other one at {first.where}); names are the identity of "
            "state, give each its own",
            where=second.where,
        )
    if isinstance(second.spec, SinkSpec):
        advice = 'Give one of them a name: `job.write(stream, sink, name="…")`'
    elif isinstance(second.spec, SourceSpec):
        advice = 'Add `.named("…")` to one of them, or read it once and use the stream twice'
    else:
        advice = 'Add `.named("…")` to one of them'
    raise AmbiguousState(
        f"`{second.name}` keeps the same state over the same input as `{first.name}` at {first.where}, so their state "
        f"could not be told apart after a change of the program. {advice}",
        where=second.where,
    )
