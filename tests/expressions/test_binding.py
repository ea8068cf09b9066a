"""What is known and refused when the plan is made: names, types, nullability, text."""

from __future__ import annotations

import pickle
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from flowjob.column_types import Int8
from flowjob.errors import PlanError, TypeMismatch, UnknownColumn
from flowjob.expressions import Expr, coalesce, col, greatest, lit, struct, when

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("delay", pa.float64()),
        pa.field("origin", pa.string()),
        pa.field("at", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("paid", pa.bool_()),
        pa.field("__key0", pa.int64()),
        pa.field("place", pa.struct([pa.field("x", pa.int32(), nullable=False)]), nullable=False),
        pa.field("dep delay", pa.int32()),
    ]
)


@pytest.mark.parametrize(
    ("expression", "type", "nullable"),
    [
        (col("id"), pa.int64(), False),
        (col("id") + 1, pa.int64(), False),
        (col("id") / 2, pa.float64(), False),
        (col("id") // 2, pa.int64(), False),
        (col("delay") < 0, pa.bool_(), True),
        (col("delay").is_null(), pa.bool_(), False),
        (col("delay").fill_null(0), pa.float64(), False),
        (col("dep delay").fill_null(0), pa.int32(), False),
        (coalesce(col("delay"), col("id")), pa.float64(), False),
        (greatest(col("id"), col("delay")), pa.float64(), True),
        (col("id").cast(Int8), pa.int8(), False),
        (col("at").dt.year(), pa.int64(), False),
        (col("at") - timedelta(hours=1), pa.timestamp("us", "UTC"), False),
        (col("at") - col("at"), pa.duration("us"), False),
        (col("place").field("x"), pa.int32(), False),
        (when(col("paid")).then(1).otherwise(0), pa.int64(), False),
        (when(col("paid")).then(1), pa.int64(), True),
        (lit(None), pa.null(), True),
        (lit(2**64 - 1), pa.uint64(), False),
        (lit(Decimal("1.50")), pa.decimal128(3, 2), False),
        (lit(datetime(2026, 1, 1)), pa.timestamp("us", "UTC"), False),
    ],
    ids=str,
)
def test_type_and_nullability_are_known_at_plan_time(
    expression: Expr, type: pa.DataType, nullable: bool
) -> None:
    bound = expression.bind(SCHEMA)
    assert (bound.type, bound.nullable) == (type, nullable)


def test_an_unknown_column_is_refused_with_the_nearest_name_and_the_visible_columns() -> None:
    with pytest.raises(UnknownColumn) as caught:
        (col("orgin").str.lower() + "x").bind(SCHEMA, where="flights.py:12")
    assert "Did you mean `origin`?" in str(caught.value)
    assert "flights.py:12" in str(caught.value)
    assert "__key0" not in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "advice"),
    [
        (col("origin") + 1, ".cast("),
        (col("origin") > 1, ".cast("),
        (col("id").str.lower(), ".cast(str)"),
        (col("origin").math.abs(), ".cast(float)"),
        (col("id").dt.year(), ".cast(datetime)"),
        (col("paid") + 1, ".cast(int)"),
        ((col("delay") > 1) & col("delay"), "parentheses"),
        (col("id") == None, ".is_null()"),  # noqa: E711 - the mistake under test
        (col("place").field("y"), "it has x"),
        (col("origin").is_in([1]), "not all string"),
        (lit(1) // 0, "divide by zero"),
        (when(col("id")).then(1), "not true or false"),
        (col("origin").str.extract("(a)", 2), "no group 2"),
        (col("at").dt.truncate("fortnight"), "use a timedelta or one of"),
        (col("at").dt.to_zone("Mars/Olympus"), "IANA"),
    ],
    ids=lambda v: str(v) if isinstance(v, Expr) else "",
)
def test_a_wrong_type_is_refused_with_the_expression_and_what_to_do(
    expression: Expr, advice: str
) -> None:
    with pytest.raises(TypeMismatch) as caught:
        expression.bind(SCHEMA, where="flights.py:12")
    assert advice in str(caught.value)
    assert str(expression) in str(caught.value)
    assert caught.value.where == "flights.py:12"


def test_a_mismatch_names_the_operands_and_their_types() -> None:
    with pytest.raises(TypeMismatch, match="`origin` is string, `1` is int64"):
        (col("origin") + 1).bind(SCHEMA)


@pytest.mark.parametrize(
    "use",
    [
        lambda e: bool(e),
        lambda e: 0 < e < 1,
        lambda e: e and e,
        lambda e: not e,
        lambda e: list(e),
        lambda e: e.cast(complex),
    ],
)
def test_what_cannot_be_an_expression_is_refused_at_once(use: Any) -> None:
    with pytest.raises(PlanError):
        use(col("id"))


def test_the_truth_of_an_expression_is_refused_with_the_operators_to_write() -> None:
    with pytest.raises(TypeMismatch, match=r"& \| ~"):
        bool(col("id") > 1)


TEXTS = [
    (col("delay") < 0, "delay < 0"),
    (-(col("a") + 1) * 2, "(-(a + 1)) * 2"),
    (col("a") - (col("b") - 1), "a - (b - 1)"),
    (~(col("a") == "x") & col("b"), "(~(a == 'x')) & b"),
    (col("dep delay").fill_null(0.5), "`dep delay`.fill_null(0.5)"),
    (col("s").str.slice(1), "s.str.slice(1)"),
    (col("s").is_in({"b", "a", None}), "s.is_in(['a', 'b', None])"),
    (when(col("a")).then(1).when(col("b")).then(2), "when(a).then(1).when(b).then(2)"),
    (when(col("a")).then(1).otherwise(None), "when(a).then(1).otherwise(None)"),
    (struct(x=col("a"), y=1), "struct(x=a, y=1)"),
    ((col("a") + 1).alias("b").cast(int), "(a + 1).cast(int64)"),
    (col("t") + timedelta(hours=1), "t + timedelta(1:00:00)"),
]


@pytest.mark.parametrize(("expression", "text"), TEXTS, ids=[t for _, t in TEXTS])
def test_the_text_is_readable_and_survives_pickling(expression: Expr, text: str) -> None:
    assert str(expression) == text
    assert str(pickle.loads(pickle.dumps(expression))) == text


def test_columns_are_those_it_reads() -> None:
    expression = when(col("a") > 1).then(col("b")).otherwise(coalesce(col("c"), 1))
    assert expression.columns() == {"a", "b", "c"}


def test_names_are_of_columns_and_aliases_only() -> None:
    assert (col("a").name, col("a").column_name) == ("a", "a")
    assert (col("a").alias("b").name, col("a").alias("b").column_name) == ("b", "a")
    assert ((col("a") + 1).name, (col("a") + 1).column_name) == (None, None)
