"""Decimals, structs and lists as canonical columns: the rarer keys.

A struct is its children row-encoded; a list is its elements' rows, which lie behind one another already."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from flowjob.kernels import hash64
from flowjob.kernels.columns import Bools, Column, Int64s, canonical_column, offsets_of, validity
from flowjob.kernels.decimals import encode_decimals
from flowjob.kernels.hash64 import Tag
from flowjob.kernels.row_encoding import encode_rows


def read(array: pa.Array) -> Column:
    """The canonical column of a decimal, struct or list array."""
    if pa.types.is_decimal(array.type):
        return _decimals(array)
    if pa.types.is_struct(array.type):
        return _structs(array)
    return _lists(array)


def fold_columns(columns: list[Column], length: int) -> Any:
    """uint64[length], the hashes of rows of `columns`."""
    hashes = np.full(length, hash64.tuple_seed(len(columns)), np.uint64)
    for column in columns:
        hash64.fold_column(column.hashes, hashes)
    return hashes


def _structs(array: pa.Array) -> Column:
    columns = [canonical_column(array.field(i)) for i in range(array.type.num_fields)]
    # `field` applies the struct's offset but not its validity: a child of a null struct is not looked at.
    hashes = fold_columns(columns, len(array))
    valid = validity(array)
    if len(valid):
        hashes[~valid] = hash64.NULL_HASH
    offsets, data = encode_rows(columns, len(array))
    return Column(hashes, valid, offsets=offsets, data=data)


def _lists(array: pa.Array) -> Column:
    valid = validity(array)
    if pa.types.is_fixed_size_list(array.type):
        size = array.type.list_size
        start = array.offset * size
        bounds = np.arange(len(array) + 1, dtype=np.int64) * size + start
    else:
        wide = np.int64 if pa.types.is_large_list(array.type) else np.int32
        bounds = offsets_of(array, wide)
    first = int(bounds[0])
    elements = canonical_column(array.values.slice(first, int(bounds[-1]) - first))
    bounds = bounds - first
    hashes = np.empty(len(array), np.uint64)
    hash64.fold_lists(bounds, elements.hashes, valid, int(hash64.seed(Tag.TUPLE)), hashes)
    rows, data = encode_rows([elements], len(elements.hashes))
    return Column(hashes, valid, offsets=rows[bounds], data=data)


def _decimals(array: pa.Array) -> Column:
    valid = validity(array)
    narrow = _narrow(array)
    if narrow is not None:
        words = np.frombuffer(narrow.buffers()[1], np.uint64)
        words = words[2 * narrow.offset : 2 * (narrow.offset + len(narrow))]
        offsets, data, hashes = encode_decimals(words, valid, narrow.type.scale)
        return Column(hashes, valid, offsets=offsets, data=data)
    return _wide_decimals(array, valid)


def _narrow(array: pa.Array) -> pa.Array | None:
    """The decimals in 128 bits each; None where they do not fit, or there are none."""
    if len(array) == 0:
        return None
    if pa.types.is_decimal128(array.type):
        return array
    try:
        return array.cast(pa.decimal128(38, array.type.scale))
    except (pa.ArrowInvalid, ValueError):  # too many digits, too large a scale
        return None


def _wide_decimals(array: pa.Array, valid: Bools) -> Column:
    # Value by value: wider division is beyond the kernels, and such numbers are rare as keys.
    words: list[list[int]] = []
    for value in array.to_pylist():
        unscaled, scale = hash64.canonical_decimal(Decimal(0) if value is None else value)
        words.append([scale & hash64.MASK, *hash64.decimal_words(unscaled)])
    lengths = np.fromiter((8 * len(w) for w in words), np.int64, len(words))
    offsets: Int64s = np.zeros(len(words) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    data = np.array([w for value in words for w in value], np.uint64).view(np.uint8)
    hashes = np.fromiter((hash64.decimal_hash(w) for w in words), np.uint64, len(words))
    if len(valid):
        hashes[~valid] = hash64.NULL_HASH
    return Column(hashes, valid, offsets=offsets, data=data)
