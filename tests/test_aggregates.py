"""What aggregates accept, refuse and call themselves."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from flowjob import aggregates as agg
from flowjob.errors import TypeMismatch


class Half(agg.Aggregate[int, int, float]):
    def create(self) -> int:
        return 0

    def add(self, acc: int, value: int) -> int:
        return acc + value

    def result(self, acc: int) -> float:
        return acc / 2


@pytest.mark.parametrize(
    ("aggregate", "given", "type"),
    [
        (agg.count(), [], pa.int64()),
        (agg.sum("x"), [pa.int8()], pa.int64()),
        (agg.sum("x"), [pa.float32()], pa.float64()),
        (agg.sum("x"), [pa.decimal128(9, 2)], pa.decimal128(38, 2)),
        (agg.mean("x"), [pa.int64()], pa.float64()),
        (agg.mean("x"), [pa.decimal128(9, 2)], pa.decimal128(38, 6)),
        (agg.mean("x"), [pa.decimal128(9, 8)], pa.decimal128(38, 8)),
        (agg.max("x"), [pa.date32()], pa.date32()),
        (agg.first("x"), [pa.dictionary(pa.int8(), pa.string())], pa.string()),
        (agg.count_distinct("x"), [pa.string()], pa.int64()),
        (agg.min_by("x", "y"), [pa.string(), pa.int64()], pa.string()),
        (agg.collect("x"), [pa.int32()], pa.list_(pa.int32())),
        (Half("x"), [pa.int64()], pa.float64()),
    ],
    ids=str,
)
def test_result_types(aggregate: agg.Aggregation, given: list[Any], type: pa.DataType) -> None:
    assert aggregate.result_type(given) == type


def test_a_sum_of_strings_is_refused_with_what_to_do() -> None:
    with pytest.raises(TypeMismatch, match=r"sum\(name\) takes numbers.*cast.*string"):
        agg.sum("name").result_type([pa.string()])


def test_an_input_that_is_no_column_is_refused() -> None:
    with pytest.raises(TypeError, match=r"max\(5\): an aggregate reads a column name"):
        agg.max(5)  # type: ignore[arg-type]


def test_a_user_defined_aggregate_needs_its_input_and_its_result_type() -> None:
    with pytest.raises(TypeError, match=r"Half\(\) needs the column it reads"):
        Half()

    class Untyped(Half):
        returns = None

    class Bare(agg.Aggregate):  # type: ignore[type-arg]
        def create(self) -> Any: ...

        def add(self, acc: Any, value: Any) -> Any: ...

        def result(self, acc: Any) -> Any: ...

    assert Untyped("x").result_type([pa.int64()]) == pa.float64()
    with pytest.raises(TypeMismatch, match="Bare does not say what type it gives"):
        Bare("x").result_type([pa.int64()])


def test_only_an_aggregate_with_merge_is_mergeable() -> None:
    assert not Half("x").mergeable
    assert agg.sum("x").mergeable


def test_only_order_sensitive_aggregates_say_so() -> None:
    sensitive = [a for a in (agg.first, agg.last, agg.collect, agg.sum) if a("x").order_sensitive]
    assert sensitive == [agg.first, agg.last, agg.collect]


def test_aggregates_read_as_they_were_written() -> None:
    assert str(agg.max_by("name", "score")) == "max_by(name, score)"
    assert str(agg.count()) == "count()"
    assert str(Half("x")) == "Half(x)"
