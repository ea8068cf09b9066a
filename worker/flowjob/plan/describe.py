"""What explain says below each operator: its expressions, keys, windows and aggregates, and what may surprise.

Part of the plan digest, so it must be the same text in every process: no addresses, no paths."""

from __future__ import annotations

from typing import Any

from flowjob.plan.building import function_name
from flowjob.plan.specs import (
    AggregateCall,
    AssignEventTimeSpec,
    FilterSpec,
    KeyedProcessSpec,
    LocalWindowAggregateSpec,
    OperatorSpec,
    ProjectSpec,
    ReduceSpec,
    RunningAggregateSpec,
    SourceSpec,
    WindowAggregateSpec,
    WindowApplySpec,
)
from flowjob.plan.types import KeyField, StreamType
from flowjob.plan.window_keeping import Keeping, keeping
from flowjob.watermarks import EventTime


def describe(spec: OperatorSpec) -> list[str]:
    """Detail lines for an operator; empty when its name says all."""
    match spec:
        case SourceSpec():
            return _source(spec)
        case ProjectSpec():
            return [f"{n} = {e}" for n, e in spec.outputs if e.column_name != n]
        case FilterSpec():
            return [f"where {spec.predicate}"]
        case AssignEventTimeSpec():
            return [_event_time(spec.event_time)]
        case WindowAggregateSpec():
            phase = ["merges partial aggregates of the senders"] if spec.from_partials else []
            return [*_window(spec), *_calls(spec.calls), *phase]
        case LocalWindowAggregateSpec():
            return [f"per {_keys(spec.keys)} and pane, at the sender", *_calls(spec.calls)]
        case WindowApplySpec():
            return [
                *_window(spec),
                f"apply {function_name(spec.function) or 'function'} to all rows",
            ]
        case RunningAggregateSpec():
            mode = "changelog" if spec.changelog else "one row per input row"
            return [f"per {_keys(spec.keys)}, {mode}", *_calls(spec.calls)]
        case ReduceSpec() | KeyedProcessSpec():
            return [f"per {_keys(spec.keys)}"]
        case _:
            return []


def type_text(type: StreamType) -> str:
    """`origin string, delay double?`; `?` marks nullable columns."""
    if type.schema is None:
        return "Python objects (pickled between processes; declare `returns=` to make them columns)"
    return ", ".join(f"{f.name} {f.type}{'?' if f.nullable else ''}" for f in type.schema)


def _source(spec: SourceSpec) -> list[str]:
    source = spec.source
    lines = [_event_time(source.event_time)] if source.event_time is not None else []
    if source.on_bad_row != "fail":
        lines.append(f"malformed rows: {source.on_bad_row}")
    if not source.bounded:
        lines.append("unbounded")
    return lines


def _event_time(time: EventTime) -> str:
    idle = f", idle after {time.idle_after}" if time.idle_after is not None else ""
    return f"event time {time.column or 'from the source'}, {time.max_delay} behind{idle}"


def _window(spec: Any) -> list[str]:
    lines = [f"per {_keys(spec.keys)}" if spec.keys else "not keyed: runs at parallelism 1"]
    lines.append(str(spec.assigner))
    if spec.trigger is not None:
        lines.append(f"trigger {spec.trigger}")
    if keeping(spec) is Keeping.ROW_WISE:
        lines.append("its trigger sees every row: this window runs row by row")
    if spec.allowed_lateness:
        lines.append(f"allowed lateness {spec.allowed_lateness}")
    return lines


def _calls(calls: tuple[AggregateCall, ...]) -> list[str]:
    return [f"{call.name} = {call.aggregate}" for call in calls]


def _keys(keys: tuple[KeyField, ...]) -> str:
    return ", ".join(
        key.name if key.name == key.column else f"{key.name} ({key.column})" for key in keys
    )
