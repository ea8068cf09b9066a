"""Schema classes: which annotations are columns, how errors read, and row classes made for derived streams."""

from __future__ import annotations

import enum
import pickle
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import cloudpickle
import msgspec
import pyarrow as pa
import pytest

from flowjob.column_types import Float32, Int8, UInt64, decimal, timezone
from flowjob.errors import SchemaError
from flowjob.schema import Schema, arrow_schema, arrow_type, class_text, row_class


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(Schema):
    x: int
    y: float | None


class Everything(Schema):
    whole: int
    small: Int8
    huge: UInt64
    real: float
    short: Float32
    flag: bool
    text: str
    raw: bytes
    amount: Annotated[Decimal, decimal(10, 2)]
    at: datetime
    local: Annotated[datetime, timezone("America/New_York")]
    day: date
    clock: time
    span: timedelta
    tags: list[str]
    counts: dict[str, int]
    point: Point
    pair: tuple[str, int]
    color: Color
    side: Literal["left", "right"]


def test_every_type_a_user_meets_has_its_arrow_type() -> None:
    assert {f.name: f.type for f in Everything.arrow_schema()} == {
        "whole": pa.int64(),
        "small": pa.int8(),
        "huge": pa.uint64(),
        "real": pa.float64(),
        "short": pa.float32(),
        "flag": pa.bool_(),
        "text": pa.string(),
        "raw": pa.binary(),
        "amount": pa.decimal128(10, 2),
        "at": pa.timestamp("us", "UTC"),
        "local": pa.timestamp("us", "America/New_York"),
        "day": pa.date32(),
        "clock": pa.time64("us"),
        "span": pa.duration("us"),
        "tags": pa.list_(pa.field("item", pa.string(), nullable=False)),
        "counts": pa.map_(pa.string(), pa.field("value", pa.int64(), nullable=False)),
        "point": pa.struct([pa.field("x", pa.int64(), nullable=False), ("y", pa.float64())]),
        "pair": pa.struct(
            [
                pa.field("_0", pa.string(), nullable=False),
                pa.field("_1", pa.int64(), nullable=False),
            ]
        ),
        "color": pa.string(),
        "side": pa.string(),
    }
    assert not any(f.nullable for f in Everything.arrow_schema())


class Optionals(Schema):
    a: int | None
    b: Annotated[Decimal | None, decimal(5, 1)]
    c: Annotated[Decimal, decimal(5, 1)] | None
    d: Literal["x", None]


def test_a_column_is_nullable_when_its_annotation_admits_none() -> None:
    assert all(f.nullable for f in Optionals.arrow_schema())


def test_a_class_variable_is_no_column() -> None:
    class Limited(Schema):
        limit: ClassVar[int] = 3
        a: int

    assert Limited.arrow_schema().names == ["a"]


def test_a_subclass_has_its_base_classes_columns_first() -> None:
    class Located(Point):
        name: str

    assert Located.arrow_schema().names == ["x", "y", "name"]


def test_a_class_inside_a_function_may_name_another_one_beside_it() -> None:
    class Inner(Schema):
        a: int

    class Outer(Schema):
        inner: list[Inner]

    assert Outer.arrow_schema().field("inner").type.value_type == pa.struct(
        [pa.field("a", pa.int64(), nullable=False)]
    )


def test_a_column_may_have_a_name_that_is_no_identifier() -> None:
    class Csv(Schema):
        delay: float = msgspec.field(name="dep delay")

    assert Csv.arrow_schema().names == ["dep delay"]


def refusal(annotation: Any) -> str:
    class Bad(Schema):
        field: annotation

    with pytest.raises(SchemaError) as caught:
        Bad.arrow_schema()
    return str(caught.value)


@pytest.mark.parametrize("annotation", [complex, int | str, list, tuple[int, ...], Decimal])
def test_a_bad_annotation_is_refused_with_class_and_field(annotation: Any) -> None:
    assert "Bad.field" in refusal(annotation)


def test_a_bad_annotation_is_refused_with_what_is_allowed() -> None:
    assert "Allowed are int" in refusal(complex)
    assert "Annotated[Decimal, fj.decimal(10, 2)]" in refusal(Decimal)
    assert "keys of a dict cannot be None" in refusal(dict[str | None, int])


def test_an_annotation_that_cannot_be_resolved_is_refused_with_where_to_define_it() -> None:
    class Lost(Schema):
        field: Nowhere  # noqa: F821

    with pytest.raises(SchemaError, match=r"Lost.field: Nowhere\n.*top level of the module"):
        Lost.arrow_schema()


class Tree(Schema):
    children: list[Tree]


def test_a_schema_cannot_contain_itself() -> None:
    with pytest.raises(SchemaError, match="cannot contain itself"):
        Tree.arrow_schema()


def test_hidden_names_are_reserved() -> None:
    class Hidden(Schema):
        key: int = msgspec.field(name="__key")

    with pytest.raises(SchemaError, match="reserved"):
        Hidden.arrow_schema()


def test_an_unknown_time_zone_is_refused() -> None:
    with pytest.raises(SchemaError, match="IANA"):
        timezone("Mars/Olympus")


def test_rows_are_equal_and_hashed_by_value_and_frozen() -> None:
    assert Point(1, 2.0) == Point(1, 2.0)
    assert len({Point(1, 2.0), Point(1, 2.0)}) == 1
    with pytest.raises(AttributeError):
        Point(1, 2.0).x = 3  # type: ignore[misc]


def test_a_generated_class_has_the_schema_it_was_made_for() -> None:
    schema = Everything.arrow_schema()
    assert arrow_schema(row_class(schema)) == schema
    assert row_class(schema) is row_class(pa.schema(list(schema)))


def test_a_generated_class_leaves_out_hidden_columns() -> None:
    assert arrow_schema(row_class(pa.schema({"a": pa.int64(), "__key0": pa.int64()}))).names == [
        "a"
    ]


AWKWARD = pa.schema(
    {n: pa.int64() for n in ("dep delay", "dep_delay", "class", "1st", "arrow_schema", "")}
)


def test_awkward_column_names_get_distinct_attributes() -> None:
    cls = row_class(AWKWARD)
    assert cls.__struct_fields__ == (
        "dep_delay_2",
        "dep_delay",
        "class_",
        "_1st",
        "arrow_schema",
        "_",
    )
    assert arrow_schema(cls) == AWKWARD


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_rows_of_a_generated_class_pickle_by_their_schema(pickler: Any) -> None:
    row = row_class(AWKWARD)(1, 2, 3, 4, 5, 6)
    copy = pickler.loads(pickler.dumps(row))
    assert copy == row
    assert type(copy) is type(row)


def test_a_lone_annotation_has_an_arrow_type() -> None:
    assert arrow_type(str | None) == pa.string()
    with pytest.raises(SchemaError, match="complex"):
        arrow_type(complex)


def test_messages_call_a_row_class_by_its_name_and_columns() -> None:
    class Csv(Schema):
        delay: float | None = msgspec.field(name="dep delay")
        points: list[int]

    made = row_class(pa.schema([pa.field("a", pa.int64(), nullable=False), ("class", pa.string())]))
    wide = row_class(pa.schema([(f"c{i}", pa.int64()) for i in range(40)]))
    assert class_text(Csv) == "Csv(delay: float | None, points: list)"
    assert class_text(made) == "Row(a: int, class_: str | None)"
    assert class_text(wide).endswith("c11: int | None, and 28 more)")
    assert class_text(dict) == "dict"


def test_messages_have_a_name_for_a_row_class_that_cannot_be_one() -> None:
    class Odd(Schema):
        what: object

    assert class_text(Odd) == "Odd"
