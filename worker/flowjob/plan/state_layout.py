"""What an operator's stored state depends on, as plain data: recorded in every snapshot, compared at every restore.

Both sides come from the plan alone, so a snapshot is held against a changed program before anything is started. It must
not know how operators keep state in memory (runtime/state/, runtime/operators/)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from flowjob.plan.job_graph import ChainNode, JobGraph
from flowjob.plan.specs import (
    AggregateCall,
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
from flowjob.plan.stored_layout import SectionLayout, StateLayout
from flowjob.plan.stored_state import (
    StoredState,
    key_fields,
    reduce_states,
    split_states,
    stored_state,
)
from flowjob.plan.types import KeyField, StreamType
from flowjob.plan.window_keeping import keeping
from flowjob.state import State, declared_states

ROWS = "rows"
"""In StateLayout.sections: the rows a window keeps."""


def state_layouts(graph: JobGraph) -> list[StateLayout]:
    """Of every operator with a uid, in the order of the graph. Rules that change state layout would show here; there is
    none: two-phase aggregation adds an operator without state, and panes are kept the same with and without it."""
    return [
        layout_of(node)
        for vertex in graph.vertices
        for node in vertex.nodes
        if node.uid is not None
    ]


def layout_of(node: ChainNode) -> StateLayout:
    """Of one operator."""
    spec = node.spec
    sections = {
        name: SectionLayout(schema=_bytes(pa.schema(stored.fields)), kind=stored.kind.value)
        for name, stored in stored_states(spec).items()
    }
    if isinstance(spec, WindowApplySpec) and spec.input.schema is not None:
        sections[ROWS] = SectionLayout(schema=_bytes(spec.input.schema))
    keys: tuple[KeyField, ...] = getattr(spec, "keys", ())
    return StateLayout(
        uid=node.uid or "",
        name=node.name,
        kind=kind_of(spec),
        facts=_facts(spec),
        sections=sections,
        key=_bytes(pa.schema(key_fields(keys))) if keys else b"",
    )


def kind_of(spec: OperatorSpec) -> str:
    """`windowaggregate` for a WindowAggregateSpec."""
    return type(spec).__name__.removesuffix("Spec").lower()


def stored_states(spec: OperatorSpec) -> dict[str, StoredState]:
    """The declared states of a function's operator, by section; none for operators of another sort."""
    keyed: Mapping[str, State] = {}
    shared: Mapping[str, State] = {}
    match spec:
        case KeyedProcessSpec():
            keyed = declared_states(spec.function)
        case ConnectedProcessSpec():
            keyed, shared = split_states(spec.function, broadcast=spec.broadcast)
            keyed = keyed if spec.keys else {}
        case ReduceSpec():
            keyed = reduce_states(spec.output)
    found = [stored_state(name, state) for name, state in keyed.items()]
    found += [stored_state(name, state, broadcast=True) for name, state in shared.items()]
    return {stored.section: stored for stored in found}


def _facts(spec: OperatorSpec) -> dict[str, str]:
    match spec:
        case SourceSpec():
            return {"connector": type(spec.source).__name__}
        case SinkSpec():
            return {"connector": type(spec.sink).__name__}
        case WindowAggregateSpec():
            return _window(spec) | {"aggregates": _calls(spec.calls)}
        case WindowApplySpec():
            return _window(spec) | {"rows": _sort(spec.input)}
        case RunningAggregateSpec():
            return {"aggregates": _calls(spec.calls)}
        case _:
            return {}


def _window(spec: WindowAggregateSpec | WindowApplySpec) -> dict[str, str]:
    return {"window": str(spec.assigner), "kept": keeping(spec).value}


def _calls(calls: Iterable[AggregateCall]) -> str:
    return ", ".join(f"{call.name} = {call.aggregate}" for call in calls)


def _sort(type: StreamType) -> str:
    return "objects" if type.schema is None else "columns"


def _bytes(schema: pa.Schema) -> bytes:
    found: bytes = schema.serialize().to_pybytes()
    return found
