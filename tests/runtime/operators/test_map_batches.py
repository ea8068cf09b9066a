"""map_batches: a function over whole batches, held against the type it declares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from flowjob.plan.specs import MapBatchesSpec
from flowjob.plan.types import StreamType
from flowjob.runtime.batch import Batch, Kind
from flowjob.runtime.operators.failures import WrongResult
from flowjob.runtime.operators.map_batches import MapBatches
from tests.runtime.operators.harness import OperatorHarness, batch

INPUT = pa.schema({"a": pa.int64(), "__key0": pa.int64()})
OUTPUT = pa.schema([pa.field("x", pa.int64(), nullable=False), pa.field("y", pa.string())])


def run(function: Callable[..., Any], data: Batch, *, batch_rows: int = 100) -> list[Batch]:
    spec = MapBatchesSpec(input=StreamType(INPUT), output=StreamType(OUTPUT), function=function)
    harness = OperatorHarness(MapBatches(spec), batch_rows=batch_rows)
    return [o for o in harness.feed(data) if isinstance(o, Batch)]


def of(*values: int, kinds: list[Kind] | None = None) -> Batch:
    rows = [{"a": v, "__key0": 0} for v in values]
    return batch(rows, INPUT, timestamps=[v * 10 for v in values], kinds=kinds)


def score(columns: pa.RecordBatch) -> dict[str, Any]:
    return {"y": ["s"] * columns.num_rows, "x": pc.add(columns.column("a"), 1)}


def test_a_function_sees_visible_columns_and_its_result_gets_the_declared_order() -> None:
    seen: list[list[str]] = []

    def watching(columns: pa.RecordBatch) -> Any:
        seen.append(columns.schema.names)
        return score(columns)

    (out,) = run(watching, of(1, 2))
    assert seen == [["a"]]
    assert out.columns.schema == OUTPUT
    assert out.columns.to_pylist() == [{"x": 2, "y": "s"}, {"x": 3, "y": "s"}]


@pytest.mark.parametrize("form", [pa.RecordBatch.from_pydict, pa.table, dict])
def test_a_result_may_be_a_batch_a_table_or_a_dict(form: Callable[..., Any]) -> None:
    (out,) = run(lambda columns: form(score(columns)), of(1))
    assert out.columns.to_pylist() == [{"x": 2, "y": "s"}]


def test_as_many_rows_keep_their_timestamps_and_kinds() -> None:
    data = of(3, 1, kinds=[Kind.INSERT, Kind.DELETE])
    (out,) = run(score, data)
    assert out.timestamps is data.timestamps
    assert out.kinds is data.kinds


def test_another_number_of_rows_gets_the_latest_timestamp() -> None:
    (out,) = run(lambda _: {"x": [1, 2, 3], "y": [None] * 3}, of(3, 1))
    assert out.timestamps is not None
    assert out.timestamps.tolist() == [30, 30, 30]


def test_another_number_of_rows_is_refused_when_some_are_updates() -> None:
    with pytest.raises(WrongResult, match="each row must stay"):
        run(lambda _: {"x": [1], "y": ["s"]}, of(1, 2, kinds=[Kind.INSERT, Kind.DELETE]))


def test_no_rows_give_no_batch_and_many_rows_several() -> None:
    assert run(lambda _: {"x": [], "y": []}, of(1)) == []
    parts = run(lambda _: {"x": range(5), "y": [None] * 5}, of(1), batch_rows=2)
    assert [len(p) for p in parts] == [2, 2, 1]


def test_a_column_is_cast_when_nothing_is_lost() -> None:
    (out,) = run(lambda _: {"x": pa.array([7], pa.int8()), "y": ["s"]}, of(1))
    assert out.columns.to_pylist() == [{"x": 7, "y": "s"}]


@pytest.mark.parametrize(
    ("result", "complaint"),
    [
        (None, "returned NoneType"),
        ({"x": [1]}, "returned columns x"),
        ({"x": [1], "y": ["s"], "z": [1]}, "returned columns x, y, z"),
        ({"x": ["s"], "y": ["s"]}, "column `x` as list"),
        ({"x": pa.array([1.5]), "y": ["s"]}, "column `x` as double"),
        ({"x": [None], "y": ["s"]}, "column `x` with 1 nulls"),
        ({"x": [1, 2], "y": ["s"]}, "different lengths"),
    ],
)
def test_a_result_that_was_not_declared_is_refused_with_the_function(
    result: Any, complaint: str
) -> None:
    def model_scores(_: pa.RecordBatch) -> Any:
        return result

    with pytest.raises(WrongResult) as caught:
        run(model_scores, of(1))
    assert "model_scores` declares x: int64, y: string | None" in str(caught.value)
    assert complaint in str(caught.value)


def test_every_batch_is_held_against_the_declaration_also_after_one_that_fit() -> None:
    answers = iter([[1, 2], [3, 4], [5, None]])

    def next_answer(_: pa.RecordBatch) -> pa.RecordBatch:
        numbers = pa.array(next(answers), pa.int64())
        return pa.RecordBatch.from_pydict({"x": numbers, "y": pa.array(["s", None])})

    spec = MapBatchesSpec(input=StreamType(INPUT), output=StreamType(OUTPUT), function=next_answer)
    harness = OperatorHarness(MapBatches(spec))
    harness.feed(of(1, 2))
    [second] = harness.feed(of(1, 2))
    assert isinstance(second, Batch)
    assert second.columns.schema == OUTPUT
    with pytest.raises(WrongResult, match="1 nulls"):
        harness.feed(of(1, 2))
