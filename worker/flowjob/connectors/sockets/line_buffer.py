"""Bytes as they come off a wire, given out as whole lines, with a bound on how long a line may be.

Pure: no transport, no format. A line that is too long costs no more memory than the bound: the rest of it is dropped
as it arrives, and the beginning that was kept is one byte over the bound, which is how it is recognised later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BLOCK_BYTES = 256 << 10
"""At most so many bytes of lines are given out at once (one line may be longer): decoding them takes about 1 ms."""

_LINE_END = ord("\n")


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines with their line ends. `too_long`: it is one line, and only its beginning."""

    block: bytes
    too_long: bool = False


class LineBuffer:
    """`longest`: bytes that a line may have, without its line end."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._whole = bytearray()
        self._unfinished = bytearray()
        self._dropping = False

    @property
    def size(self) -> int:
        """Bytes of whole lines."""
        return len(self._whole)

    def feed(self, data: bytes) -> None:
        if self._dropping:
            end = data.find(b"\n")
            if end < 0:
                return
            data = data[end:]
            self._dropping = False
        cut = data.rfind(b"\n") + 1
        if cut:
            self._whole += self._unfinished
            self._whole += memoryview(data)[:cut]
            self._unfinished.clear()
        self._unfinished += memoryview(data)[cut:]
        if len(self._unfinished) > self._longest:
            del self._unfinished[self._longest + 1 :]
            self._dropping = True

    def finish(self) -> None:
        """Nothing will follow: text without a line end is a line too."""
        if self._unfinished:
            self._whole += self._unfinished
            self._whole += b"\n"
            self._unfinished.clear()

    def unfinished(self) -> bytes:
        """The beginning of a line whose end has not come."""
        return bytes(self._unfinished)

    def take(self, rows: int) -> Lines | None:
        """At most `rows` of the next lines, or the next one alone when it is too long; None when there is none."""
        whole = self._whole
        if not whole:
            return None
        cut = whole.rfind(b"\n", 0, BLOCK_BYTES) + 1 or whole.find(b"\n") + 1
        block = bytes(memoryview(whole)[:cut])
        too_long = False
        if cut > self._longest or cut > rows:
            ends = line_ends(block)[:rows]
            lengths = np.diff(ends, prepend=0) - 1
            over = np.flatnonzero(lengths > self._longest)
            if len(over):
                too_long = bool(over[0] == 0)
                ends = ends[: max(over[0], 1)]
            block = block[: ends[-1]]
        del whole[: len(block)]
        return Lines(block, too_long)


def line_ends(block: bytes) -> npt.NDArray[np.int64]:
    """Offsets just after each line end."""
    return np.flatnonzero(np.frombuffer(block, np.uint8) == _LINE_END) + 1
