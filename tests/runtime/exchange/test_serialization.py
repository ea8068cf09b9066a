"""Batches as bytes: every type survives, nothing but the rows travels, and bad bytes are a ProtocolError."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.errors import ProtocolError
from flowjob.plan.job_graph import Edge, Exchange, Partitioning
from flowjob.plan.types import OBJECT_COLUMN, OBJECTS, KeyField, StreamType
from flowjob.runtime.batch import Batch, Kind
from flowjob.runtime.exchange.serialization import WireFormat
from tests.runtime.exchange.harness import NUMBERS, edge

ROWS = 1000
WORDS = pa.array([f"word {i % 700:030d}" if i % 7 else None for i in range(ROWS)])
COLUMNS = {
    "bool": pa.array([i % 2 == 0 for i in range(ROWS)]),
    "int8": pa.array([i % 100 for i in range(ROWS)], pa.int8()),
    "nulls": pa.array([None if i % 3 else i for i in range(ROWS)]),
    "float": pa.array([float("nan") if i % 5 else i / 3 for i in range(ROWS)]),
    "string": WORDS,
    "large_string": WORDS.cast(pa.large_string()),
    "string_view": WORDS.cast(pa.string_view()),
    "dictionary": WORDS.dictionary_encode(),
    "small_dictionary": pa.array(["a", "b"] * (ROWS // 2)).cast(pa.dictionary(pa.int8(), pa.string())),
    "binary": WORDS.cast(pa.binary()),
    "binary_view": WORDS.cast(pa.binary()).cast(pa.binary_view()),
    "decimal": pa.array([Decimal(i) / 4 for i in range(ROWS)], pa.decimal128(20, 2)),
    "timestamp": pa.array([datetime(2020, 1, 1, tzinfo=UTC)] * ROWS, pa.timestamp("us", "UTC")),
    "list": pa.array([[i, None] if i % 4 else None for i in range(ROWS)], pa.list_(pa.int64())),
    "list_of_dictionary": pa.ListArray.from_arrays(
        pa.array(range(ROWS + 1), pa.int32()), WORDS.dictionary_encode()
    ),
    "fixed_list": pa.array([[i, i] for i in range(ROWS)], pa.list_(pa.int32(), 2)),
    "struct": pa.array([{"a": i, "b": f"x{i}"} for i in range(ROWS)]),
    "struct_of_dictionary": pa.StructArray.from_arrays([WORDS.dictionary_encode()], ["d"]),
    "map": pa.array([[("k", i)] for i in range(ROWS)], pa.map_(pa.string(), pa.int64())),
    "null": pa.nulls(ROWS),
}  # fmt: skip


def format_of(column: pa.Array, compression: str | None = None, **kwargs: Any) -> WireFormat:
    stream = StreamType(pa.schema([("x", column.type)]))
    return WireFormat(edge(Exchange.FORWARD, stream, **kwargs), compression)


def through(
    wire: WireFormat, batch: Batch, limit: int = 1 << 18, rows: int = 1 << 14
) -> list[Batch]:
    return [wire.decode(flags, body, size) for flags, body, size in wire.encode(batch, limit, rows)]


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("name", COLUMNS)
def test_every_type_survives_with_its_declared_type(name: str, compression: str | None) -> None:
    column = COLUMNS[name]
    wire = format_of(column, compression)
    batch = Batch(pa.record_batch({"x": column}).slice(100, 300))
    (got,) = through(wire, batch, limit=1 << 20)
    assert got.columns.schema.equals(wire.schema)
    assert (
        got.columns.column(0).to_pylist() == batch.columns.column(0).to_pylist() or name == "float"
    )
    assert got.timestamps is None
    assert got.kinds is None


@pytest.mark.parametrize("name", COLUMNS)
def test_a_slice_ships_its_rows_only(name: str) -> None:
    column = COLUMNS[name]
    wire = format_of(column)
    ((_, _, size),) = wire.encode(Batch(pa.record_batch({"x": column}).slice(500, 8)), 1 << 18, 100)
    assert size < 1500
    parts = list(wire.encode(Batch(pa.record_batch({"x": column})), 4096, 1 << 14))
    assert all(size <= 4096 + 512 for _, _, size in parts)


def test_timestamps_and_kinds_travel_with_the_rows() -> None:
    wire = WireFormat(edge(Exchange.FORWARD, timestamps=True, kinds=True))
    columns = pa.record_batch({"n": pa.array([1, 2, 3])})
    times, kinds = np.array([-5, 0, 2**62]), np.array([0, 3, 0], np.int8)
    (got,) = through(wire, Batch(columns, times, kinds))
    assert got.timestamps is not None
    assert got.kinds is not None
    assert got.timestamps.tolist() == [-5, 0, 2**62]
    assert got.kinds.tolist() == [0, 3, 0]
    (inserts,) = through(wire, Batch(columns, times))
    assert inserts.kinds is None


def test_an_object_stream_ships_its_objects_and_hidden_keys() -> None:
    keys = (KeyField("__key0", "k", pa.int64()),)
    objects = Edge(0, 0, 1, 0, Partitioning(Exchange.HASH, keys), OBJECTS, False, False)
    columns = pa.record_batch({OBJECT_COLUMN: pa.array([b"a", b"b"]), "__key0": pa.array([1, 2])})
    (got,) = through(WireFormat(objects), Batch(columns))
    assert got.columns.equals(columns)


def test_frames_hold_at_most_the_rows_asked_for() -> None:
    wire = WireFormat(edge(Exchange.FORWARD))
    batch = Batch(pa.record_batch({"n": np.arange(100)}))
    assert [len(b) for b in through(wire, batch, rows=7)] == [7] * 14 + [2]


def test_rows_of_very_different_sizes_still_fit_their_frames() -> None:
    column = pa.array(["x" * 10] * 500 + ["y" * 100_000] * 5 + ["z"] * 500)
    wire = format_of(column)
    frames = list(wire.encode(Batch(pa.record_batch({"x": column})), 1 << 16, 1 << 14))
    assert [s for _, _, s in frames if s > 90_000] == [s for _, _, s in frames if s > 74_000]
    assert len([s for _, _, s in frames if s > 90_000]) == 5
    values = [v for f in frames for v in wire.decode(*f).columns.column(0).to_pylist()]
    assert values == column.to_pylist()


def test_a_row_that_cannot_be_sent_says_so() -> None:
    stream = StreamType(pa.schema([("x", pa.string())]))
    wire = WireFormat(edge(Exchange.FORWARD, stream), largest=1000)
    with pytest.raises(ValueError, match="a single row takes"):
        list(wire.encode(Batch(pa.record_batch({"x": ["a" * 2000]})), 100, 10))


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 9))
def test_the_two_rows_of_an_update_stay_in_one_frame(pairs: list[bool], rows: int) -> None:
    kinds = [k for p in pairs for k in ((1, 2) if p else (0,))]
    wire = WireFormat(edge(Exchange.FORWARD, kinds=True))
    batch = Batch(pa.record_batch({"n": np.arange(len(kinds))}), None, np.array(kinds, np.int8))
    got = through(wire, batch, rows=rows)
    assert [n for b in got for n in b.columns.column(0).to_pylist()] == list(range(len(kinds)))
    for part in got:
        if part.kinds is not None:
            assert part.kinds[0] != Kind.UPDATE_AFTER
            assert part.kinds[-1] != Kind.UPDATE_BEFORE


def test_conform_drops_columns_that_do_not_travel_and_names_missing_ones() -> None:
    wire = WireFormat(edge(Exchange.FORWARD))
    more = Batch(pa.record_batch({"other": [1], "n": [2]}), np.array([5]))
    got = wire.conform(more)
    assert got.columns.equals(pa.record_batch({"n": [2]}))
    assert got.timestamps is None
    assert wire.conform(got) is got
    with pytest.raises(ValueError, match="edge 0 carries"):
        wire.conform(Batch(pa.record_batch({"m": [2]})))
    with pytest.raises(ValueError, match="edge 0 carries"):
        wire.conform(Batch(pa.record_batch({"n": ["text"]})))
    with pytest.raises(ValueError, match="without timestamps"):
        WireFormat(edge(timestamps=True)).conform(got)


def test_both_ends_must_agree_on_the_schema() -> None:
    wire = WireFormat(edge())
    wire.check_schema(wire.schema_message())
    with pytest.raises(ProtocolError, match="must run the same program"):
        wire.check_schema(WireFormat(edge(timestamps=True)).schema_message())
    with pytest.raises(ProtocolError, match="unreadable"):
        wire.check_schema(b"nonsense")


@settings(max_examples=150)
@given(
    st.integers(0, 255),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6),
    st.sampled_from(["string", "nulls", "list", "dictionary"]),
    st.sampled_from([None, "lz4"]),
)
def test_mutated_bodies_are_decoded_or_refused(
    flags: int, flips: list[tuple[int, int]], name: str, compression: str | None
) -> None:
    wire = format_of(COLUMNS[name], compression, timestamps=True, kinds=True)
    batch = Batch(
        pa.record_batch({"x": COLUMNS[name]}).slice(0, 20), np.arange(20), np.zeros(20, np.int8)
    )
    ((_, body, _),) = wire.encode(batch, 1 << 18, 100)
    data = bytearray(body.to_pybytes())
    for at, value in flips:
        data[at % len(data)] = value
    try:
        got = wire.decode(flags, pa.py_buffer(bytes(data)), len(data))
    except ProtocolError:
        return
    got.columns.validate(full=True)


def test_a_batch_that_unpacks_to_too_much_is_refused() -> None:
    wire = WireFormat(edge(), largest=1000)
    with pytest.raises(ProtocolError, match="unpacks to"):
        wire.decode(0x02, pa.py_buffer((10**9).to_bytes(8, "little") + b"x"), 9)
    assert NUMBERS.schema is not None
