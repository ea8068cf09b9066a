"""Two-phase aggregation gives what one phase gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowjob import aggregates as agg
from flowjob.core.elements import MAX_TIME, Watermark
from flowjob.plan.partials import partial_fields, partial_types, two_phase_possible
from flowjob.plan.specs import LocalWindowAggregateSpec, WindowAggregateSpec
from flowjob.plan.types import StreamType
from flowjob.runtime.accumulators.making import make_accumulator
from flowjob.runtime.batch import Batch
from flowjob.runtime.operators.local_window_aggregate import LocalWindowAggregate
from flowjob.runtime.operators.window_aggregate import window_aggregate
from flowjob.windows import sliding, tumbling
from tests.runtime.operators.harness import OperatorHarness
from tests.runtime.operators.windowing import KEY_TYPES, MICRO, event_lists, fired, run, spec

AGGREGATES = {
    "n": agg.count(),
    "c": agg.count("v"),
    "s": agg.sum("v"),
    "m": agg.mean("v"),
    "lo": agg.min("v"),
    "hi": agg.max("v"),
}


def local_of(declared: WindowAggregateSpec) -> LocalWindowAggregateSpec:
    schema = declared.input.schema
    fields = [schema.field(k.column) for k in declared.keys]
    fields += [pa.field("__pane", pa.int64()), *partial_fields(declared)]
    return LocalWindowAggregateSpec(
        input=declared.input,
        output=StreamType(pa.schema(fields)),
        keys=declared.keys,
        assigner=declared.assigner,
        calls=declared.calls,
    )


@pytest.mark.parametrize("keys", KEY_TYPES)
@pytest.mark.parametrize("assigner", [tumbling(MICRO * 10), sliding(MICRO * 20, MICRO * 5)])
@pytest.mark.parametrize("bypass", [False, True])
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_partials_merged_at_the_receiver_give_the_results_of_one_phase(
    keys: str, assigner: Any, bypass: bool, data: Any
) -> None:
    key_type, values = KEY_TYPES[keys]
    events = data.draw(event_lists(values, st.one_of(st.none(), st.integers(-9, 9))))
    events = [*events, ("watermark", MAX_TIME)]
    declared = spec(assigner, AGGREGATES, key=key_type)
    want = run(declared, events, batch_size=None)
    local = LocalWindowAggregate(local_of(declared))
    first = OperatorHarness(local)
    local._bypass = 10**9 if bypass else 0
    run(declared, events, batch_size=7, harness=first)
    second = OperatorHarness(window_aggregate(replace(declared, from_partials=True)))
    for output in first.outputs:
        if isinstance(output, Watermark):
            second.watermark(output.time)
        else:
            assert isinstance(output, Batch)
            second.feed(output)
    assert fired(second, *AGGREGATES) == fired(want, *AGGREGATES)
    assert second.side("late") == []


@pytest.mark.parametrize(
    "type",
    [pa.int32(), pa.float32(), pa.decimal128(9, 2), pa.duration("s")],
    ids=str,
)
@pytest.mark.parametrize("make", [agg.count, agg.sum, agg.mean, agg.min, agg.max])
def test_planned_partial_types_are_those_of_the_accumulators(make: Any, type: pa.DataType) -> None:
    aggregate = make("v")
    assert partial_types(aggregate, [type]) == make_accumulator(aggregate, [type]).partial_types


def test_order_sensitive_aggregates_and_lateness_keep_it_in_one_phase() -> None:
    assert two_phase_possible(spec(tumbling(MICRO), {"n": agg.count()}))
    assert not two_phase_possible(spec(tumbling(MICRO), {"n": agg.first("v")}))
    assert not two_phase_possible(spec(tumbling(MICRO), {"n": agg.count()}, lateness=1))
