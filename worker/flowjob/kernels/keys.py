"""Key columns as what the group index compares and the partitioner hashes.

Here the choice of physical layout is made, so that kernels exist for two only: FIXED and BYTES."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pyarrow as pa

from flowjob.kernels.columns import (
    NO_BYTES,
    NONE_NULL,
    Bools,
    Column,
    Int64s,
    UInt8s,
    UInt64s,
    canonical_column,
)
from flowjob.kernels.nested_columns import fold_columns
from flowjob.kernels.row_encoding import encode_rows


class Layout(Enum):
    """How keys lie in memory; a function of the key columns' types, never of the values."""

    FIXED = "fixed"  # eight bytes each
    BYTES = "bytes"  # a span of bytes each


@dataclass(frozen=True, slots=True, eq=False)
class EncodedKeys:
    """n keys in canonical form. Borrows Arrow's buffers where it can: do not keep it beyond the call.

    hashes   uint64[n], hash64
    valid    bool[n], False where the key is null; empty when none is. Rows of several columns are never null
    bits     FIXED: int64[n]
    offsets  BYTES: int64[n + 1] into data, uint8
    """

    layout: Layout
    hashes: UInt64s
    valid: Bools
    bits: Int64s
    offsets: Int64s
    data: UInt8s

    def __len__(self) -> int:
        return len(self.hashes)


def encode_keys(columns: Sequence[pa.Array], length: int | None = None) -> EncodedKeys:
    """The keys of rows whose key columns are `columns`; equal in every Arrow encoding of the same values.

    No columns: every row has the same key, and `length` says how many there are. TypeError, naming the type, for a
    column that cannot be a key; ValueError where a time is finer than a microsecond."""
    if len(columns) == 1:
        return _from_column(canonical_column(columns[0]))
    if not columns:
        rows = length or 0
        constant = np.full(rows, fold_columns([], 1)[0], np.uint64)
        return EncodedKeys(
            Layout.FIXED, constant, NONE_NULL, np.zeros(rows, np.int64), _NO_OFFSETS, NO_BYTES
        )
    parts = [canonical_column(column) for column in columns]
    rows = len(columns[0])
    offsets, data = encode_rows(parts, rows)
    return EncodedKeys(Layout.BYTES, fold_columns(parts, rows), NONE_NULL, _NO_BITS, offsets, data)


_NO_OFFSETS: Int64s = np.zeros(1, np.int64)
_NO_BITS: Int64s = np.empty(0, np.int64)


def _from_column(column: Column) -> EncodedKeys:
    if column.bits is not None:
        return EncodedKeys(
            Layout.FIXED, column.hashes, column.valid, column.bits, _NO_OFFSETS, NO_BYTES
        )
    assert column.offsets is not None
    assert column.data is not None
    return EncodedKeys(
        Layout.BYTES, column.hashes, column.valid, _NO_BITS, column.offsets, column.data
    )
