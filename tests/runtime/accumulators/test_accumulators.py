"""Each aggregate over each type it takes, against plain Python, through update, partials, merge and reset."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowjob import aggregates as agg
from flowjob.errors import JobFailed, TypeMismatch
from flowjob.runtime.accumulators.base import Accumulator
from flowjob.runtime.accumulators.making import make_accumulator
from flowjob.runtime.accumulators.value_log import ValueLog

SLOTS = 3


class Median(agg.Aggregate[float, list[float], float]):
    def create(self) -> list[float]:
        return []

    def add(self, acc: list[float], value: float) -> list[float]:
        acc.append(value)
        return acc

    def merge(self, a: list[float], b: list[float]) -> list[float]:
        return a + b

    def result(self, acc: list[float]) -> float:
        return statistics.median(acc)


UTC_TIME = datetime(2020, 2, 29, 12, tzinfo=UTC)
VALUES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "int8": (pa.int8(), [-128, 0, 127]),
    "int64": (pa.int64(), [-(2**57), 0, 7]),
    "uint64": (pa.uint64(), [0, 2**57, 3]),
    "float32": (pa.float32(), [-1.5, 0.25, math.inf]),
    "float64": (pa.float64(), [-1.5, 0.0, 2.5, math.nan, -math.inf]),
    "bool": (pa.bool_(), [False, True]),
    "string": (pa.string(), ["", "a", "é", "zz"]),
    "large_string": (pa.large_string(), ["", "a", "é"]),
    "string_view": (pa.string_view(), ["", "a", "é" * 20]),
    "binary": (pa.binary(), [b"", b"\x00", b"\xff"]),
    "fixed binary": (pa.binary(2), [b"ab", b"\xff\x00"]),
    "decimal": (pa.decimal128(12, 3), [Decimal("-1.250"), Decimal("0.001"), Decimal("99.999")]),
    "wide decimal": (pa.decimal128(37, 0), [Decimal(10) ** 35, Decimal(-3), Decimal(5)]),
    "date": (pa.date32(), [date(1969, 1, 1), date(2020, 2, 29)]),
    "time": (pa.time64("us"), [time(0), time(23, 59)]),
    "timestamp": (pa.timestamp("us", tz="UTC"), [UTC_TIME, UTC_TIME - timedelta(days=1)]),
    "duration": (pa.duration("us"), [timedelta(microseconds=-3), timedelta(days=2)]),
    "dictionary": (pa.dictionary(pa.int32(), pa.string()), ["b", "a"]),
}


def greatest_last(value: Any) -> Any:
    """NaN is greater than every number."""
    return (1, 0) if isinstance(value, float) and value != value else (0, value)


@pytest.fixture(autouse=True)
def _wide_decimals() -> Iterator[None]:
    with localcontext(Context(prec=80)):
        yield


def half_up(value: Decimal, digits: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


Model = Callable[[list[Any], pa.DataType], Any]
MODELS: dict[str, tuple[Callable[..., agg.Aggregation], Model]] = {
    "count": (agg.count, lambda vs, t: len(vs)),
    "sum": (agg.sum, lambda vs, t: sum(vs[1:], vs[0])),
    "mean": (agg.mean, lambda vs, t: mean(vs, t)),
    "min": (agg.min, lambda vs, t: min(vs, key=greatest_last)),
    "max": (agg.max, lambda vs, t: max(vs, key=greatest_last)),
    "first": (agg.first, lambda vs, t: vs[0]),
    "last": (agg.last, lambda vs, t: vs[-1]),
    "count_distinct": (
        agg.count_distinct,
        lambda vs, t: len({("nan",) if v != v else v for v in vs}),
    ),
    "collect": (agg.collect, lambda vs, t: vs),
}


def mean(values: list[Any], type: pa.DataType) -> Any:
    if pa.types.is_decimal(type):
        return half_up(sum(values) / Decimal(len(values)), agg.mean("v").result_type([type]).scale)
    if pa.types.is_duration(type):
        return sum(values, timedelta(0)) // len(values)
    return sum(float(v) for v in values) / len(values)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return (a != a and b != b) or a == b or math.isclose(a, b, rel_tol=1e-9)
    return bool(a == b)


def takes(aggregate: agg.Aggregation, type: pa.DataType) -> bool:
    try:
        aggregate.result_type([type])
    except TypeMismatch:
        return False
    return True


CASES = [
    (name, kind)
    for name, (make, _) in MODELS.items()
    for kind, (type, _) in VALUES.items()
    if takes(make("v"), type)
]


def feed(acc: Accumulator, rows: list[tuple[int, Any]], type: pa.DataType, first: int = 0) -> None:
    slots = np.array([slot for slot, _ in rows], np.int64)
    values = pa.array([value for _, value in rows], type)
    plain = agg.plain(type)
    columns = [values if values.type == plain else values.cast(plain)]
    if acc.needs_arrival:
        columns.append(pa.array(np.arange(first, first + len(rows))))
    acc.update(slots, columns)


def run(
    acc: Accumulator, rows: list[tuple[int, Any]], type: pa.DataType, first: int, at: Any
) -> Any:
    """As `feed`, with the results as of the rows `at`."""
    values = pa.array([value for _, value in rows], type)
    columns = [values if values.type == agg.plain(type) else values.cast(agg.plain(type))]
    if acc.needs_arrival:
        columns.append(pa.array(np.arange(first, first + len(rows))))
    slots = np.array([slot for slot, _ in rows], np.int64)
    got = acc.running(slots, columns, None if at is None else np.array(at, np.int64))
    got.validate(full=True)
    return got


def check(acc: Accumulator, rows: list[tuple[int, Any]], model: Model, type: pa.DataType) -> None:
    got = acc.result(np.arange(SLOTS))
    got.validate(full=True)
    for slot, value in enumerate(got.to_pylist()):
        held = [v for s, v in rows if s == slot and v is not None]
        if not held:
            assert value in (None, 0)
        else:
            assert same(value, model(held, type)), (value, held)


@pytest.mark.parametrize(("name", "kind"), CASES)
@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_an_aggregate_equals_plain_python_when_split_merged_and_reset(
    name: str, kind: str, data: Any
) -> None:
    make, model = MODELS[name]
    type, values = VALUES[kind]
    row = st.tuples(st.integers(0, SLOTS - 1), st.sampled_from([None, *values]))
    before, after = data.draw(st.lists(row, max_size=12)), data.draw(st.lists(row, max_size=12))
    acc = make_accumulator(make("v"), [type])
    assert acc.result(np.empty(0, np.int64)).type == make("v").result_type([type])
    acc.grow(SLOTS)
    feed(acc, before, type)
    other = make_accumulator(make("v"), [type])
    other.grow(SLOTS)
    feed(other, after, type, len(before))
    check(acc, before, model, type)
    partials = other.partials(np.arange(SLOTS))
    assert [p.type for p in partials] == list(other.partial_types)
    acc.merge(np.arange(SLOTS), partials)
    check(acc, before + after, model, type)
    acc.reset(np.array([1]))
    left = [(s, v) for s, v in before + after if s != 1]
    check(acc, left, model, type)
    feed(acc, [(1, values[0])], type, 100)
    check(acc, [*left, (1, values[0])], model, type)
    assert acc.nbytes > 0


@pytest.mark.parametrize(("name", "kind"), CASES)
@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_running_aggregate_is_its_value_as_of_each_row_asked_for(
    name: str, kind: str, data: Any
) -> None:
    make, model = MODELS[name]
    type, values = VALUES[kind]
    row = st.tuples(st.integers(0, SLOTS - 1), st.sampled_from([None, *values]))
    parts = data.draw(st.lists(st.lists(row, max_size=8), min_size=2, max_size=3))
    parts.append([(0, None), (1, None)])
    acc = make_accumulator(make("v"), [type])
    acc.grow(SLOTS)
    fed: list[Any] = []
    for part in parts:
        at = data.draw(
            st.none() | st.sets(st.sampled_from(range(len(part))) if part else st.nothing())
        )
        at = None if at is None else sorted(at)
        got = run(acc, part, type, len(fed), at)
        assert got.type == make("v").result_type([type])
        for i, value in zip(range(len(part)) if at is None else at, got.to_pylist(), strict=True):
            slot = part[i][0]
            held = [v for s, v in [*fed, *part[: i + 1]] if s == slot and v is not None]
            assert same(value, model(held, type)) if held else value in (None, 0)
        fed += part
        check(acc, fed, model, type)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.tuples(st.integers(0, 5), st.sampled_from([None, "a", "b", "c"])), max_size=30)
)
@pytest.mark.parametrize("name", ["first", "last", "collect", "count_distinct", "min", "count"])
def test_merging_slots_within_keeps_the_order_of_arrival(name: str, rows: list[Any]) -> None:
    make, model = MODELS[name]
    acc = make_accumulator(make("v"), [pa.string()])
    acc.grow(6)
    feed(acc, rows, pa.string())
    acc.merge_within(np.array([0, 0, 1]), np.array([3, 4, 5]))
    acc.reset(np.array([3, 4, 5]))
    moved = [({3: 0, 4: 0, 5: 1}.get(s, s), v) for s, v in rows]
    check(acc, moved, model, pa.string())


@pytest.mark.parametrize("by", ["int64", "float64", "string", "decimal"])
@pytest.mark.parametrize("greatest", [False, True])
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_min_by_and_max_by_give_the_first_of_equals(by: str, greatest: bool, data: Any) -> None:
    type, values = VALUES[by]
    row = st.tuples(
        st.integers(0, SLOTS - 1),
        st.sampled_from([None, *values]),
        st.sampled_from([None, "x", "y"]),
    )
    rows = data.draw(st.lists(row, max_size=20))
    acc = make_accumulator((agg.max_by if greatest else agg.min_by)("v", "b"), [pa.string(), type])
    acc.grow(SLOTS)
    running = make_accumulator(
        (agg.max_by if greatest else agg.min_by)("v", "b"), [pa.string(), type]
    )
    running.grow(SLOTS)
    pick = max if greatest else min

    def want(rows: list[Any], slot: int) -> Any:
        held = [r for r in rows if r[0] == slot and r[1] is not None]
        return pick(held, key=lambda r: greatest_last(r[1]))[2] if held else None

    for start in range(0, len(rows), 6):
        some = rows[start : start + 6]
        slots = np.array([r[0] for r in some])
        columns = [
            pa.array([r[2] for r in some], pa.string()),
            pa.array([r[1] for r in some], type),
            pa.array(np.arange(start, start + len(some))),
        ]
        acc.update(slots, columns)
        assert running.running(slots, columns).to_pylist() == [
            want(rows[: start + i + 1], r[0]) for i, r in enumerate(some)
        ]
    assert acc.result(np.arange(SLOTS)).to_pylist() == [want(rows, s) for s in range(SLOTS)]
    assert running.result(np.arange(SLOTS)).to_pylist() == [want(rows, s) for s in range(SLOTS)]


def test_a_sum_of_integers_that_leaves_int64_is_an_error() -> None:
    acc = make_accumulator(agg.sum("v"), [pa.int64()])
    acc.grow(1)
    feed(acc, [(0, 2**62)], pa.int64())
    with pytest.raises(JobFailed, match="left the range of int64"):
        feed(acc, [(0, 2**62)], pa.int64())


def test_a_sum_of_decimals_beyond_38_digits_is_an_error() -> None:
    type = pa.decimal128(38, 0)
    acc = make_accumulator(agg.sum("v"), [type])
    acc.grow(1)
    feed(acc, [(0, Decimal(9) * 10**37), (0, Decimal(9) * 10**37)], type)
    with pytest.raises(JobFailed, match="more than 38 digits"):
        acc.result(np.array([0]))


def test_a_mean_of_decimals_is_rounded_half_away_from_zero() -> None:
    type = pa.decimal128(10, 6)
    acc = make_accumulator(agg.mean("v"), [type])
    acc.grow(2)
    feed(
        acc,
        [(0, Decimal("0.000001")), (0, Decimal(0)), (1, Decimal("-0.000001")), (1, Decimal(0))],
        type,
    )
    assert acc.result(np.arange(2)).to_pylist() == [Decimal("0.000001"), Decimal("-0.000001")]


def test_a_user_defined_aggregate_skips_nulls_and_is_null_without_rows() -> None:
    acc = make_accumulator(Median("v"), [pa.float64()])
    acc.grow(2)
    feed(acc, [(0, 3.0), (0, None), (0, 1.0)], pa.float64())
    assert acc.result(np.arange(2)).to_pylist() == [2.0, None]
    acc.merge(np.array([1]), acc.partials(np.array([0])))
    acc.merge_within(np.array([1]), np.array([0]))
    assert acc.result(np.array([1])).to_pylist() == [2.0]


def test_a_user_defined_aggregate_of_several_inputs_gets_tuples() -> None:
    class Weighted(agg.Aggregate[tuple[float, float], float, float]):
        def create(self) -> float:
            return 0.0

        def add(self, acc: float, value: tuple[float, float]) -> float:
            return acc + value[0] * value[1]

        def result(self, acc: float) -> float:
            return acc

    acc = make_accumulator(Weighted("a", "b"), [pa.float64(), pa.float64()])
    acc.grow(1)
    acc.update(np.array([0, 0]), [pa.array([2.0, 3.0]), pa.array([5.0, None])])
    assert acc.result(np.array([0])).to_pylist() == [10.0]


def test_kept_values_own_their_bytes_and_stay_bounded() -> None:
    acc = make_accumulator(agg.last("v"), [pa.string()])
    acc.grow(10)
    for i in range(500):
        feed(acc, [(slot, "x" * 100) for slot in range(10)], pa.string(), i * 10)
    assert acc.nbytes < 10 * 100 * 400
    log = ValueLog(pa.string())
    log.append(pa.array(["y" * 1000] * 1000).slice(0, 1))
    assert log.nbytes < 2000


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.data())
def test_a_log_gives_values_back_by_row_whatever_chunks_it_keeps(
    sizes: list[int], data: st.DataObject
):
    log, count = ValueLog(pa.int64()), sum(sizes)
    for end, size in zip(np.cumsum(sizes), sizes):
        log.append(pa.array(np.arange(end - size, end)))
    first = data.draw(st.integers(0, count - 1))
    run = np.arange(first, data.draw(st.integers(first, count)))
    assert log.take(run).to_pylist() == run.tolist()
    some = data.draw(st.lists(st.integers(-1, count - 1), max_size=9))
    expected = [row if row >= 0 else None for row in some]
    assert log.take(np.array(some, np.int64)).to_pylist() == expected
