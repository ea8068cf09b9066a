"""hash64 as docs/hash64.md specifies it: the committed vectors, and columns against the reference."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal, localcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.kernels.columns import canonical_column, validity
from flowjob.kernels.hash64 import NULL_HASH, hash64_reference
from flowjob.kernels.keys import encode_keys
from flowjob.kernels.nested_columns import _wide_decimals

VECTORS = json.loads((Path(__file__).parent / "hash64_vectors.json").read_text())

READ: dict[str, Any] = {
    "float": float,
    "instant": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "duration_us": lambda us: timedelta(microseconds=us),
    "decimal": Decimal,
    "binary_hex": bytes.fromhex,
}


def value_of(vector: dict[str, Any]) -> Any:
    return READ.get(vector["kind"], lambda value: value)(vector["value"])


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['kind']} {str(v['value'])[:20]}")
def test_the_reference_yields_the_committed_vectors(vector):
    assert f"{hash64_reference([value_of(vector)])[0]:016x}" == vector["hash64"]


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS if v["kind"] != "tuple"], ids=lambda v: str(v["value"])[:20]
)
def test_a_column_of_one_value_yields_the_committed_vector(vector):
    value = value_of(vector)
    wide = isinstance(value, int) and value >= 1 << 63
    array = pa.array([value], pa.uint64() if wide else None)
    assert f"{int(encode_keys([array]).hashes[0]):016x}" == vector["hash64"]


def test_rows_of_several_columns_hash_as_tuples():
    columns = [pa.array([1, None]), pa.array(["a", "b"]), pa.array([2.5, math.nan])]
    assert encode_keys(columns).hashes.tolist() == hash64_reference(
        [(1, "a", 2.5), (None, "b", math.nan)]
    )


TEXTS = pa.array(["", "a", None, "Grüße", "x" * 40, "a"])
NUMBERS = pa.array([0, 1, None, 100, 127])
TIMES = pa.array([0, 86_400_000_000, None, -86_400_000_000], pa.timestamp("us"))
WORDS = pa.array([b"", b"a", None, b"\0\0"])
DECIMALS = pa.array([Decimal("1.50"), Decimal(0), None, Decimal("-20.00")], pa.decimal128(10, 2))

ENCODINGS = [
    *((TEXTS, TEXTS.cast(t)) for t in (pa.large_string(), pa.string_view())),
    (TEXTS, TEXTS.dictionary_encode()),
    (TEXTS, pa.RunEndEncodedArray.from_arrays([1, 2, 3, 4, 5, 6], TEXTS)),
    *(
        (NUMBERS, NUMBERS.cast(t))
        for t in (
            pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(),
        )
    ),
    (NUMBERS, NUMBERS.dictionary_encode()),
    (NUMBERS.cast(pa.float64()), NUMBERS.cast(pa.float32())),
    (NUMBERS.cast(pa.float64()), NUMBERS.cast(pa.float16())),
    *(
        (TIMES, TIMES.cast(t))
        for t in (
            pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("ns"), pa.timestamp("us", "UTC"),
            pa.timestamp("us", "Asia/Tokyo"), pa.date32(), pa.date64(),
        )
        if "Tokyo" not in str(t)
    ),
    (TIMES, TIMES.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", "Asia/Tokyo"))),
    *((WORDS, WORDS.cast(t)) for t in (pa.large_binary(), pa.binary_view())),
    (pa.array([b"ab", None]), pa.array([b"ab", None], pa.binary(2))),
    (DECIMALS, DECIMALS.cast(pa.decimal128(20, 5))),
    (DECIMALS, DECIMALS.cast(pa.decimal256(50, 9))),
    *(
        (DECIMALS, pa.array(DECIMALS.to_pylist(), kind(7, 2)))
        for kind in (getattr(pa, f"decimal{bits}", None) for bits in (32, 64))
        if kind is not None
    ),
    (pa.array([[1, 2], None, []]), pa.array([[1, 2], None, []], pa.large_list(pa.int8()))),
    (pa.array([[1, 2], None]), pa.array([[1, 2], None], pa.list_(pa.int32(), 2))),
    (pa.array([None, None], pa.int64()), pa.nulls(2)),
]  # fmt: skip


@pytest.mark.parametrize(("plain", "other"), ENCODINGS, ids=lambda a: str(a.type))
def test_every_arrow_encoding_of_a_value_hashes_alike(plain, other):
    assert canonical_column(plain).hashes.tolist() == canonical_column(other).hashes.tolist()
    assert (
        canonical_column(plain[1:]).hashes.tolist() == canonical_column(other[1:]).hashes.tolist()
    )


@given(st.lists(st.none() | st.text(max_size=40)), st.integers(0, 3))
@settings(deadline=None, max_examples=60)
def test_strings_hash_as_the_reference_wherever_their_bytes_lie(values, skipped):
    array = pa.array(values, pa.string())[skipped:]
    assert canonical_column(array).hashes.tolist() == hash64_reference(values[skipped:])


@given(
    st.lists(st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=3), max_size=9)
)
@settings(deadline=None, max_examples=40)
def test_decimals_hash_as_the_reference(values):
    values = [v if v is None or abs(v) < 10**30 else None for v in values]
    array = pa.array(values, pa.decimal128(38, 3))
    assert canonical_column(array).hashes.tolist() == hash64_reference(values)


UNSCALED = st.one_of(
    st.integers(-(10**38) + 1, 10**38 - 1),
    st.builds(lambda n, zeros: n * 10**zeros, st.integers(-999, 999), st.integers(0, 35)),
    st.builds(lambda n, near: n * 2**63 + near, st.integers(-4, 4), st.integers(-2, 2)),
)


@given(st.lists(st.none() | UNSCALED, max_size=9), st.sampled_from([0, 2, 38]), st.integers(0, 2))
@settings(deadline=None, max_examples=100)
def test_decimals_of_any_size_are_encoded_and_hash_as_value_by_value(numbers, scale, skipped):
    with localcontext(Context(prec=80)):
        values = [None if n is None else Decimal(n).scaleb(-scale) for n in numbers][skipped:]
        array = pa.array(values, pa.decimal128(38, scale))
        wide = _wide_decimals(array.cast(pa.decimal256(60, scale)), validity(array))
        assert canonical_column(array).hashes.tolist() == hash64_reference(values)
    for other in (
        array,
        array.cast(pa.decimal256(60, scale)),
        pa.concat_arrays([array, array])[len(array) :],
    ):
        column = canonical_column(other)
        assert column.hashes.tolist() == wide.hashes.tolist()
        assert column.offsets.tolist() == wide.offsets.tolist()
        assert bytes(column.data) == bytes(wide.data)


def test_decimals_beyond_128_bits_are_keys_too():
    huge = Decimal(10) ** 60 + 1
    array = pa.array([huge, Decimal(5), None], pa.decimal256(70, 2))
    with localcontext(Context(prec=80)):
        assert canonical_column(array).hashes.tolist() == hash64_reference([huge, Decimal(5), None])


def nested(children):
    return st.lists(children, max_size=3)


@given(st.lists(st.none() | nested(st.none() | nested(st.none() | st.integers(-9, 9))), max_size=6))
@settings(deadline=None, max_examples=60)
def test_nested_lists_hash_as_the_reference(values):
    array = pa.array(values, pa.list_(pa.list_(pa.int64())))
    assert canonical_column(array).hashes.tolist() == hash64_reference(values)
    assert canonical_column(array[1:]).hashes.tolist() == hash64_reference(values[1:])


def test_structs_hash_as_their_values_in_order():
    values = [{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}]
    assert canonical_column(pa.array(values)).hashes.tolist() == hash64_reference(values)


def test_a_zone_does_not_change_the_instant():
    at = datetime(2024, 5, 1, 12, tzinfo=UTC)
    assert hash64_reference([at]) == hash64_reference([at.replace(tzinfo=None)])


def test_the_hash_of_null_is_the_constant_in_the_kernels():
    assert hash64_reference([None]) == [int(NULL_HASH)]


def test_both_halves_of_the_hash_spread_consecutive_keys_evenly():
    hashes = encode_keys([pa.array(np.arange(1 << 16))]).hashes
    for half in (hashes & np.uint64(0xFFFFFFFF), hashes >> np.uint64(32)):
        counts = np.bincount(half.astype(np.int64) % 128, minlength=128)
        assert counts.min() > 400
        assert counts.max() < 630


@pytest.mark.parametrize("value", [object(), 1 << 64, {1}, Decimal("nan")])
def test_a_value_without_canonical_encoding_is_refused(value):
    with pytest.raises(TypeError):
        hash64_reference([value])
