"""Decimals as canonical keys: the unscaled integer without trailing zeros, and its scale, with hash64 (docs/hash64.md).

128 bits in two words, since numba has no wider integers; division by ten takes the words one after the other. Wider
decimals that do not fit are encoded value by value elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types

from flowjob.kernels import hash64
from flowjob.kernels.columns import Bools, Int64s, UInt8s, UInt64s
from flowjob.kernels.compile import BOOLS, I64S_OUT, U64S, U64S_OUT, kernel
from flowjob.kernels.hash64 import NULL_HASH, Tag, fold
from flowjob.kernels.primitives import mix64

_0, _1, _6, _10 = (np.uint64(n) for n in (0, 1, 6, 10))
_TENTH = np.uint64((1 << 64) // 10)  # 2**64 = 10 * _TENTH + 6
_TOP = np.uint64(63)


@kernel(types.int64(U64S, BOOLS, types.int64, types.uint64, I64S_OUT, U64S_OUT, U64S_OUT))
def canonical_decimals(
    words: Any, valid: Any, scale: Any, begin: Any, offsets: Any, out: Any, hashes: Any
) -> Any:
    """Scale, then one or two words, of each 128-bit decimal (lowest word first); the words written.

    `offsets` in bytes. A null is encoded as zero and has the hash of null."""
    nulls = valid.shape[0] > 0
    at = np.int64(0)
    for i in range(hashes.shape[0]):
        low, high = words[2 * i], words[2 * i + 1]
        null = nulls and not valid[i]
        if null:
            low, high = _0, _0
        negative = (high >> _TOP) != _0
        if negative:
            low = ~low + _1
            high = ~high + (_1 if low == _0 else _0)
        digits = np.int64(scale)
        if low == _0 and high == _0:
            digits = np.int64(0)
        else:
            while low & _1 == _0:
                tenth = high // _10
                rest = high - tenth * _10
                low_tenth = low // _10
                last = rest * _6 + (low - low_tenth * _10)
                more = last // _10
                if last != more * _10:
                    break
                low, high = rest * _TENTH + low_tenth + more, tenth
                digits -= 1
        if negative:
            low = ~low + _1
            high = ~high + (_1 if low == _0 else _0)
        # The sign bit of one word says all that a second one would.
        filling = ~_0 if (low >> _TOP) != _0 else _0
        out[at], out[at + 1] = np.uint64(digits), low
        h = fold(mix64(begin + np.uint64(digits)), low)
        at += 2
        if high != filling:
            out[at] = high
            h = fold(h, high)
            at += 1
        offsets[i + 1] = at * 8
        hashes[i] = NULL_HASH if null else h
    return at


def encode_decimals(words: UInt64s, valid: Bools, scale: int) -> tuple[Int64s, UInt8s, UInt64s]:
    """(offsets int64[n + 1], data, hashes) of n decimals of 128 bits and one scale; `valid` empty when none is null."""
    n = len(words) // 2
    offsets: Int64s = np.zeros(n + 1, np.int64)
    out: UInt64s = np.empty(3 * n, np.uint64)
    hashes: UInt64s = np.empty(n, np.uint64)
    begin = int(hash64.seed(Tag.DECIMAL))
    used = canonical_decimals(words, valid, scale, begin, offsets, out, hashes)
    return offsets, out[:used].view(np.uint8), hashes
