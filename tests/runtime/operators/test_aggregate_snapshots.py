"""reduce, running aggregates and with_event_time, restored at another parallelism."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob import aggregates as agg
from flowjob.core.elements import Watermark
from flowjob.errors import StateMismatch
from flowjob.plan.specs import (
    AggregateCall,
    AssignEventTimeSpec,
    ReduceSpec,
    RunningAggregateSpec,
)
from flowjob.plan.types import OBJECT_COLUMN, OBJECTS, KeyField, StreamType
from flowjob.runtime.batch import Batch
from flowjob.runtime.checkpoint.sections import Distribution, Part, RestoredState, Section
from flowjob.runtime.operators.assign_event_time import AssignEventTime
from flowjob.runtime.operators.base import Operator
from flowjob.runtime.operators.checked import Checked
from flowjob.runtime.operators.reduce import Reduce
from flowjob.runtime.operators.running_aggregate import RunningAggregate
from flowjob.schema import Schema
from flowjob.watermarks import EventTime as EventTimeSetting
from tests.reference_model import canonical
from tests.runtime.operators.harness import OperatorHarness, batch
from tests.runtime.operators.rescaling import Feed, Fleet, Rescale, check_rescaling, restored
from tests.runtime.operators.test_running_aggregate import AGGREGATES
from tests.runtime.operators.windowing import INT64, KEY_TYPES, schema


def running(
    key: pa.DataType | None,
    value: pa.DataType = INT64,
    *,
    changelog: bool = False,
    aggregates: dict[str, Any] | None = None,
) -> Callable[[], Operator]:
    given_schema = schema(key or pa.int64(), value)
    chosen = AGGREGATES if aggregates is None else aggregates
    calls = tuple(AggregateCall(n, a, tuple(map(str, a.inputs))) for n, a in chosen.items())
    results = [pa.field(c.name, c.aggregate.result_type([value] * len(c.inputs))) for c in calls]
    keys = () if key is None else (KeyField("k", "k", key),)
    spec = RunningAggregateSpec(
        input=StreamType(given_schema),
        output=StreamType(pa.schema([pa.field(k.name, k.type) for k in keys] + results)),
        keys=keys,
        calls=calls,
        changelog=changelog,
    )
    return lambda: Checked(RunningAggregate(spec), spec)


def feed(
    rows: list[tuple[Any, Any]], key: pa.DataType, value: pa.DataType, keys: tuple[str, ...]
) -> Feed:
    columns = pa.RecordBatch.from_arrays(
        [pa.array([k for k, _ in rows], key), pa.array([v for _, v in rows], value)],
        schema=schema(key, value),
    )
    return Feed(batch(columns, timestamps=range(len(rows))), keys=keys)


@given(st.data(), st.sampled_from(sorted(KEY_TYPES)), st.booleans())
@settings(max_examples=40, deadline=None)
def test_running_aggregates_go_on_at_another_parallelism(data, kind: str, changelog: bool) -> None:
    key, keys = KEY_TYPES[kind]
    rows = st.lists(
        st.tuples(st.sampled_from(keys), st.one_of(st.none(), st.integers(-5, 5))),
        min_size=1,
        max_size=6,
    )
    step = st.one_of(
        rows.map(lambda r: feed(r, key, pa.int64(), ("k",))),
        st.sampled_from([1, 2, 5]).map(Rescale),
    )
    check_rescaling(
        running(key, changelog=changelog),
        data.draw(st.lists(step, max_size=8)),
        key_of=lambda row: canonical(row["k"]),
        parallelism=data.draw(st.integers(1, 3)),
    )


@given(st.lists(st.floats(), max_size=20), st.integers(0, 20))
@settings(max_examples=40, deadline=None)
def test_running_sums_of_floats_go_on_to_the_last_bit(values: list[float], cut: int) -> None:
    chosen = {n: a for n, a in AGGREGATES.items() if n not in "pd"}
    steps = [feed([(None, v)], pa.int64(), pa.float64(), ()) for v in values]
    check_rescaling(
        running(None, pa.float64(), aggregates=chosen),
        [*steps[:cut], Rescale(3), Rescale(1), *steps[cut:]],
    )


def test_the_state_of_running_aggregates_can_be_read() -> None:
    chosen = {"n": agg.count(), "total": agg.sum("v")}
    fleet = Fleet(running(pa.string(), aggregates=chosen), 1)
    fleet.take(feed([("a", 1), (None, 5), ("a", 2)], pa.string(), pa.int64(), ("k",)))
    ((section,),) = fleet.snapshot()
    assert section.name == "aggregates"
    assert section.distribution is Distribution.KEYED
    assert section.meta == {"arrived": 3}
    assert section.table.select(["key.k", "n", "total"]).to_pylist() == [
        {"key.k": "a", "n": 2, "total": 3},
        {"key.k": None, "n": 1, "total": 5},
    ]


def _stored_total() -> RestoredState:
    fleet = Fleet(running(pa.string(), aggregates={"total": agg.sum("v")}), 1)
    fleet.take(feed([("a", 1)], pa.string(), pa.int64(), ("k",)))
    return restored(fleet.snapshot(), 0, 1)


def test_a_running_aggregate_that_the_snapshot_lacks_is_refused() -> None:
    wanted = {"total": agg.sum("v"), "n": agg.count()}
    harness = OperatorHarness(running(pa.string(), aggregates=wanted)())
    with pytest.raises(StateMismatch, match=r"no column `n`.* an `agg` of its own"):
        harness.operator.restore(_stored_total())


def test_a_key_that_a_snapshot_has_twice_is_refused() -> None:
    (part,) = _stored_total().parts("aggregates")
    twice = Part(pa.concat_tables([part.table, part.table]).combine_chunks(), {})
    harness = OperatorHarness(running(pa.string(), aggregates={"total": agg.sum("v")})())
    with pytest.raises(StateMismatch, match="twice"):
        harness.operator.restore(RestoredState({"aggregates": [twice]}))


# -- reduce


class Sale(Schema):
    k: str | None
    total: int


def reducing(*, changelog: bool = False) -> Callable[[], Operator]:
    spec = ReduceSpec(
        input=Sale.stream_type(),
        output=Sale.stream_type(),
        keys=(KeyField("k", "k", pa.string()),),
        function=lambda a, b: Sale(a.k, a.total * 3 + b.total),
        changelog=changelog,
    )
    return lambda: Checked(Reduce(spec), spec)


SALES = st.lists(
    st.tuples(st.sampled_from([None, "", "a", "b", "c"]), st.integers(0, 9)), min_size=1, max_size=6
)


def sales(rows: list[tuple[str | None, int]]) -> Feed:
    dicts = [{"k": k, "total": t} for k, t in rows]
    return Feed(batch(dicts, Sale.arrow_schema(), timestamps=range(len(rows))))


@given(
    st.lists(st.one_of(SALES.map(sales), st.sampled_from([1, 2, 4]).map(Rescale)), max_size=8),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_reduce_goes_on_at_another_parallelism(steps: list[Any], changelog: bool) -> None:
    check_rescaling(reducing(changelog=changelog), steps, key_of=lambda row: row.k)


def test_a_reduce_of_objects_has_none_as_a_row() -> None:
    spec = ReduceSpec(
        input=StreamType(pa.schema([("__k", pa.int64()), (OBJECT_COLUMN, pa.binary())])),
        output=OBJECTS,
        keys=(KeyField("__k", "k", pa.int64()),),
        function=lambda a, b: (a, b),
    )

    def objects(*values: Any) -> Feed:
        columns = {"__k": [1] * len(values), OBJECT_COLUMN: [pickle.dumps(v) for v in values]}
        made = pa.RecordBatch.from_pydict(columns, schema=spec.input.schema)
        return Feed(Batch(made), keys=("__k",))

    given_ = check_rescaling(
        lambda: Reduce(spec),
        [objects(None), Rescale(2), objects(None, {1}), Rescale(3), objects(2)],
    )
    assert [g.row for g in given_] == [
        None,
        (None, None),
        ((None, None), {1}),
        (((None, None), {1}), 2),
    ]


# -- with_event_time


def assigning(*, every: int | None = None) -> Callable[[], Operator]:
    type = StreamType(pa.schema([("at", pa.timestamp("us", "UTC"))]))
    time = EventTimeSetting("at", timedelta(microseconds=10), watermark_every=every)
    spec = AssignEventTimeSpec(input=type, output=type, event_time=time)
    return lambda: Checked(AssignEventTime(spec), spec)


def at(*times: int) -> Batch:
    return batch(
        pa.RecordBatch.from_arrays([pa.array(times, pa.timestamp("us", "UTC"))], names=["at"])
    )


def watermarks(harness: OperatorHarness, *times: int) -> list[int]:
    return [o.time for o in harness.feed(at(*times)) if isinstance(o, Watermark)]


def test_the_watermark_does_not_begin_anew_after_a_restore() -> None:
    fleet = Fleet(assigning(), 1)
    fleet.subtasks[0].feed(at(1000))
    (harness,) = fleet.rescaled(1).subtasks
    assert watermarks(harness, 500) == [989]
    assert watermarks(harness, 2000) == [1989]


def test_of_several_subtasks_the_one_that_is_behind_holds_for_all() -> None:
    fleet = Fleet(assigning(), 2)
    fleet.subtasks[0].feed(at(1000))
    fleet.subtasks[1].feed(at(300))
    for harness in fleet.rescaled(3).subtasks:
        assert watermarks(harness, 100) == [289]
    fresh = Fleet(assigning(), 2)
    fresh.subtasks[0].feed(at(1000))
    for harness in fresh.rescaled(1).subtasks:
        assert watermarks(harness, 100) == [89]


def test_pinned_watermarks_keep_their_positions_at_the_same_parallelism() -> None:
    fleet = Fleet(assigning(every=3), 1)
    fleet.subtasks[0].feed(at(100, 200))
    (harness,) = fleet.rescaled(1).subtasks
    assert watermarks(harness, 300) == [289]
    assert watermarks(harness, 400, 500) == []


# -- what is checked of every operator in tests


class Careless(Operator):
    """Its snapshot is a change."""

    def __init__(self) -> None:
        self.taken = 0

    def snapshot(self):
        self.taken += 1
        yield Section("n", Distribution.SPLIT, pa.table({"n": [self.taken]}))


def test_a_snapshot_that_changes_something_is_found_in_tests() -> None:
    spec = AssignEventTimeSpec(
        input=OBJECTS, output=OBJECTS, event_time=EventTimeSetting("at", timedelta())
    )
    with pytest.raises(AssertionError, match=r"section `n`: a second snapshot has other rows"):
        list(Checked(Careless(), spec).snapshot())
