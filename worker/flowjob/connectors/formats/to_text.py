"""Typed columns to text: what cells of CSV and values of JSON look like. The other direction of from_text.

Whole columns at a time. Times are ISO 8601 in UTC, durations ISO 8601 seconds, bytes base64."""

from __future__ import annotations

import base64

import pyarrow as pa
import pyarrow.compute as pc


def to_text(array: pa.Array) -> pa.Array:
    """A string array of an array of scalars; nulls stay null."""
    kind, types = array.type, pa.types
    if types.is_dictionary(kind):
        return to_text(array.dictionary_decode())
    if types.is_timestamp(kind):
        return _timestamps(array)
    if types.is_duration(kind):
        return _durations(array)
    if is_bytes(kind):
        texts = [None if v is None else base64.b64encode(v).decode() for v in array.to_pylist()]
        return pa.array(texts, pa.string())
    if types.is_float16(kind):
        return array.cast(pa.float32()).cast(pa.string())
    return array.cast(pa.string())


def is_bytes(kind: pa.DataType) -> bool:
    """Whether values are raw bytes, of whatever layout."""
    types = pa.types
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )


def _timestamps(array: pa.Array) -> pa.Array:
    # Without a zone: Arrow takes 25 times as long to print one, and the instant is UTC anyhow.
    plain = array.cast(pa.timestamp(array.type.unit)).cast(pa.string())
    end = "" if array.type.tz is None else "Z"
    dates, times = pc.utf8_slice_codeunits(plain, 0, 10), pc.utf8_slice_codeunits(plain, 11)
    return pc.binary_join_element_wise(dates, "T", times, end, "")


def _durations(array: pa.Array) -> pa.Array:
    micros = array.cast(pa.duration("us")).cast(pa.int64())
    sign = pc.if_else(pc.less(micros, 0), "-", "")
    size = pc.abs(micros)
    seconds = pc.divide(size, 1_000_000)
    rest = pc.subtract(size, pc.multiply(seconds, 1_000_000)).cast(pa.string())
    fraction = pc.utf8_lpad(rest, 6, "0")
    return pc.binary_join_element_wise(
        sign, "PT", seconds.cast(pa.string()), ".", fraction, "S", ""
    )
