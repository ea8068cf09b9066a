"""What two-phase window aggregation needs to know at plan time: where it is possible, and its
partial columns.

The types here are the contract between senders and receivers; runtime/accumulators has the same,
and a test compares them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pyarrow as pa

from flowjob import aggregates
from flowjob.plan.specs import AggregateCall, WindowAggregateSpec
from flowjob.triggers import EventTimeTrigger
from flowjob.windows import Sliding, TimeDomain, Tumbling

PANE_COLUMN = "__pane"
"""In partial rows: the start of the pane, int64 µs."""

PARTIAL_PREFIX = "__p"
_DECIMAL_LIMBS = 4


def two_phase_possible(spec: WindowAggregateSpec) -> bool:
    """Whether senders may pre-aggregate without changing any result.

    Not with lateness (each late row fires by itself), other triggers (they count rows), sessions,
    or aggregates that depend on order. Late rows would come out as partial rows: the planner also
    asks that nothing reads them."""
    return (
        isinstance(spec.assigner, Tumbling | Sliding)
        and spec.assigner.time is TimeDomain.EVENT
        and (spec.trigger is None or isinstance(spec.trigger, EventTimeTrigger))
        and spec.allowed_lateness == timedelta(0)
        and not spec.from_partials
        and all(call.aggregate.two_phase for call in spec.calls)
    )


def partial_fields(spec: WindowAggregateSpec) -> list[pa.Field]:
    """The partial columns `__p0`, `__p1` … of all calls, in order."""
    schema = spec.input.schema
    assert schema is not None
    types = [
        type
        for call in spec.calls
        for type in partial_types(call.aggregate, [schema.field(c).type for c in call.inputs])
    ]
    return [pa.field(f"{PARTIAL_PREFIX}{i}", type) for i, type in enumerate(types)]


def partial_columns(calls: Sequence[AggregateCall], schema: pa.Schema) -> list[list[str]]:
    """Per call, the names of its partial columns."""
    names: list[list[str]] = []
    count = 0
    for call in calls:
        types = partial_types(call.aggregate, [schema.field(c).type for c in call.inputs])
        names.append([f"{PARTIAL_PREFIX}{count + i}" for i in range(len(types))])
        count += len(types)
    return names


def partial_types(
    aggregate: aggregates.Aggregation, input_types: Sequence[pa.DataType]
) -> tuple[pa.DataType, ...]:
    """The partial form of a `two_phase` aggregate."""
    inputs = [aggregates.plain(type) for type in input_types]
    match aggregate:
        case aggregates.Count():
            return (pa.int64(),)
        case aggregates.Sum() | aggregates.Mean():
            if pa.types.is_decimal(inputs[0]):
                return (pa.int64(),) * (_DECIMAL_LIMBS + 1)
            result = aggregate.result_type(input_types)
            return (pa.float64() if pa.types.is_floating(result) else pa.int64(), pa.int64())
        case aggregates.Min() | aggregates.Max():
            fixed = aggregates.fixed_order(inputs[0])
            return (pa.int64(), pa.bool_()) if fixed else (inputs[0], pa.int64())
    raise TypeError(f"{aggregate} cannot be computed in two phases")
