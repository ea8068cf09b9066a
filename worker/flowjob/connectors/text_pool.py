"""Random text as slices of one shared buffer: strings of any length without making a single one in Python.

Shared by the generators; it must not know their fields. Kernels are imported when text is made: a program that only
describes a job does without them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TextPool:
    """ASCII text of `size` bytes."""

    data: pa.Buffer

    @property
    def size(self) -> int:
        return int(self.data.size)

    def trim(self, starts: Integers, lengths: Integers) -> None:
        """Changes the slices so that none begins or ends with a blank."""
        from flowjob.kernels.text_slices import trim_blanks

        trim_blanks(np.frombuffer(self.data, np.uint8), starts, lengths)

    def slices(self, starts: Integers, lengths: Integers) -> pa.StringArray:
        """The texts at `starts` of `lengths` bytes each; every one lies inside the pool."""
        from flowjob.kernels.text_slices import BLOCK, slice_bounds, slice_bytes

        held = pa.allocate_buffer(4 * len(starts) + 4)
        bounds = np.frombuffer(held, np.int32)
        total = slice_bounds(lengths, bounds)
        if total < 0:
            raise ValueError("more text than one Arrow array holds: make fewer rows at a time")
        text = pa.allocate_buffer(total + BLOCK)
        slice_bytes(
            np.frombuffer(self.data, np.uint8), starts, bounds, np.frombuffer(text, np.uint8)
        )
        return pa.Array.from_buffers(pa.string(), len(starts), [None, held, text[:total]])
