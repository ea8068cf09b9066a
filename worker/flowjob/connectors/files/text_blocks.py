"""Blocks of a text file: bytes cut where records end, decoded, with the line of every bad row.

One file may be read in several byte ranges: a record belongs to the range it begins in. Places are {"offset", "line"};
the line is None when a range begins in mid-file, and then counted only if a bad row asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flowjob.connectors.base import BadRow
from flowjob.connectors.files.blocks import Block, Place
from flowjob.connectors.files.opening import Bytes, open_bytes
from flowjob.connectors.formats.decoded import BadText, Decoder

BLOCK_BYTES = 1 << 20
LONGEST_RECORD = 16 << 20
"""A record may be so many bytes; beyond it, an opened quote is taken for a mistake."""


@dataclass(frozen=True, slots=True)
class TextRange:
    """The records of a file that begin in start … end (None: to the end of the file)."""

    path: str
    start: int = 0
    end: int | None = None


class TextBlocks:
    """See the module. `stop_early` as in Decoder.decode."""

    def __init__(
        self,
        part: TextRange,
        place: Place,
        decoder: Decoder,
        *,
        stop_early: bool,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self._part = part
        self._decoder = decoder
        self._stop_early = stop_early
        self._block_bytes = block_bytes
        self._offset: int = place["offset"]
        self._line: int | None = place["line"]
        self._carry = b""
        self._at_end = False
        self._file: Bytes = open_bytes(part.path, self._offset)

    def next(self) -> Block | None:
        data = self._cut()
        if not data:
            return None
        start = {"offset": self._offset, "line": self._line}
        decoded = self._decoder.decode(data, stop_early=self._stop_early)
        bad = tuple(self._located(b, data) for b in decoded.bad)
        self._offset += len(data)
        if self._line is not None:
            self._line += data.count(b"\n")
        end = {"offset": self._offset, "line": self._line}
        return Block(start, end, decoded.columns, bad)

    def close(self) -> None:
        self._file.close()

    def _cut(self) -> bytes:
        """The next bytes that are whole records; empty at the end."""
        limit = self._part.end
        if limit is not None and self._offset >= limit:
            return b""
        data = self._carry
        while True:
            if not self._at_end:
                more = self._file.read(max(self._block_bytes - len(data), self._block_bytes // 2))
                self._at_end = not more
                data += more
            cut = len(data) if self._at_end else self._decoder.cut(data)
            if cut or self._at_end:
                break
            if len(data) > LONGEST_RECORD:
                cut = data.find(b"\n") + 1 or len(data)
                break
        if limit is not None and self._offset + cut >= limit:
            # Ranges are only made of text whose every line is a record.
            last = data.find(b"\n", max(limit - self._offset - 1, 0)) + 1
            cut = min(last or cut, cut)
        self._carry = data[cut:]
        return data[:cut]

    def _located(self, bad: BadText, block: bytes) -> BadRow:
        if self._line is None:
            self._line = 1 + count_lines(self._part.path, self._offset)
        line = self._line + block.count(b"\n", 0, bad.offset)
        return BadRow(f"{self._part.path}:{line}", bad.text, bad.reason)


def count_lines(path: str, stop: int) -> int:
    """Line ends in the first `stop` bytes."""
    found = 0
    file = open_bytes(path)
    try:
        while stop > 0 and (data := file.read(min(BLOCK_BYTES, stop))):
            found += data.count(b"\n")
            stop -= len(data)
    finally:
        file.close()
    return found


def first_record(path: str, start: int) -> int:
    """Where the first record at or after byte `start` begins, in text whose every line is a record."""
    if start == 0:
        return 0
    file = open_bytes(path, start - 1)
    at = start - 1
    try:
        while data := file.read(1 << 16):
            if (end := data.find(b"\n")) >= 0:
                return at + end + 1
            at += len(data)
    finally:
        file.close()
    return at


def first_bytes(path: str, cut: Callable[[bytes], int]) -> bytes:
    """The beginning of a file up to at least its first whole record."""
    file = open_bytes(path)
    data = b""
    try:
        while more := file.read(1 << 16):
            data += more
            if cut(data) or len(data) > LONGEST_RECORD:
                break
    finally:
        file.close()
    return data
