"""Where the records of a CSV text end, when quoted cells may contain line ends.

A quote opens a cell only at the cell's beginning (`15" monitor` is plain text) and closes it only at its end. Where all
quotes are in such places, a line end counts when an even number of them is before it; only other text is walked line by
line. Bytes in, offsets out; it must not know types."""

from __future__ import annotations

from enum import Enum

import numpy as np
import numpy.typing as npt

Offsets = npt.NDArray[np.int64]

_RETURN, _LINE_END = ord("\r"), ord("\n")


class After(Enum):
    """How a line leaves the cell it ends in."""

    CLOSED = "closed"
    OPEN = "open"
    GARBAGE = "garbage"  # text follows a quote that closed a cell: most likely it was to open one


def record_ends(data: bytes, delimiter: bytes, quote: bytes | None) -> Offsets:
    """Offsets just after each whole record of `data`, which begins with one. `quote` None: every line is a record."""
    return _ends(data, delimiter, quote)[0]


def is_closed(data: bytes, delimiter: bytes, quote: bytes | None, *, multiline: bool) -> bool:
    """Whether `data` is whole, well-quoted records: no cell is open at its end, nor at any line's end unless
    `multiline`. Arrow would take everything up to the next quote into one cell, and rows would be lost."""
    if quote is None or quote not in data:
        return True
    ends, clean = _ends(data, delimiter, quote)
    if not clean or (not multiline and len(ends) != data.count(b"\n")):
        return False
    rest = data[ends[-1] if len(ends) else 0 :]
    return b"\n" not in rest and scan(rest, delimiter, quote, inside=False) is After.CLOSED


def _ends(data: bytes, delimiter: bytes, quote: bytes | None) -> tuple[Offsets, bool]:
    """Ends of records, and whether none of them has garbage."""
    characters = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(characters == _LINE_END) + 1
    if quote is None or quote not in data:
        return ends, True
    quotes = np.flatnonzero(characters == ord(quote))
    seen = np.searchsorted(quotes, ends)
    marks = (ord(delimiter), ord(quote))
    if _are_regular(characters, quotes, marks):
        return ends[seen & 1 == 0], True
    quoted_lines: list[int] = np.flatnonzero(np.diff(seen, prepend=0)).tolist()
    starts = np.concatenate([[0], ends])
    lines = [(n, data[starts[n] : ends[n]]) for n in quoted_lines]
    is_end, clean = _walk(lines, len(ends), delimiter, quote)
    return ends[is_end], clean


def _are_regular(
    characters: npt.NDArray[np.uint8], quotes: Offsets, marks: tuple[int, int]
) -> bool:
    """Whether each odd quote is where a cell begins and each even one where it ends. A doubled quote inside a
    cell looks like one cell closing and the next one opening."""
    delimiter, quote = marks
    opening, closing = quotes[::2], quotes[1::2]
    before = characters[opening[1:] - 1] if opening[0] == 0 else characters[opening - 1]
    if not ((before == delimiter) | (before == _LINE_END) | (before == quote)).all():
        return False
    after = characters[closing[closing + 1 < len(characters)] + 1]
    ends = (after == delimiter) | (after == _LINE_END) | (after == _RETURN) | (after == quote)
    return bool(ends.all())


def _walk(
    lines: list[tuple[int, bytes]], count: int, delimiter: bytes, quote: bytes
) -> tuple[npt.NDArray[np.bool_], bool]:
    """bool[count]: lines that end a record, from the numbered `lines` that have quotes; and whether all are clean.

    Garbage in a cell that an earlier line opened means that line is to blame: it is a record alone, and the lines
    after it are judged anew."""
    is_end = np.ones(count, np.bool_)
    clean = True
    opened: int | None = None
    at = 0
    while at < len(lines):
        number, text = lines[at]
        state = scan(text, delimiter, quote, inside=opened is not None)
        if state is After.OPEN:
            opened = at if opened is None else opened
        else:
            if state is After.GARBAGE:
                clean = False
            if opened is not None and state is After.GARBAGE:
                at, opened = opened + 1, None
                continue
            if opened is not None:
                is_end[lines[opened][0] : number] = False
                opened = None
        at += 1
    if opened is not None:
        is_end[lines[opened][0] :] = False
    return is_end, clean


def scan(line: bytes, delimiter: bytes, quote: bytes, *, inside: bool) -> After:
    """How `line` ends; `inside`: it begins in a quoted cell."""
    at = 0
    while True:
        if not inside:
            if line[at : at + 1] == quote:
                inside, at = True, at + 1
                continue
        else:
            closing = line.find(quote, at)
            if closing < 0:
                return After.OPEN
            following = line[closing + 1 : closing + 2]
            if following == quote:
                at = closing + 2
                continue
            if following not in (delimiter, b"\n", b"\r", b""):
                return After.GARBAGE
            inside, at = False, closing + 1
        next_cell = line.find(delimiter, at)
        if next_cell < 0:
            return After.CLOSED
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
