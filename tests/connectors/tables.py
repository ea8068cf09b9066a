"""Random tables of every type that a Schema can declare, for round trips through formats, files and sinks."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)

SCALARS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.int8(), st.integers(-128, 127)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float64(), st.floats(allow_nan=True, allow_infinity=True)),
    (pa.float32(), st.floats(width=32)),
    (pa.bool_(), st.booleans()),
    (pa.string(), TEXT),
    (pa.binary(), st.binary(max_size=12)),
    (
        pa.decimal128(12, 3),
        st.decimals(Decimal("-999999999"), Decimal("999999999"), places=3, allow_nan=False),
    ),
    (
        pa.timestamp("us", "UTC"),
        st.datetimes(datetime(1800, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
    ),
    (
        pa.timestamp("us", "America/New_York"),
        st.datetimes(datetime(1980, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    ),
    (pa.date32(), st.dates(date(1, 1, 2), date(9999, 12, 30))),
    (pa.time64("us"), st.times()),
    (
        pa.duration("us"),
        st.timedeltas(timedelta(days=-10_000), timedelta(days=10_000)),
    ),
]


def struct_of(kind: pa.DataType) -> pa.DataType:
    return pa.struct([pa.field("x", kind, nullable=False), pa.field("y", pa.string())])


@st.composite
def columns(draw: st.DrawFn) -> tuple[pa.DataType, st.SearchStrategy[Any]]:
    """A column type, nested ones included, and its values."""
    kind, values = draw(st.sampled_from(SCALARS))
    match draw(st.sampled_from(["scalar", "scalar", "scalar", "list", "struct", "map"])):
        case "list":
            return pa.list_(pa.field("item", kind, nullable=False)), st.lists(values, max_size=3)
        case "struct":
            fields = st.fixed_dictionaries({"x": values, "y": st.none() | TEXT})
            return struct_of(kind), fields
        case "map":
            entries = st.dictionaries(TEXT, st.none() | values, max_size=3)
            return pa.map_(pa.string(), kind), entries.map(lambda d: list(d.items()))
    return kind, values


@st.composite
def tables(draw: st.DrawFn, max_rows: int = 12) -> pa.RecordBatch:
    """A batch of one to four columns, some nullable."""
    rows = draw(st.integers(0, max_rows))
    fields, arrays = [], []
    for i in range(draw(st.integers(1, 4))):
        kind, values = draw(columns())
        nullable = draw(st.booleans())
        cell = st.none() | values if nullable else values
        arrays.append(pa.array(draw(st.lists(cell, min_size=rows, max_size=rows)), kind))
        fields.append(pa.field(f"c {i}" if i == 2 else f"c{i}", kind, nullable=nullable))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def same(left: pa.RecordBatch, right: pa.RecordBatch) -> bool:
    """Equal schemas and values; NaN equals NaN."""
    return left.schema == right.schema and repr(left.to_pylist()) == repr(right.to_pylist())


def everything() -> pa.RecordBatch:
    """Three rows with a column of each scalar type, with nulls, and nested columns."""
    samples: list[Any] = [
        [1, None, -(2**63)],
        [1, None, -128],
        [2**64 - 1, None, 0],
        [1.5, None, float("nan")],
        [0.1, None, float("-inf")],
        [True, None, False],
        ['a "quoted", text\nof two lines', None, ""],
        [b"\x00\xff", None, b""],
        [Decimal("1.500"), None, Decimal("-0.001")],
        [datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC), None, datetime(1969, 1, 1, tzinfo=UTC)],
        [datetime(2024, 7, 2, 3, tzinfo=UTC), None, datetime(1990, 1, 1, tzinfo=UTC)],
        [date(2024, 1, 2), None, date(1, 1, 1)],
        [time(1, 2, 3, 4), None, time(23, 59, 59, 999_999)],
        [timedelta(days=1, microseconds=1), None, timedelta(seconds=-1)],
    ]
    arrays = [pa.array(s, kind) for s, (kind, _) in zip(samples, SCALARS)]
    fields = [pa.field(f"f{i}", kind) for i, (kind, _) in enumerate(SCALARS)]
    nested = [
        (pa.list_(pa.int64()), [[1, 2], None, []]),
        (struct_of(pa.int64()), [{"x": 1, "y": "é"}, None, {"x": 2, "y": None}]),
        (pa.map_(pa.string(), pa.float64()), [[("k", 1.5)], None, []]),
        (pa.list_(struct_of(pa.date32())), [[{"x": date(2020, 1, 1), "y": "\\"}], None, []]),
    ]
    for i, (kind, values) in enumerate(nested):
        arrays.append(pa.array(values, kind))
        fields.append(pa.field(f"n{i}", kind))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
