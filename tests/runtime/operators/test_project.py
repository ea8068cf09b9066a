"""select and with_columns: new columns for the same rows; what is passed on is not copied."""

from __future__ import annotations

import pyarrow as pa
import pytest

from flowjob.expressions import Expr, ExpressionFailed, col, lit
from flowjob.plan.specs import ProjectSpec
from flowjob.plan.types import StreamType
from flowjob.runtime.batch import Batch, Kind
from flowjob.runtime.operators.project import Project
from tests.runtime.operators.harness import OperatorHarness, batch

SCHEMA = pa.schema({"a": pa.int64(), "b": pa.string()})
ROWS = batch(
    [{"a": 1, "b": "x"}, {"a": None, "b": "y"}],
    SCHEMA,
    timestamps=[10, 20],
    kinds=[Kind.INSERT, Kind.DELETE],
)


def projected(data: Batch, **outputs: Expr) -> Batch:
    bound = {name: e.bind(SCHEMA) for name, e in outputs.items()}
    schema = pa.schema([pa.field(n, b.type, nullable=b.nullable) for n, b in bound.items()])
    spec = ProjectSpec(
        input=StreamType(SCHEMA), output=StreamType(schema), outputs=tuple(outputs.items())
    )
    (out,) = OperatorHarness(Project(spec)).feed(data)
    assert isinstance(out, Batch)
    assert out.columns.schema == schema
    return out


def test_columns_are_computed_in_the_declared_order() -> None:
    out = projected(ROWS, c=col("b") + "!", a=col("a") * 2, one=lit(1))
    assert out.columns.to_pylist() == [
        {"c": "x!", "a": 2, "one": 1},
        {"c": "y!", "a": None, "one": 1},
    ]


def test_timestamps_and_kinds_stay_with_their_rows() -> None:
    out = projected(ROWS, a=col("a"))
    assert out.timestamps is ROWS.timestamps
    assert out.kinds is ROWS.kinds


def test_a_column_that_is_passed_on_or_renamed_shares_its_memory() -> None:
    out = projected(ROWS, z=col("b"))
    addresses = [
        [buffer.address for buffer in columns.column(name).buffers() if buffer]
        for columns, name in ((out.columns, "z"), (ROWS.columns, "b"))
    ]
    assert addresses[0] == addresses[1]


def test_a_failing_expression_is_named_with_its_row() -> None:
    with pytest.raises(ExpressionFailed, match=r"`b\.cast\(int64\)`") as caught:
        projected(ROWS, n=col("b").cast(int))
    assert caught.value.row == "b='x'"
