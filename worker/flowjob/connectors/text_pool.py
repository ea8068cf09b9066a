"""Random text as slices of one shared buffer: strings of any length without making a single one in Python.

Views into the buffer are laid out by numpy and copied by Arrow. Shared by the generators; it must not know
their fields."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_INLINE = 12
"""A string view holds so many bytes itself."""


@dataclass(frozen=True, eq=False)
class TextPool:
    """ASCII text of `size` bytes."""

    data: pa.Buffer

    @property
    def size(self) -> int:
        return int(self.data.size)

    def slices(
        self, offsets: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
    ) -> pa.StringArray:
        """The texts at `offsets` of `lengths` bytes each; every one lies inside the pool, 12 bytes before its end."""
        characters = np.frombuffer(self.data, np.uint8)
        windows = np.lib.stride_tricks.sliding_window_view(characters, _INLINE)
        views = np.zeros((len(offsets), 16), np.uint8)
        numbers = views.view(np.int32)
        numbers[:, 0] = lengths
        views[:, 4:] = windows[offsets]
        long = lengths > _INLINE
        numbers[:, 2] = np.where(long, 0, numbers[:, 2])
        numbers[:, 3] = np.where(long, offsets, numbers[:, 3])
        short = np.flatnonzero(lengths < _INLINE)
        if len(short):  # unused bytes of a view are zero
            beyond = np.arange(_INLINE) >= lengths[short][:, None]
            inside = views[short, 4:]
            inside[beyond] = 0
            views[short, 4:] = inside
        array = pa.Array.from_buffers(
            pa.string_view(), len(offsets), [None, pa.py_buffer(views), self.data]
        )
        return array.cast(pa.string())
