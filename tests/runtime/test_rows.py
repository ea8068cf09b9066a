"""Rows to columns and back: every type survives, nothing undeclared gets through."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.plan.types import OBJECT_COLUMN, OBJECTS, StreamType
from flowjob.runtime.rows import RowCodec, RowTypeError
from flowjob.schema import Schema, row_class
from tests.test_schema import Color, Everything, Point

NEW_YORK = ZoneInfo("America/New_York")

moments = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
points = st.builds(Point, st.integers(-(2**63), 2**63 - 1), st.none() | st.floats(allow_nan=False))
everything = st.builds(
    Everything,
    whole=st.integers(-(2**63), 2**63 - 1),
    small=st.integers(-128, 127),
    huge=st.integers(0, 2**64 - 1),
    real=st.floats(allow_nan=False),
    short=st.floats(allow_nan=False, width=32),
    flag=st.booleans(),
    text=st.text(max_size=8),
    raw=st.binary(max_size=8),
    amount=st.decimals(-99999999, 99999999, places=2),
    at=moments,
    local=moments.map(lambda t: t.astimezone(NEW_YORK)),
    day=st.dates(),
    clock=st.times(),
    span=st.timedeltas(timedelta(days=-100_000), timedelta(days=100_000)),
    tags=st.lists(st.text(max_size=3), max_size=3),
    counts=st.dictionaries(st.text(max_size=3), st.integers(-9, 9), max_size=3),
    point=points,
    pair=st.tuples(st.text(max_size=3), st.integers(-9, 9)),
    color=st.sampled_from(Color),
    side=st.sampled_from(["left", "right"]),
)

NULLABLE = pa.schema([f.with_nullable(True) for f in Everything.arrow_schema()])
"""The same columns for a generated class, whose enums and literals are plain strings."""


@settings(max_examples=40)
@given(st.lists(everything, max_size=5), st.data())
def test_rows_of_every_type_come_back_equal(rows: list[Everything], data: st.DataObject) -> None:
    codec = RowCodec(Everything.stream_type())
    columns = codec.columns(rows)
    columns.validate(full=True)
    assert codec.rows(columns) == rows
    start = data.draw(st.integers(0, len(rows)))
    assert codec.rows(columns.slice(start)) == rows[start:]


@settings(max_examples=40)
@given(st.lists(everything, max_size=4), st.data())
def test_nulls_of_every_type_come_back_in_their_places(
    rows: list[Everything], data: st.DataObject
) -> None:
    columns = RowCodec(Everything.stream_type()).columns(rows)
    masked = []
    for array in columns.columns:
        mask = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
        places = pa.array(range(len(rows)), pa.int64(), mask=_mask(mask))
        masked.append(array.take(places))
    given_columns = pa.RecordBatch.from_arrays(masked, schema=NULLABLE)
    codec = RowCodec(StreamType(NULLABLE))
    again = codec.columns(codec.rows(given_columns))
    again.validate(full=True)
    assert again.to_pylist() == given_columns.to_pylist()


def _mask(values: list[bool]) -> Any:
    import numpy as np

    return np.array(values, np.bool_)


class Stamp(Schema):
    at: datetime


def test_a_naive_datetime_is_utc_and_comes_back_aware() -> None:
    codec = RowCodec(Stamp.stream_type())
    rows = [Stamp(datetime(2026, 1, 1)), Stamp(datetime(2026, 1, 1, tzinfo=UTC))]
    assert codec.rows(codec.columns(rows)) == [rows[1], rows[1]]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin", "+02:00"])
def test_timestamps_of_any_unit_and_zone_become_aware_datetimes(unit: str, zone: Any) -> None:
    schema = pa.schema({"at": pa.timestamp(unit, zone)})
    codec = RowCodec(StreamType(schema))
    columns = pa.RecordBatch.from_arrays([pa.array([1, None], schema.field(0).type)], schema=schema)
    first, second = codec.rows(columns)
    seconds = {"s": 1, "ms": 1e-3, "us": 1e-6, "ns": 0}[unit]
    assert first.at == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert second.at is None


@pytest.mark.parametrize(
    "array",
    [
        pa.array(["a", None, "a"]).dictionary_encode(),
        pa.array(["a", None], pa.large_string()),
        pa.array([b"a", None], pa.large_binary()),
        pa.array([b"ab", None], pa.binary(2)),
        pa.array([1.5, None], pa.float16()),
        pa.array([[1], None, []], pa.large_list(pa.int64())),
        pa.array([[1, 2], None], pa.list_(pa.int64(), 2)),
        pa.array([date(2026, 1, 1), None], pa.date64()),
        pa.array([1, None], pa.time32("s")),
        pa.array([1, None], pa.duration("s")),
        pa.array([Decimal("1.5"), None], pa.decimal256(50, 1)),
        pa.nulls(2),
    ],
    ids=lambda a: str(a.type),
)
def test_columns_of_types_that_only_files_have_survive(array: pa.Array) -> None:
    columns = pa.RecordBatch.from_arrays([array], ["c"])
    codec = RowCodec(StreamType(columns.schema))
    again = codec.columns(codec.rows(columns))
    assert again.schema == columns.schema
    assert again.to_pylist() == columns.to_pylist()


def test_columns_are_found_by_name_and_hidden_ones_ignored() -> None:
    schema = pa.schema({"y": pa.float64(), "__key0": pa.int64(), "x": pa.int64()})
    codec = RowCodec(StreamType(schema, Point))
    columns = pa.RecordBatch.from_pydict({"y": [2.0], "__key0": [9], "x": [1]}, schema=schema)
    assert codec.rows(columns) == [Point(1, 2.0)]
    assert codec.columns([Point(1, 2.0)]).schema.names == ["y", "x"]


def test_keyword_only_rows_are_made_by_name() -> None:
    class Keyword(Schema, kw_only=True):
        a: int = 1
        b: str

    codec = RowCodec(Keyword.stream_type())
    assert codec.rows(codec.columns([Keyword(a=2, b="x")])) == [Keyword(a=2, b="x")]


def test_a_subclass_of_the_declared_row_is_one() -> None:
    class Named(Point):
        name: str

    assert RowCodec(Point.stream_type()).columns([Named(1, 2.0, "n")]).to_pylist() == [
        {"x": 1, "y": 2.0}
    ]


def complaint(rows: list[Any], cls: type[Schema] = Point) -> RowTypeError:
    with pytest.raises(RowTypeError) as caught:
        RowCodec(cls.stream_type()).columns(rows)
    return caught.value


def test_a_wrong_value_is_refused_with_field_row_and_value() -> None:
    error = complaint([Point(1, None), Point("abc", 2.0)])  # type: ignore[arg-type]
    assert error.row_index == 1
    assert "returns=Point, field `x: int (int64)`, got str 'abc' in row 1: Point(x='abc'" in str(
        error
    )
    assert pickle.loads(pickle.dumps(error)).row == "Point(x='abc', y=2.0)"


def test_none_in_a_column_that_is_not_nullable_is_refused() -> None:
    assert "got None in row 0" in str(complaint([Point(None, 1.0)]))  # type: ignore[arg-type]


def test_a_row_of_another_class_is_refused() -> None:
    error = complaint([Point(1, 1.0), {"x": 1}])
    assert (error.row_index, "returns=Point(x: int, y: float | None), got dict" in str(error)) == (
        1,
        True,
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("whole", 1.0),
        ("whole", 2**63),
        ("small", 128),
        ("huge", -1),
        ("real", "1"),
        ("short", 1e300),
        ("flag", 1),
        ("text", b"x"),
        ("raw", "x"),
        ("amount", 1.5),
        ("amount", Decimal("0.001")),
        ("at", date(2026, 1, 1)),
        ("at", 5),
        ("day", datetime(2026, 1, 1)),
        ("span", 5),
        ("tags", "abc"),
        ("tags", [None]),
        ("counts", {"a": None}),
        ("point", {"x": 1}),
        ("pair", ("a",)),
        ("color", "red"),
        ("side", "middle"),
    ],
)
def test_what_was_not_declared_never_gets_through(field: str, value: Any) -> None:
    good = everything_once()
    bad = Everything(**{**{f: getattr(good, f) for f in good.__struct_fields__}, field: value})
    error = complaint([good, bad], Everything)
    assert (error.row_index, f"field `{field}:" in str(error)) == (1, True)


def everything_once() -> Everything:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Everything(
        *(1, 1, 1, 1.0, 1.0, True, "t", b"r", Decimal("1.00"), at, at, at.date(), at.time()),
        *(timedelta(1), ["a"], {"a": 1}, Point(1, None), ("a", 1), Color.RED, "left"),
    )


@pytest.mark.parametrize("make", [lambda: 3, lambda: {"a": [1]}, lambda: Point(1, 2.0)])
def test_objects_cross_as_pickles(make: Callable[[], Any]) -> None:
    codec = RowCodec(OBJECTS)
    columns = codec.columns([make(), None])
    assert columns.schema.names == [OBJECT_COLUMN]
    assert codec.rows(columns) == [make(), None]


def test_an_object_that_only_cloudpickle_can_take_crosses_too() -> None:
    codec = RowCodec(OBJECTS)
    (function,) = codec.rows(codec.columns([lambda: 42]))
    assert function() == 42


def test_a_derived_stream_gets_rows_of_a_generated_class() -> None:
    schema = pa.schema({"a": pa.int64()})
    (row,) = RowCodec(StreamType(schema)).rows(pa.RecordBatch.from_pydict({"a": [1]}))
    assert row == row_class(schema)(1)
