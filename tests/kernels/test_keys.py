"""encode_keys: what is refused, and that equal rows, and only those, are equal as encoded keys."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.kernels.group_index import GroupIndex
from flowjob.kernels.hash64 import hash64_reference
from flowjob.kernels.keys import EncodedKeys, Layout, encode_keys


def encoded(keys: EncodedKeys) -> list[object]:
    """Each key as a Python value that is equal where the keys are."""
    valid = keys.valid if len(keys.valid) else np.ones(len(keys), np.bool_)
    if keys.layout is Layout.FIXED:
        return [int(b) if v else None for b, v in zip(keys.bits, valid)]
    spans = zip(keys.offsets[:-1], keys.offsets[1:])
    return [keys.data[a:b].tobytes() if v else None for (a, b), v in zip(spans, valid)]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
        pa.array([None], pa.month_day_nano_interval()),
        pa.array(
            [[{"m": [("a", 1)]}]], pa.list_(pa.struct({"m": pa.map_(pa.string(), pa.int64())}))
        ),
    ],
    ids=lambda a: str(a.type)[:20],
)
def test_a_type_without_canonical_encoding_is_refused_by_name(array):
    with pytest.raises(TypeError, match=r"map<|interval"):
        encode_keys([array])


@pytest.mark.parametrize("kind", [pa.timestamp("ns"), pa.time64("ns"), pa.duration("ns")])
def test_a_time_finer_than_a_microsecond_is_refused_rather_than_rounded(kind):
    with pytest.raises(ValueError, match="microseconds"):
        encode_keys([pa.array([1001], pa.int64()).cast(kind)])


def test_rows_without_key_columns_share_one_key():
    keys = encode_keys([], length=3)
    assert len(set(keys.hashes.tolist())) == 1
    assert keys.hashes.tolist() == hash64_reference([()] * 3)
    assert GroupIndex().upsert(keys).slots.tolist() == [0, 0, 0]
    assert len(encode_keys([], length=0)) == 0


@pytest.mark.parametrize(
    "kind",
    [
        pa.int8(), pa.int64(), pa.uint64(), pa.float32(), pa.bool_(), pa.string(), pa.large_string(),
        pa.string_view(), pa.binary(), pa.binary(3), pa.date32(), pa.timestamp("ms"), pa.time32("s"),
        pa.duration("ns"), pa.decimal128(9, 2), pa.list_(pa.string()), pa.null(),
        pa.struct({"a": pa.int64(), "b": pa.string()}), pa.dictionary(pa.int8(), pa.string()),
    ],
    ids=str,
)  # fmt: skip
def test_empty_columns_and_columns_of_nulls_are_keys(kind):
    assert len(encode_keys([pa.array([], kind)])) == 0
    keys = encode_keys([pa.array([None, None], kind)])
    assert keys.hashes.tolist() == hash64_reference([None, None])
    pair = encode_keys([pa.array([None, None], kind), pa.array([1, 2])])
    assert pair.hashes.tolist() == hash64_reference([(None, 1), (None, 2)])


def test_floats_that_compare_equal_are_one_key_and_all_nans_are_another():
    other_nan = np.array([0x7FF8000000000001], np.uint64).view(np.float64)[0]
    keys = encode_keys([pa.array([0.0, -0.0, math.nan, other_nan, 1.0])])
    a, b, c, d, e = encoded(keys)
    assert a == b
    assert c == d
    assert len({a, c, e}) == 3


def test_int64_and_timestamp_keys_borrow_arrows_buffers():
    array = pa.array([1, 2, 3])
    bits = encode_keys([array]).bits
    assert bits.__array_interface__["data"][0] == array.buffers()[1].address


def test_a_bool_slice_that_starts_within_a_byte_is_read_from_its_own_bit():
    values = [True, False, None, True, True, False, False, True, None, True, False]
    for start in range(11):
        assert encoded(encode_keys([pa.array(values)[start:]])) == values[start:]


VALUES = {
    "int": (pa.int64(), st.integers(-2, 2)),
    "uint64": (pa.uint64(), st.sampled_from([0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])),
    "float": (pa.float64(), st.sampled_from([0.5, 1.0, -1.0])),
    "bool": (pa.bool_(), st.booleans()),
    "string": (pa.string(), st.text("ab\0", max_size=3)),
    "binary": (pa.binary(), st.binary(max_size=2)),
    "time": (pa.timestamp("us", "UTC"), st.sampled_from([datetime(2020, 1, d, tzinfo=UTC) for d in (1, 2)])),
    "list": (pa.list_(pa.string()), st.lists(st.none() | st.text("ab", max_size=2), max_size=3)),
    "struct": (
        pa.struct({"x": pa.int64(), "y": pa.string()}),
        st.fixed_dictionaries({"x": st.none() | st.integers(0, 1), "y": st.none() | st.text("a", max_size=2)}),
    ),
}  # fmt: skip


def frozen(value: object) -> object:
    if isinstance(value, list):
        return tuple(map(frozen, value))
    return (frozen(value["x"]), frozen(value["y"])) if isinstance(value, dict) else value


@given(st.data(), st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=4))
@settings(deadline=None, max_examples=150)
def test_rows_are_equal_as_keys_exactly_where_their_values_are(data, kinds):
    rows = data.draw(st.lists(st.tuples(*(st.none() | VALUES[k][1] for k in kinds)), max_size=12))
    skipped = data.draw(st.integers(0, len(rows)))
    columns = [pa.array([r[i] for r in rows], VALUES[k][0])[skipped:] for i, k in enumerate(kinds)]
    rows = [tuple(map(frozen, row)) for row in rows[skipped:]]
    keys = encode_keys(columns)
    plain = [row[0] for row in rows] if len(kinds) == 1 else rows
    assert keys.hashes.tolist() == hash64_reference(plain)
    numbers: dict[object, int] = {}
    of_values = [numbers.setdefault(row, len(numbers)) for row in rows]
    numbers.clear()
    assert [numbers.setdefault(key, len(numbers)) for key in encoded(keys)] == of_values


def test_more_columns_than_a_null_mask_has_bits_stay_apart():
    columns = [pa.array([None, 0, 0], pa.int64())] * 69 + [pa.array([0, 0, None], pa.int64())]
    assert len(set(encoded(encode_keys(columns)))) == 3
