"""Several canonical columns as one byte string per row, equal exactly where the rows are.

A row: one 8-byte word per 64 columns with a bit set where a value is null; eight bytes per fixed column; for each
byte column its length in eight bytes, then its bytes. In-memory only: never sent or stored, so free to change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba.core import types

from flowjob.kernels.columns import NO_BYTES, Column, Int64s, UInt8s
from flowjob.kernels.compile import BOOLS, I64S, I64S_OUT, U8S, U8S_OUT, kernel
from flowjob.kernels.primitives import copy_bytes, store64


@kernel(types.void(I64S, BOOLS, I64S_OUT))
def add_lengths(offsets: Any, valid: Any, lengths: Any) -> None:
    """Add the length of each byte string, 0 where null."""
    nulls = valid.shape[0] > 0
    for i in range(lengths.shape[0]):
        if not nulls or valid[i]:
            lengths[i] += offsets[i + 1] - offsets[i]


@kernel(types.void(I64S, BOOLS, I64S_OUT, U8S_OUT))
def write_fixed(bits: Any, valid: Any, cursor: Any, data: Any) -> None:
    """Write eight bytes per row at its cursor, 0 where null, and move the cursor."""
    nulls = valid.shape[0] > 0
    for i in range(cursor.shape[0]):
        word = np.uint64(bits[i])
        if nulls and not valid[i]:
            word = np.uint64(0)
        store64(data, cursor[i], word)
        cursor[i] += 8


@kernel(types.void(I64S, U8S, BOOLS, I64S_OUT, U8S_OUT))
def write_spans(offsets: Any, source: Any, valid: Any, cursor: Any, data: Any) -> None:
    """Write length and bytes per row at its cursor, length 0 where null, and move the cursor."""
    nulls = valid.shape[0] > 0
    for i in range(cursor.shape[0]):
        at = cursor[i]
        length = offsets[i + 1] - offsets[i]
        if nulls and not valid[i]:
            length = np.int64(0)
        store64(data, at, np.uint64(length))
        copy_bytes(data, at + 8, source, offsets[i], length)
        cursor[i] = at + 8 + length


def encode_rows(columns: Sequence[Column], length: int) -> tuple[Int64s, UInt8s]:
    """(offsets int64[n + 1], data) of the rows of `columns`, each of `length` values."""
    masks = _null_masks(columns, length)
    fixed = [c for c in columns if c.bits is not None]
    varying = [c for c in columns if c.bits is None]
    offsets = np.zeros(length + 1, np.int64)
    lengths = offsets[1:]
    lengths += 8 * (len(masks) + len(columns))
    for column in varying:
        add_lengths(column.offsets, column.valid, lengths)
    np.cumsum(lengths, out=lengths)
    data = np.empty(int(offsets[-1]), np.uint8) if length else NO_BYTES
    cursor = offsets[:-1].copy()
    for mask in masks:
        write_fixed(mask, _NONE_NULL, cursor, data)
    for column in fixed:
        write_fixed(column.bits, column.valid, cursor, data)
    for column in varying:
        write_spans(column.offsets, column.data, column.valid, cursor, data)
    return offsets, data


_NONE_NULL = np.empty(0, np.bool_)


def _null_masks(columns: Sequence[Column], length: int) -> list[Int64s]:
    masks = [np.zeros(length, np.uint64) for _ in range((len(columns) + 63) // 64)]
    for position, column in enumerate(columns):
        if len(column.valid):
            bit = np.uint64(position % 64)
            masks[position // 64] |= (~column.valid).astype(np.uint64) << bit
    return [mask.view(np.int64) for mask in masks]
