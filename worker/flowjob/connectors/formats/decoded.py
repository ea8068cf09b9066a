"""What a decoder makes of a block of text, and how it finds the rows that cannot be read.

Blocks are parsed whole by Arrow; only when that fails is the block halved until the bad rows stand alone, so that clean
data never pays for the possibility of dirt. It must not know any format."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class BadText:
    """A row that could not be read: its first byte in the block, its bytes as text, and why."""

    offset: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """The rows of a block, and those that are none, both in order."""

    columns: pa.RecordBatch
    bad: tuple[BadText, ...] = ()


class Decoder(Protocol):
    """Turns blocks of whole records into columns."""

    def cut(self, data: bytes) -> int:
        """The end of the last whole record in `data`; 0 when there is none."""
        ...

    def decode(self, block: bytes, *, stop_early: bool) -> Decoded:
        """The rows of `block`, which begins and ends with a record. `stop_early`: nobody looks beyond the first
        bad row, so it may be the last one reported."""
        ...


Parse = Callable[[bytes], pa.RecordBatch]
"""Parses whole records; raises ValueError (which pa.ArrowInvalid is) when any of them is bad."""


def isolate(block: bytes, ends: Sequence[int], parse: Parse, stop_early: bool) -> Decoded | None:
    """Parses records ending at `ends` by halves. None when no record is good: the caller knows the schema."""
    good: list[pa.RecordBatch] = []
    bad: list[BadText] = []
    bounds = [0, *ends]
    pending = [(0, len(ends))]
    while pending:
        low, high = pending.pop()
        if low == high:
            continue
        start, stop = bounds[low], bounds[high]
        try:
            good.append(parse(block[start:stop]))
        except ValueError as error:
            if high - low > 1:
                middle = (low + high) // 2
                pending += [(middle, high), (low, middle)]
                continue
            bad.append(BadText(start, readable(block[start:stop]), reason(error)))
            if stop_early:
                break
    if not good:
        return None if not bad else Decoded(pa.RecordBatch.from_arrays([], []), tuple(bad))
    return Decoded(pa.concat_batches(good), tuple(bad))


def readable(record: bytes) -> str:
    """A record as text without its line end; bytes that are no UTF-8 are shown as escapes."""
    return record.rstrip(b"\r\n").decode("utf-8", errors="backslashreplace")


def reason(error: Exception) -> str:
    """Arrow's message without what the location already says."""
    text = str(error).split("\n")[0]
    return re.sub(r"^(?:CSV|JSON) parse error: (?:Row #\d+: )?| in row \d+$", "", text)
