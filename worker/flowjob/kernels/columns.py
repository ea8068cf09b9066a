"""One Arrow array as canonical values: eight bytes each, or spans of bytes, with their hash64 and validity.

Here every Arrow encoding of a value becomes the same canonical one (docs/hash64.md). Zero-copy where the buffer
already is canonical: int64, timestamp[us], strings and binary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba.core import types

from flowjob.kernels import hash64
from flowjob.kernels.compile import F64S, I64S_OUT, kernel
from flowjob.kernels.hash64 import Tag

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]
UInt8s = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

NONE_NULL: Bools = np.empty(0, np.bool_)
NO_BYTES: UInt8s = np.empty(0, np.uint8)
CANONICAL_NAN = np.int64(0x7FF8000000000000)


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """n canonical values: either `bits` or `offsets` and `data`.

    hashes   uint64[n], hash64 of each value
    valid    bool[n], False where null; empty when no value is null
    bits     int64[n], the eight canonical bytes; anything where null
    offsets  int64[n + 1] into data, of uint8; anything monotone where null
    """

    hashes: UInt64s
    valid: Bools
    bits: Int64s | None = None
    offsets: Int64s | None = None
    data: UInt8s | None = None


def canonical_column(array: pa.Array) -> Column:
    """The canonical values of any array that can be a key.

    TypeError naming the type otherwise; ValueError where a time is finer than a microsecond."""
    reader = _READERS.get(array.type.id)
    if reader is not None:
        return reader(array)
    if isinstance(array, pa.ExtensionArray):
        return canonical_column(array.storage)
    raise TypeError(
        f"a column of type {array.type} cannot be a key: it has no canonical encoding. "
        "Keys are numbers, decimals, bools, strings, binary, dates, times, durations, and structs and lists of these"
    )


def validity(array: pa.Array) -> Bools:
    """bool[n], False where null; empty when none is."""
    if array.null_count == 0:
        return NONE_NULL
    bitmap = array.buffers()[0]
    if bitmap is None:  # only the null type has nulls without a bitmap
        return np.zeros(len(array), np.bool_)
    return unpack_bits(bitmap, array.offset, len(array))


def unpack_bits(buffer: pa.Buffer, offset: int, length: int) -> Bools:
    """bool[length] from a bitmap's bit `offset` on."""
    first, last = offset >> 3, (offset + length + 7) >> 3
    packed = np.frombuffer(buffer, np.uint8, last - first, first)
    bits = np.unpackbits(packed, bitorder="little")
    return bits[offset & 7 : (offset & 7) + length].view(np.bool_)


def values_of(array: pa.Array, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """The values buffer of a fixed-width array, its slice only; read-only, no copy."""
    length = len(array)
    if length == 0:
        return np.empty(0, dtype)
    width = np.dtype(dtype).itemsize
    return np.frombuffer(array.buffers()[1], dtype, length, array.offset * width)


def _fixed(bits: Int64s, valid: Bools, tag: Tag) -> Column:
    hashes = np.empty(len(bits), np.uint64)
    hash64.hash_fixed(bits, valid, _SEEDS[tag], hashes)
    return Column(hashes, valid, bits=bits)


def _integers(dtype: type[np.generic]) -> Callable[[pa.Array], Column]:
    def read(array: pa.Array) -> Column:
        bits = values_of(array, dtype).astype(np.int64, copy=False)
        return _fixed(bits, validity(array), Tag.INTEGER)

    return read


def _uint64(array: pa.Array) -> Column:
    bits = values_of(array, np.int64)
    valid = validity(array)
    hashes = np.empty(len(bits), np.uint64)
    hash64.hash_unsigned(bits, valid, _SEEDS[Tag.INTEGER], hashes)
    return Column(hashes, valid, bits=bits)


@kernel(types.void(F64S, I64S_OUT))
def canonical_floats(values: Any, out: Any) -> None:
    """The bits of each float64, with one NaN and no negative zero."""
    floats = out.view(np.float64)
    for i in range(values.shape[0]):
        value = values[i]
        if value != value:
            out[i] = CANONICAL_NAN
        else:
            floats[i] = value + 0.0


def _floats(dtype: type[np.generic]) -> Callable[[pa.Array], Column]:
    def read(array: pa.Array) -> Column:
        values = values_of(array, dtype).astype(np.float64, copy=False)
        bits = np.empty(len(values), np.int64)
        canonical_floats(values, bits)
        return _fixed(bits, validity(array), Tag.FLOAT)

    return read


def _bool(array: pa.Array) -> Column:
    if len(array) == 0:
        return _fixed(np.empty(0, np.int64), NONE_NULL, Tag.BOOL)
    bits = unpack_bits(array.buffers()[1], array.offset, len(array)).astype(np.int64)
    return _fixed(bits, validity(array), Tag.BOOL)


def _times(tag: Tag, unit: Callable[[pa.DataType], pa.DataType]) -> Callable[[pa.Array], Column]:
    def read(array: pa.Array) -> Column:
        wanted = unit(array.type)
        if array.type != wanted:
            try:
                array = array.cast(wanted)
            except pa.ArrowInvalid as error:
                raise ValueError(
                    f"a key of type {array.type} has no exact value in microseconds ({error}); "
                    f"round it first, with .cast({wanted})"
                ) from error
        return _fixed(values_of(array, np.int64), validity(array), tag)

    return read


def spans(offsets: Int64s, data: UInt8s, valid: Bools, tag: Tag) -> Column:
    """A column of byte strings with their hashes."""
    hashes = np.empty(len(offsets) - 1, np.uint64)
    hash64.hash_spans(offsets, data, valid, _SEEDS[tag], hashes)
    return Column(hashes, valid, offsets=offsets, data=data)


def _strings(tag: Tag, dtype: type[np.generic]) -> Callable[[pa.Array], Column]:
    def read(array: pa.Array) -> Column:
        buffers = array.buffers()
        return spans(offsets_of(array, dtype), _bytes_of(buffers[2]), validity(array), tag)

    return read


def offsets_of(array: pa.Array, dtype: type[np.generic]) -> Int64s:
    """int64[n + 1], the offsets of a string, binary or list array's slice."""
    if len(array) == 0:
        return np.zeros(1, np.int64)
    width = np.dtype(dtype).itemsize
    raw = np.frombuffer(array.buffers()[1], dtype, len(array) + 1, array.offset * width)
    return raw.astype(np.int64, copy=False)


def _bytes_of(buffer: pa.Buffer | None) -> UInt8s:
    if buffer is None or buffer.size == 0:
        return NO_BYTES
    return np.frombuffer(buffer, np.uint8)


def _fixed_size_binary(array: pa.Array) -> Column:
    width = array.type.byte_width
    start = array.offset * width
    offsets = np.arange(start, start + (len(array) + 1) * width, max(width, 1), dtype=np.int64)
    if width == 0:
        offsets = np.zeros(len(array) + 1, np.int64)
    return spans(offsets, _bytes_of(array.buffers()[1]), validity(array), Tag.BINARY)


def _recast(target: pa.DataType) -> Callable[[pa.Array], Column]:
    return lambda array: canonical_column(array.cast(target))


def _dictionary(array: pa.Array) -> Column:
    return canonical_column(array.dictionary_decode())


def _run_end_encoded(array: pa.Array) -> Column:
    return canonical_column(pc.run_end_decode(array))


def _null(array: pa.Array) -> Column:
    return _fixed(np.zeros(len(array), np.int64), np.zeros(len(array), np.bool_), Tag.NULL)


def _nested(array: pa.Array) -> Column:
    # Imported late: nested columns and decimals read their children with this module.
    from flowjob.kernels import nested_columns

    return nested_columns.read(array)


# As plain ints: numba takes them fastest.
_SEEDS = {tag: int(hash64.seed(tag)) for tag in Tag}

_MICROSECONDS = pa.timestamp("us")

_READERS: dict[int, Callable[[pa.Array], Column]] = {
    pa.int8().id: _integers(np.int8),
    pa.int16().id: _integers(np.int16),
    pa.int32().id: _integers(np.int32),
    pa.int64().id: _integers(np.int64),
    pa.uint8().id: _integers(np.uint8),
    pa.uint16().id: _integers(np.uint16),
    pa.uint32().id: _integers(np.uint32),
    pa.uint64().id: _uint64,
    pa.float16().id: _floats(np.float16),
    pa.float32().id: _floats(np.float32),
    pa.float64().id: _floats(np.float64),
    pa.bool_().id: _bool,
    pa.null().id: _null,
    pa.timestamp("us").id: _times(Tag.INSTANT, lambda t: pa.timestamp("us", t.tz)),
    pa.date32().id: _times(Tag.INSTANT, lambda _: _MICROSECONDS),
    pa.date64().id: _times(Tag.INSTANT, lambda _: _MICROSECONDS),
    pa.time32("ms").id: _times(Tag.TIME, lambda _: pa.time64("us")),
    pa.time64("us").id: _times(Tag.TIME, lambda _: pa.time64("us")),
    pa.duration("us").id: _times(Tag.DURATION, lambda _: pa.duration("us")),
    pa.string().id: _strings(Tag.STRING, np.int32),
    pa.large_string().id: _strings(Tag.STRING, np.int64),
    pa.string_view().id: _recast(pa.large_string()),
    pa.binary().id: _strings(Tag.BINARY, np.int32),
    pa.large_binary().id: _strings(Tag.BINARY, np.int64),
    pa.binary_view().id: _recast(pa.large_binary()),
    pa.binary(1).id: _fixed_size_binary,
    pa.dictionary(pa.int32(), pa.string()).id: _dictionary,
    pa.lib.Type_RUN_END_ENCODED: _run_end_encoded,
    # The narrow decimals came with pyarrow 19.
    getattr(pa.lib, "Type_DECIMAL32", -1): _nested,
    getattr(pa.lib, "Type_DECIMAL64", -1): _nested,
    pa.decimal128(1).id: _nested,
    pa.decimal256(1).id: _nested,
    pa.struct([]).id: _nested,
    pa.list_(pa.null()).id: _nested,
    pa.large_list(pa.null()).id: _nested,
    pa.list_(pa.null(), 1).id: _nested,
}
