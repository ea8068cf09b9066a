"""Which changes of a row type old rows can follow."""

from __future__ import annotations

import pyarrow as pa
import pytest

from flowjob.errors import SchemaError
from flowjob.schema import Schema
from flowjob.schema_evolution import Change, compatible, require_compatible


def schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(n, t, nullable=False) for n, t in columns.items()])


OLD = schema(a=pa.int32(), b=pa.string())


def test_the_same_columns_in_another_order_are_no_change() -> None:
    assert compatible(OLD, schema(b=pa.string(), a=pa.int32())) == []


class WithDefault(Schema):
    b: str
    new: int = 3


def test_a_column_with_a_default_may_be_added_and_any_may_be_dropped() -> None:
    found = compatible(OLD, WithDefault)
    assert [(d.column, d.change, d.allowed) for d in found] == [
        ("new", Change.ADDED, True),
        ("a", Change.DROPPED, True),
    ]


def test_a_nullable_column_may_be_added() -> None:
    (added,) = compatible(OLD, OLD.append(pa.field("new", pa.int64())))
    assert added.allowed


def test_a_required_column_without_default_is_refused_with_the_whole_diff() -> None:
    new = schema(a=pa.int64(), b=pa.string(), new=pa.int64())
    with pytest.raises(SchemaError) as caught:
        require_compatible(OLD, new)
    assert "a: int32 -> int64" in str(caught.value)
    assert "new: added as int64" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        (pa.int32(), pa.int64(), True),
        (pa.int64(), pa.int32(), False),
        (pa.uint32(), pa.int64(), True),
        (pa.uint64(), pa.int64(), False),
        (pa.int32(), pa.float64(), True),
        (pa.int64(), pa.float64(), False),
        (pa.float32(), pa.float64(), True),
        (pa.decimal128(10, 2), pa.decimal128(12, 4), True),
        (pa.decimal128(10, 2), pa.decimal128(11, 4), False),
        (pa.timestamp("us", "UTC"), pa.timestamp("us", "Asia/Tokyo"), True),
        (pa.string(), pa.int64(), False),
        (pa.string(), pa.large_string(), True),
        (pa.list_(pa.int32()), pa.list_(pa.int64()), True),
        (pa.struct({"x": pa.int32()}), pa.struct({"x": pa.int64(), "y": pa.int8()}), True),
        (pa.struct({"x": pa.int32()}), pa.struct({"x": pa.string()}), False),
    ],
)
def test_a_type_may_change_when_every_value_has_its_equal(
    old: pa.DataType, new: pa.DataType, allowed: bool
) -> None:
    found = compatible(schema(c=old), schema(c=new))
    assert [d.allowed for d in found] == [allowed]


def test_a_column_may_become_nullable_but_not_required() -> None:
    nullable = pa.schema({"a": pa.int64()})
    assert [d.allowed for d in compatible(schema(a=pa.int64()), nullable)] == [True]
    assert [d.allowed for d in compatible(nullable, schema(a=pa.int64()))] == [False]
