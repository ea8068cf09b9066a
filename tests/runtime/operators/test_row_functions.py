"""map, flat_map and filter by functions: results, what rows keep, pauses, and what a failure says."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.plan.specs import FilterRowsSpec, FlatMapSpec, MapSpec
from flowjob.plan.types import OBJECTS, StreamType
from flowjob.runtime.batch import Kind, Rows
from flowjob.runtime.operators.base import PAUSE
from flowjob.runtime.operators.failures import RowFailed, WrongResult
from flowjob.runtime.operators.row_functions import FilterRows, FlatMap, Map
from flowjob.schema import Schema
from tests.runtime.operators.harness import MockClock, OperatorHarness

IN, UB, UA, D = Kind.INSERT, Kind.UPDATE_BEFORE, Kind.UPDATE_AFTER, Kind.DELETE


class Point(Schema):
    x: int


class Other(Schema):
    x: int


def mapping(function: Any, output: StreamType = OBJECTS) -> Map:
    return Map(MapSpec(input=OBJECTS, output=output, function=function))


def filtering(function: Any) -> FilterRows:
    return FilterRows(FilterRowsSpec(input=OBJECTS, output=OBJECTS, function=function))


def flattening(function: Any, output: StreamType = OBJECTS) -> FlatMap:
    return FlatMap(FlatMapSpec(input=OBJECTS, output=output, function=function))


def rows(values: list[Any], timestamps: Any = None, kinds: Any = None) -> Rows:
    return Rows(
        values,
        None if timestamps is None else np.array(timestamps, np.int64),
        None if kinds is None else np.array(kinds, np.int8),
    )


def failure(operator: Any, data: Rows) -> RowFailed:
    with pytest.raises(RowFailed) as caught:
        OperatorHarness(operator).feed(data)
    return caught.value


# -- results


def test_map_gives_one_row_for_each_with_its_timestamp_and_kind() -> None:
    harness = OperatorHarness(mapping(lambda x: x * 10))
    harness.feed(rows([1, 2, 3], [5, 6, 7], [IN, UB, UA]))
    assert harness.rows == [10, 20, 30]
    assert harness.timestamps == [5, 6, 7]
    assert harness.kinds == [IN, UB, UA]


def test_filter_keeps_rows_whose_result_is_true_in_any_way() -> None:
    harness = OperatorHarness(filtering(lambda x: [x] if x % 2 else ""))
    harness.feed(rows([1, 2, 3], [5, 6, 7]))
    harness.feed(rows([1, 2, 3]))
    assert harness.rows == [1, 3, 1, 3]
    assert harness.timestamps == [5, 7, None, None]


def test_filter_gives_nothing_when_nothing_is_left() -> None:
    assert OperatorHarness(filtering(lambda _: False)).feed(rows([1, 2])) == []


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ([1, 1, 1, 1, 1], [IN, UB, UA, UB, UA]),
        ([0, 1, 0, 1, 1], [D, UB, UA]),
        ([0, 0, 1, 1, 0], [IN, D]),
        ([1, 0, 0, 0, 1], [IN, IN]),
    ],
)
def test_filter_turns_half_an_update_into_a_delete_or_an_insert(
    kept: list[int], expected: list[Kind]
) -> None:
    harness = OperatorHarness(filtering(lambda x: kept[x]))
    harness.feed(rows(list(range(5)), None, [IN, UB, UA, UB, UA]))
    assert harness.kinds == expected


def test_flat_map_takes_lists_tuples_generators_and_any_iterable() -> None:
    results = {1: ["a", "b"], 2: [], 3: ("c",), 4: (c for c in "de"), 5: {"f": 1}, 6: iter([])}
    harness = OperatorHarness(flattening(results.__getitem__))
    harness.feed(rows(list(results), [10, 20, 30, 40, 50, 60]))
    assert harness.rows == ["a", "b", "c", "d", "e", "f"]
    assert harness.timestamps == [10, 10, 30, 40, 40, 50]


def test_flat_map_draws_from_a_generator_bit_by_bit() -> None:
    drawn = []

    def endless(start: int) -> Any:
        for i in count(start):
            drawn.append(i)
            yield i

    operator = flattening(endless)
    OperatorHarness(operator, batch_rows=10)
    outputs = (o for o in operator.process(rows([7], [99]), 0) if isinstance(o, Rows))
    first, second = next(outputs), next(outputs)
    assert first.values + second.values == list(range(7, 27))
    assert set(second.timestamps.tolist()) == {99}
    assert len(drawn) == 20


@given(
    st.lists(st.integers(0, 25), max_size=40),
    st.sampled_from([list, tuple, iter]),
    st.sampled_from([1, 7, 1000]),
)
@settings(max_examples=60)
def test_flat_map_gives_the_same_rows_and_times_at_any_batch_size(
    sizes: list[int], kind: Any, batch_rows: int
) -> None:
    harness = OperatorHarness(
        flattening(lambda n: kind([(n, i) for i in range(n)])), batch_rows=batch_rows
    )
    harness.feed(rows(sizes, range(len(sizes))))
    assert harness.rows == [(n, i) for n in sizes for i in range(n)]
    assert harness.timestamps == [t for t, n in enumerate(sizes) for _ in range(n)]
    assert all(len(o) <= batch_rows for o in harness.outputs)


# -- failures


@pytest.mark.parametrize("operator", [mapping, filtering, flattening])
def test_a_failure_names_the_function_the_row_and_its_cause(operator: Any) -> None:
    def invert(x: int) -> Any:
        return [1 / x]

    error = failure(operator(invert), rows([*range(100, 0, -1), 0, 5]))
    assert "invert" in error.function
    assert error.row == "0"
    assert isinstance(error.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("operator", [mapping, filtering, flattening])
def test_stop_iteration_from_a_function_is_a_failure_not_an_end(operator: Any) -> None:
    def stop(x: int) -> Any:
        if x == 2:
            raise StopIteration
        return [x]

    error = failure(operator(stop), rows([1, 2, 3]))
    assert error.row == "2"
    assert "StopIteration" in f"{error.__cause__!r}"


def test_a_lambda_is_named_by_its_line() -> None:
    assert "test_row_functions.py:" in failure(mapping(lambda x: 1 / x), rows([0])).function


def test_a_row_that_cannot_be_printed_does_not_hide_the_failure() -> None:
    class Unprintable:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    error = failure(mapping(lambda x: x.missing), rows([Unprintable()]))
    assert error.row == "<Unprintable whose repr raised RuntimeError>"
    assert isinstance(error.__cause__, AttributeError)


@pytest.mark.parametrize("operator", [mapping, flattening])
def test_a_wrong_type_names_the_function_the_row_and_both_types(operator: Any) -> None:
    def convert(x: int) -> Any:
        made = Other(x) if x == 3 else Point(x)
        return made if operator is mapping else [made]

    error = failure(operator(convert, Point.stream_type()), rows([1, 2, 3, 4]))
    assert error.row == "3"
    assert isinstance(error.__cause__, WrongResult)
    for part in ("convert", "Point", "Other(x=3)"):
        assert part in str(error.__cause__)


def test_a_row_of_a_subclass_is_welcome() -> None:
    class Sharp(Point):
        pass

    harness = OperatorHarness(mapping(Sharp, Point.stream_type()))
    harness.feed(rows([1]))
    assert harness.rows == [Sharp(1)]


def test_flat_map_that_returns_none_is_told_what_to_return() -> None:
    error = failure(flattening(lambda x: None), rows([1]))
    assert "returned None" in str(error.__cause__)
    assert "empty for none" in str(error.__cause__)


def test_flat_map_that_returns_one_row_is_told_to_return_a_list() -> None:
    error = failure(flattening(Point), rows([1]))
    assert "Point(x=1)" in str(error.__cause__)
    assert "even for one row" in str(error.__cause__)


def test_a_type_error_inside_a_generator_is_the_functions_own() -> None:
    def broken(x: int) -> Any:
        yield x
        yield x + "a"  # type: ignore[operator]

    cause = failure(flattening(broken), rows([1])).__cause__
    assert type(cause) is TypeError


def test_a_filter_result_without_truth_is_a_failure_of_its_row() -> None:
    error = failure(filtering(lambda x: np.zeros(x)), rows([1, 2, 1], [1, 2, 3]))
    assert error.row == "2"


# -- pauses


class Slow:
    """Takes `micros` of the mock clock for each row."""

    def __init__(self, clock: MockClock, micros: int) -> None:
        self.clock, self.micros = clock, micros

    def __call__(self, x: int) -> Any:
        self.clock.set(self.clock.wall() + self.micros)
        return [x]


@pytest.mark.parametrize("operator", [mapping, filtering, flattening])
@pytest.mark.parametrize("micros", [10, 100, 5000])
def test_a_slow_function_pauses_about_every_millisecond(operator: Any, micros: int) -> None:
    clock = MockClock()
    slow = operator(Slow(clock, micros))
    OperatorHarness(slow, clock=clock)
    pauses = [clock.wall()]
    warm = rows(list(range(64)))
    list(slow.process(warm, 0))  # by then it knows how slow the function is
    for output in slow.process(rows(list(range(2000))), 0):
        if output is PAUSE:
            pauses.append(clock.wall())
    gaps = np.diff(pauses[1:])
    assert len(gaps) > 5
    assert gaps.max() <= max(2_000, micros)


def test_a_fast_function_does_not_pause() -> None:
    operator = mapping(lambda x: x)
    OperatorHarness(operator)
    assert len(list(operator.process(rows(list(range(16_384))), 0))) == 1
