"""Any ordered Arrow type as int64 whose order is the values' order, so that one kernel serves all.

Fixed-width types map one to one and back, so keys of different batches compare. Strings, binaries
and wide decimals get ranks, which compare within one batch only. NaN is the greatest float; -0.0
equals 0.0."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from flowjob.runtime.accumulators.base import Bools
from flowjob.runtime.batch import Int64s

_FLIP = np.int64(2**63 - 1)
_SIGN = np.uint64(2**63)
NAN_KEY = 2**63 - 1


def order_keys(array: pa.Array) -> Int64s:
    """int64 keys of a null-free array of a type with `fixed_order`."""
    kind = array.type
    if pa.types.is_floating(kind):
        return _float_keys(array)
    keys: Int64s
    if pa.types.is_uint64(kind):
        keys = (array.to_numpy(zero_copy_only=False) ^ _SIGN).view(np.int64)
        return keys
    if pa.types.is_boolean(kind):
        array = array.cast(pa.int8())
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        array = array.view(pa.int32())
    elif pa.types.is_temporal(kind):
        array = array.view(pa.int64())
    if array.type != pa.int64():
        array = array.cast(pa.int64())
    keys = array.to_numpy(zero_copy_only=False)
    return keys


def from_order_keys(keys: Int64s, empty: Bools, type: pa.DataType) -> pa.Array:
    """The values of `keys`, null where `empty` holds."""
    mask = empty if empty.any() else None
    if pa.types.is_floating(type):
        return pa.array(_floats(keys), pa.float64(), mask=mask).cast(type)
    if pa.types.is_uint64(type):
        return pa.array(keys.view(np.uint64) ^ _SIGN, type, mask=mask)
    if pa.types.is_boolean(type):
        return pa.array(keys == 1, type, mask=mask)
    keys = np.where(empty, 0, keys) if mask is not None else keys
    if pa.types.is_date32(type) or pa.types.is_time32(type):
        return pa.array(keys.astype(np.int32), pa.int32(), mask=mask).view(type)
    whole = pa.array(keys, pa.int64(), mask=mask)
    return whole.view(type) if pa.types.is_temporal(type) else whole.cast(type)


def ranks(array: pa.Array) -> Int64s:
    """int64 whose order within this null-free array is the values' order; equal values get equal
    ranks."""
    ranked = pc.rank(array, sort_keys="ascending", tiebreaker="dense")
    found: Int64s = ranked.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return found


def _float_keys(array: pa.Array) -> Int64s:
    values = array.cast(pa.float64()).to_numpy(zero_copy_only=False)
    # Adding 0.0 turns -0.0 into 0.0; negative floats order backwards by their bits.
    bits = (values + 0.0).view(np.int64)
    keys: Int64s = np.where(bits < 0, bits ^ _FLIP, bits)
    nan = np.isnan(values)
    if nan.any():
        keys[nan] = NAN_KEY
    return keys


def _floats(keys: Int64s) -> npt.NDArray[np.float64]:
    # The key of NaN is itself the bits of a NaN.
    return np.where(keys < 0, keys ^ _FLIP, keys).view(np.float64)
