"""Texts cut from one buffer, and copied one behind the other: strings made without Arrow's or Python's help.

A text is copied in whole blocks where the buffers have room, so that short ones cost no branch on their length; what
is too much is overwritten by the next one. Must not know whose texts they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types

from flowjob.kernels.compile import I32S, I32S_OUT, I64S, I64S_OUT, U8S, U8S_OUT, kernel
from flowjob.kernels.primitives import copy_bytes

BLOCK = 96
"""Bytes that are copied at once, for texts that are no longer; multiples of 32 are whole registers."""

_BLANK = np.uint8(32)


@kernel(types.int64(I64S, I32S_OUT))
def slice_bounds(lengths: Any, out: Any) -> Any:
    """Where texts of these lengths begin and end, int32[n + 1]; the bytes of all, -1 when int32 cannot say them."""
    total = np.int64(0)
    out[0] = 0
    for i in range(lengths.shape[0]):
        total += lengths[i]
        if total > 0x7FFFFFFF:
            return np.int64(-1)
        out[i + 1] = np.int32(total)
    return total


@kernel(types.void(U8S, I64S, I32S, U8S_OUT))
def slice_bytes(data: Any, starts: Any, bounds: Any, out: Any) -> None:
    """The texts that begin at `starts` to their `bounds` in `out`, which has BLOCK bytes to spare."""
    last = data.shape[0] - BLOCK
    for i in range(starts.shape[0]):
        start = starts[i]
        at = np.int64(bounds[i])
        length = np.int64(bounds[i + 1]) - at
        if length <= BLOCK and start <= last:
            copy_bytes(out, at, data, start, 96)
        else:
            copy_bytes(out, at, data, start, length)


@kernel(types.void(U8S, I64S_OUT, I64S_OUT))
def trim_blanks(data: Any, starts: Any, lengths: Any) -> None:
    """Leave out the blanks at the ends of texts."""
    for i in range(starts.shape[0]):
        start = starts[i]
        stop = start + lengths[i]
        while start < stop and data[start] == _BLANK:
            start += 1
        while start < stop and data[stop - 1] == _BLANK:
            stop -= 1
        starts[i] = start
        lengths[i] = stop - start
