"""Where the records of a CSV text end, when quoted cells may contain line ends.

A line with an even number of quotes ends a record, so that text is judged by vector operations; only lines with an odd
number are walked. A quote opens a cell only at the cell's beginning (`15" monitor` is plain text). Bytes in, offsets
out; it must not know types."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LINE_END = ord("\n")


def record_ends(data: bytes, delimiter: bytes, quote: bytes | None) -> npt.NDArray[np.int64]:
    """Offsets just after each whole record of `data`, which begins with one. `quote` None: every line is a record."""
    characters = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(characters == LINE_END) + 1
    if quote is None or quote not in data:
        return ends
    quotes = np.flatnonzero(characters == ord(quote))
    seen = np.searchsorted(quotes, ends)
    odd = np.flatnonzero(np.diff(seen, prepend=0) & 1)
    if not len(odd):
        return ends
    is_end = np.ones(len(ends), np.bool_)
    opened: int | None = None
    for line in odd.tolist():
        text = data[ends[line - 1] if line else 0 : ends[line]]
        if ends_open(text, delimiter, quote, inside=opened is not None):
            opened = line if opened is None else opened
        elif opened is not None:
            is_end[opened:line] = False
            opened = None
    if opened is not None:
        is_end[opened:] = False
    return ends[is_end]


def ends_open(line: bytes, delimiter: bytes, quote: bytes, *, inside: bool) -> bool:
    """Whether a quoted cell is still open after `line`; `inside`: one was open before it."""
    at = 0
    while True:
        if not inside:
            if line[at : at + 1] == quote:
                inside, at = True, at + 1
                continue
        else:
            closing = line.find(quote, at)
            if closing < 0:
                return True
            if line[closing + 1 : closing + 2] == quote:
                at = closing + 2
                continue
            inside, at = False, closing + 1
        next_cell = line.find(delimiter, at)
        if next_cell < 0:
            return False
        at = next_cell + 1


def all_records(data: bytes, delimiter: bytes, quote: bytes | None) -> list[int]:
    """Ends of all records, whole or not: the text after the last end is one, and where a quote is never closed
    the line that opened it is one, so that the lines after it can still be read."""
    found: list[int] = []
    start = 0
    while start < len(data):
        ends = record_ends(data[start:], delimiter, quote)
        found += (ends + start).tolist()
        start = found[-1] if len(ends) else start
        if start < len(data):
            line = data.find(b"\n", start)
            start = len(data) if line < 0 else line + 1
            found.append(start)
    return found
