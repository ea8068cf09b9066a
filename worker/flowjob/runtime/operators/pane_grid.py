"""The arithmetic of panes: time cut into equal spans of which every tumbling or sliding window is
made whole.

Panes and the boundaries between them are numbered: pane p lies between boundaries p and p + 1. A
window ends at a boundary e with e = width (mod step) and covers panes e - width … e - 1. Pure ints
and arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowjob.runtime.batch import Int64s
from flowjob.watermarks import micros
from flowjob.windows import Sliding, Tumbling, pane_size

_FAR = 2**62


@dataclass(frozen=True, slots=True)
class PaneGrid:
    """size    µs per pane
    offset  µs from the epoch to boundary 0
    width   panes per window
    step    panes between window starts
    """

    size: int
    offset: int
    width: int
    step: int

    @classmethod
    def of(cls, assigner: Tumbling | Sliding) -> PaneGrid:
        size = pane_size(assigner)
        slide = assigner.slide if isinstance(assigner, Sliding) else assigner.size
        return cls(
            size, micros(assigner.offset), micros(assigner.size) // size, micros(slide) // size
        )

    def panes(self, times: Int64s) -> Int64s:
        """The pane of each time."""
        low, high = self.pane(int(times.min())), self.pane(int(times.max()))
        if low == high:  # the usual case under load, and twenty times cheaper than dividing
            return np.full(len(times), low, np.int64)
        return np.floor_divide(times - self.offset, self.size)

    def pane(self, time: int) -> int:
        return (time - self.offset) // self.size

    def passed(self, watermark: int) -> int:
        """The last boundary such that windows ending there are complete: end - 1 µs <=
        watermark."""
        boundary = (watermark + 1 - self.offset) // self.size
        return max(-_FAR, min(_FAR, boundary))

    def first_live(self, expired: int) -> int:
        """The first pane that is in a window ending after boundary `expired`."""
        return ((expired - self.width) // self.step + 1) * self.step

    def in_gap(self, panes: Int64s) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Whether a pane lies between windows (only where the slide is longer than the size)."""
        gap: np.ndarray[tuple[int], np.dtype[np.bool_]] = panes % self.step >= self.width
        return gap

    def next_ends(self, panes: Int64s, after: int) -> Int64s:
        """The first boundary above `after` at which a window with the pane ends, or beyond all of
        them."""
        least = np.maximum(panes, after) + 1
        ends: Int64s = least + (self.width - least) % self.step
        return ends

    @property
    def shape(self) -> tuple[int, ...]:
        """µs per window, between starts, and of the first start."""
        return self.width * self.size, self.step * self.size, self.offset

    @property
    def length(self) -> int:
        """µs per window."""
        return self.width * self.size

    @property
    def windows_per_pane(self) -> int:
        return -(-self.width // self.step)

    def first_window(self, expired: int) -> int:
        """The number of the first window that ends after boundary `expired`; window k starts at
        boundary k * step."""
        return (expired - self.width) // self.step + 1

    def windows_of(self, panes: Int64s, first: int) -> tuple[Int64s, Int64s]:
        """(rows, windows): every window, numbered `first` or more, that each row's pane is in, by
        row and then by window."""
        last = panes // self.step
        low = np.maximum((panes - self.width) // self.step + 1, first)
        counts = np.maximum(last - low + 1, 0)
        rows = np.repeat(np.arange(len(panes)), counts)
        begins = np.cumsum(counts) - counts
        windows: Int64s = np.arange(len(rows)) - (begins - low)[rows]
        return rows, windows

    def numbers(self, starts: Int64s, ends: Int64s, *, windows: bool) -> Int64s | None:
        """The panes, or windows, with these bounds (µs); None when some are not of this grid."""
        step, length = (self.step, self.width) if windows else (1, 1)
        found: Int64s = np.floor_divide(starts - self.offset, step * self.size)
        fits = (found * (step * self.size) + self.offset == starts) & (
            ends - starts == length * self.size
        )
        return found if fits.all() else None

    def window_ends(self, windows: Int64s) -> Int64s:
        """µs of the ends of windows by number."""
        return self.times(windows * self.step + self.width)

    def times(self, boundaries: Int64s) -> Int64s:
        """µs of boundaries."""
        return boundaries * self.size + self.offset
