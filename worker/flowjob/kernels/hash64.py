"""hash64: the hash that decides which key group, so which subtask and which snapshot range, a key belongs to.

Part of the snapshot format: specified byte by byte in docs/hash64.md, with vectors in tests, and never changed.
Here are its kernels over canonical values and a reference in plain Python; turning Arrow columns into canonical
values is `columns.py`."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import IntEnum
from typing import Any

import numpy as np
from numba.core import types

from flowjob.kernels.compile import BOOLS, I64S, U8S, U64S, U64S_OUT, helper, kernel
from flowjob.kernels.primitives import load64, mix64

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
K1 = np.uint64(0x87C37B91114253D5)
K2 = np.uint64(0x4CF5AD432745937F)
K3 = np.uint64(5)
K4 = np.uint64(0x52DCE729)
_64 = np.uint64(64)


class Tag(IntEnum):
    """What a value is, in its hash: values of different tags are different keys (1 is not 1.0)."""

    INTEGER = 1
    UNSIGNED = 2  # an integer above 2**63 - 1
    FLOAT = 3
    BOOL = 4
    INSTANT = 5  # timestamps, and dates as their midnight UTC
    TIME = 6
    DURATION = 7
    DECIMAL = 8
    STRING = 9
    BINARY = 10
    TUPLE = 11  # several key columns, structs, lists
    NULL = 12


def seed(tag: Tag) -> np.uint64:
    """Where the hash of a value of this tag begins."""
    return np.uint64((tag * GOLDEN) & MASK)


UNSIGNED_SEED = seed(Tag.UNSIGNED)
NULL_HASH = np.uint64(0xF47686FD2A7956DE)  # mix64(seed(NULL)); a literal because kernels bake it in


@helper
def hash_bytes(data: Any, start: Any, stop: Any, begin: Any) -> Any:
    """The hash of the bytes data[start:stop], from seed `begin`."""
    h = begin + np.uint64(stop - start)
    position = start
    while position + 8 <= stop:
        h = _absorb(h, load64(data, position))
        position += 8
    if position < stop:
        rest = stop - position
        if stop >= 8:
            # One load that ends with the value; the shift drops the bytes before the rest.
            word = load64(data, stop - 8) >> np.uint64(8 * (8 - rest))
        else:
            word = np.uint64(0)
            for i in range(rest):
                word |= np.uint64(data[position + i]) << np.uint64(8 * i)
        h = _absorb(h, word)
    return mix64(h)


@helper
def _absorb(h: Any, word: Any) -> Any:
    k = word * K1
    k = ((k << np.uint64(31)) | (k >> np.uint64(33))) * K2
    h ^= k
    return ((h << np.uint64(27)) | (h >> np.uint64(37))) * K3 + K4


@helper
def fold(h: Any, part: Any) -> Any:
    """The hash of a sequence with one part more."""
    return mix64(h * K1 + part)


@kernel(types.void(I64S, BOOLS, types.uint64, U64S_OUT))
def hash_fixed(bits: Any, valid: Any, begin: Any, out: Any) -> None:
    """Hashes of values of eight canonical bytes. `valid` is empty when no value is null."""
    if valid.shape[0] == 0:
        for i in range(bits.shape[0]):
            out[i] = mix64(np.uint64(bits[i]) + begin)
    else:
        for i in range(bits.shape[0]):
            out[i] = mix64(np.uint64(bits[i]) + begin) if valid[i] else NULL_HASH


@kernel(types.void(I64S, BOOLS, types.uint64, U64S_OUT))
def hash_unsigned(bits: Any, valid: Any, begin: Any, out: Any) -> None:
    """Hashes of uint64 values, given as their bits: those that an int64 can hold hash as integers."""
    nulls = valid.shape[0] > 0
    for i in range(bits.shape[0]):
        if nulls and not valid[i]:
            out[i] = NULL_HASH
        else:
            out[i] = mix64(np.uint64(bits[i]) + (begin if bits[i] >= 0 else UNSIGNED_SEED))


@kernel(types.void(I64S, U8S, BOOLS, types.uint64, U64S_OUT))
def hash_spans(offsets: Any, data: Any, valid: Any, begin: Any, out: Any) -> None:
    """Hashes of the byte strings data[offsets[i]:offsets[i + 1]]; `valid` empty when none is null."""
    nulls = valid.shape[0] > 0
    for i in range(out.shape[0]):
        if nulls and not valid[i]:
            out[i] = NULL_HASH
        else:
            out[i] = hash_bytes(data, offsets[i], offsets[i + 1], begin)


@kernel(types.void(U64S, U64S_OUT))
def fold_column(parts: Any, hashes: Any) -> None:
    """Fold the hashes of one more column into the hashes of rows."""
    for i in range(parts.shape[0]):
        hashes[i] = fold(hashes[i], parts[i])


@kernel(types.void(I64S, U64S, BOOLS, types.uint64, U64S_OUT))
def fold_lists(offsets: Any, parts: Any, valid: Any, begin: Any, out: Any) -> None:
    """Hashes of lists from the hashes of their elements parts[offsets[i]:offsets[i + 1]]."""
    nulls = valid.shape[0] > 0
    for i in range(out.shape[0]):
        if nulls and not valid[i]:
            out[i] = NULL_HASH
            continue
        h = mix64(begin + np.uint64(offsets[i + 1] - offsets[i]))
        for j in range(offsets[i], offsets[i + 1]):
            h = fold(h, parts[j])
        out[i] = h


def tuple_seed(count: int) -> int:
    """The hash of a row of `count` columns before its first is folded in."""
    return _mix(int(seed(Tag.TUPLE)) + count)


# The reference: slow, short, and independent of the kernels above.


def hash64_reference(values: Iterable[object]) -> list[int]:
    """hash64 of each Python value: None, bool, int, float, Decimal, str, bytes, date, datetime (naive = UTC),
    time, timedelta, tuples and lists of those, dicts as structs. TypeError for anything else."""
    return [_reference(value) for value in values]


def _reference(value: object) -> int:
    if value is None:
        return _mix(Tag.NULL * GOLDEN)
    if isinstance(value, str):
        return _bytes(Tag.STRING, value.encode())
    if isinstance(value, bytes):
        return _bytes(Tag.BINARY, value)
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return _sequence(_mix(Tag.TUPLE * GOLDEN + len(value)), (_reference(v) for v in value))
    if isinstance(value, Decimal):
        unscaled, scale = canonical_decimal(value)
        return decimal_hash([scale & MASK, *decimal_words(unscaled)])
    tag, bits = _fixed(value)
    return _mix(tag * GOLDEN + bits)


def _fixed(value: object) -> tuple[Tag, int]:
    if isinstance(value, bool):
        return Tag.BOOL, int(value)
    if isinstance(value, int):
        if not -(1 << 63) <= value <= MASK:
            raise TypeError(f"{value} is beyond 64 bits")
        return (Tag.INTEGER if value < 1 << 63 else Tag.UNSIGNED), value
    if isinstance(value, float):
        if math.isnan(value):
            return Tag.FLOAT, 0x7FF8000000000000
        return Tag.FLOAT, struct.unpack("<q", struct.pack("<d", value + 0.0))[0]
    microsecond = timedelta(microseconds=1)
    if isinstance(value, datetime):
        at = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return Tag.INSTANT, (at - datetime(1970, 1, 1, tzinfo=UTC)) // microsecond
    if isinstance(value, date):
        return Tag.INSTANT, (value - date(1970, 1, 1)) // microsecond
    if isinstance(value, time):
        since = ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000
        return Tag.TIME, since + value.microsecond
    if isinstance(value, timedelta):
        return Tag.DURATION, value // microsecond
    raise TypeError(f"{type(value).__qualname__} has no canonical encoding as a key")


def canonical_decimal(value: Decimal) -> tuple[int, int]:
    """(unscaled, scale) with value = unscaled / 10**scale and no trailing zero; zero is (0, 0)."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise TypeError(f"{value} has no canonical encoding as a key")
    unscaled = int("".join(map(str, digits)))
    if unscaled == 0:
        return 0, 0
    while unscaled % 10 == 0:
        unscaled //= 10
        exponent += 1
    return (-unscaled if sign else unscaled), -exponent


def decimal_words(unscaled: int) -> list[int]:
    """The fewest 64-bit words, lowest first, that hold `unscaled` in two's complement."""
    count = (unscaled if unscaled >= 0 else ~unscaled).bit_length() // 64 + 1
    return [(unscaled >> (64 * i)) & MASK for i in range(count)]


def decimal_hash(words: list[int]) -> int:
    """hash64 of a decimal given as its scale, modulo 2**64, and its unscaled words."""
    return _sequence(_mix(Tag.DECIMAL * GOLDEN + words[0]), words[1:])


def _sequence(h: int, parts: Iterable[int]) -> int:
    for part in parts:
        h = _mix(h * int(K1) + part)
    return h


def _words(data: bytes) -> Iterator[int]:
    for start in range(0, len(data), 8):
        yield int.from_bytes(data[start : start + 8], "little")


def _bytes(tag: Tag, data: bytes) -> int:
    h = (tag * GOLDEN + len(data)) & MASK
    for word in _words(data):
        k = _rotate(word * int(K1) & MASK, 31) * int(K2) & MASK
        h = (_rotate(h ^ k, 27) * int(K3) + int(K4)) & MASK
    return _mix(h)


def _rotate(x: int, by: int) -> int:
    return ((x << by) | (x >> (64 - by))) & MASK


def _mix(x: int) -> int:
    x &= MASK
    x ^= x >> 33
    x = x * 0xFF51AFD7ED558CCD & MASK
    x ^= x >> 33
    x = x * 0xC4CEB9FE1A85EC53 & MASK
    return x ^ (x >> 33)
