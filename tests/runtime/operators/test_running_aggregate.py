"""Running aggregates: a row per row, or a changelog."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowjob import aggregates as agg
from flowjob.plan.specs import AggregateCall, RunningAggregateSpec
from flowjob.plan.types import KeyField, StreamType
from flowjob.runtime.batch import Kind
from flowjob.runtime.operators import running_aggregate
from flowjob.runtime.operators.running_aggregate import RunningAggregate
from tests.reference_model import canonical
from tests.runtime.operators.harness import OperatorHarness, batch
from tests.runtime.operators.windowing import KEY_TYPES, schema


class Product(agg.Aggregate[int, int, int]):
    def create(self) -> int:
        return 1

    def add(self, acc: int, value: int) -> int:
        return acc * value % 1000

    def result(self, acc: int) -> int:
        return acc


AGGREGATES = {
    "n": agg.count(),
    "c": agg.count("v"),
    "s": agg.sum("v"),
    "m": agg.mean("v"),
    "lo": agg.min("v"),
    "hi": agg.max("v"),
    "f": agg.first("v"),
    "l": agg.last("v"),
    "d": agg.count_distinct("v"),
    "all": agg.collect("v"),
    "p": Product("v"),
}


def model(values: list[Any]) -> tuple[Any, ...]:
    held = [v for v in values if v is not None]
    counts = (len(values), len(held))
    if not held:
        return (*counts, None, None, None, None, None, None, 0, None, None)
    product = 1
    for v in held:
        product = product * v % 1000
    mean = sum(held) / len(held)
    sums = (sum(held), mean, min(held), max(held), held[0], held[-1], len(set(held)))
    return (*counts, *sums, held, product)


def operator(key: pa.DataType, *, changelog: bool = False) -> OperatorHarness:
    given_schema = schema(key)
    calls = tuple(AggregateCall(n, a, tuple(map(str, a.inputs))) for n, a in AGGREGATES.items())
    results = [
        pa.field(c.name, c.aggregate.result_type([pa.int64()] * len(c.inputs))) for c in calls
    ]
    spec = RunningAggregateSpec(
        input=StreamType(given_schema),
        output=StreamType(pa.schema([pa.field("k", key), *results])),
        keys=(KeyField("k", "k", key),),
        calls=calls,
        changelog=changelog,
    )
    return OperatorHarness(RunningAggregate(spec))


def feed(
    harness: OperatorHarness, rows: list[tuple[Any, Any]], key: pa.DataType, size: int
) -> None:
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        columns = pa.RecordBatch.from_arrays(
            [pa.array([k for k, _ in some], key), pa.array([v for _, v in some], pa.int64())],
            names=["k", "v"],
        )
        harness.feed(batch(columns, timestamps=range(start, start + len(some))))


def values_of(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in AGGREGATES)


@pytest.mark.parametrize("keys", KEY_TYPES)
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_each_row_gives_the_aggregates_as_of_that_row(keys: str, data: Any) -> None:
    key_type, choices = KEY_TYPES[keys]
    value = st.one_of(st.none(), st.integers(-9, 9))
    rows = data.draw(st.lists(st.tuples(st.sampled_from(choices), value), max_size=30))
    held: dict[Any, list[Any]] = {}
    want = []
    for key, v in rows:
        held.setdefault(canonical(key), []).append(v)
        want.append((canonical(key), model(list(held[canonical(key)]))))
    for size in (1, 7, 1000):
        harness = operator(key_type)
        feed(harness, rows, key_type, size)
        assert [(canonical(r["k"]), values_of(r)) for r in harness.rows] == want
        assert harness.timestamps == list(range(len(rows)))


@settings(max_examples=20, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from(["a", None]), st.one_of(st.none(), st.integers(0, 9)))),
    size=st.sampled_from([1, 3, 100]),
)
def test_a_changelog_keeps_a_table_that_holds_the_latest_value_of_each_key(
    rows: list[tuple[Any, Any]], size: int
) -> None:
    harness = operator(pa.string(), changelog=True)
    feed(harness, rows, pa.string(), size)
    table: dict[Any, Any] = {}
    for kind, row in zip(harness.kinds, harness.rows):
        if kind is Kind.UPDATE_BEFORE:
            assert table.pop(row["k"]) == values_of(row)
            continue
        assert row["k"] not in table
        table[row["k"]] = values_of(row)
    held: dict[Any, list[Any]] = {}
    for key, v in rows:
        held.setdefault(key, []).append(v)
    assert table == {key: model(values) for key, values in held.items()}


def test_an_update_before_directly_precedes_its_update_after() -> None:
    harness = operator(pa.string(), changelog=True)
    feed(harness, [("a", 1), ("b", 2), ("a", 3), ("b", 4), ("b", 5)], pa.string(), 2)
    shown = [(k.name, r["k"], r["s"]) for k, r in zip(harness.kinds, harness.rows)]
    assert shown == [
        ("INSERT", "a", 1),
        ("INSERT", "b", 2),
        ("UPDATE_BEFORE", "a", 1),
        ("UPDATE_AFTER", "a", 4),
        ("UPDATE_BEFORE", "b", 2),
        ("UPDATE_AFTER", "b", 6),
        ("UPDATE_BEFORE", "b", 6),
        ("UPDATE_AFTER", "b", 11),
    ]


def test_lists_that_grow_with_every_row_are_given_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running_aggregate, "_MOST_VALUES", 50)
    harness = operator(pa.int64())
    rows = [(n % 2, n) for n in range(100)]
    feed(harness, rows, pa.int64(), 100)
    assert len(harness.outputs) > 20
    assert harness.timestamps == list(range(100))
    assert [r["all"] for r in harness.rows] == [list(range(n % 2, n + 1, 2)) for n in range(100)]
