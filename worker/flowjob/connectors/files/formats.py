"""The three formats as a file source sees them: how a split is opened, and whether a file may be cut into several.

Plain data, part of the source's declaration; opening happens on a worker thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from flowjob.connectors.files.blocks import BlockStream, Place
from flowjob.connectors.files.opening import compression_of
from flowjob.connectors.files.text_blocks import (
    TextBlocks,
    TextRange,
    first_bytes,
    first_record,
)
from flowjob.connectors.formats.csv_decode import CsvDecoder, CsvOptions, header_names
from flowjob.connectors.formats.csv_records import all_records
from flowjob.connectors.formats.from_text import TextOptions
from flowjob.connectors.formats.json_decode import JsonLinesDecoder

if TYPE_CHECKING:
    from flowjob.connectors.files.listing import Found

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Part:
    """What is read of one file: the data of a split, the columns wanted of all that the file is declared to have,
    and whether reading may stop at the first bad row."""

    data: dict[str, Any]
    declared: pa.Schema
    wanted: pa.Schema
    stop_early: bool


class FileFormat(Protocol):
    """A format with its options."""

    @property
    def name(self) -> str: ...

    def parts(self, file: Found, split_bytes: int) -> list[dict[str, Any]]:
        """The splits of a file, in order. Blocking."""
        ...

    def open(self, part: Part, place: Place | None) -> BlockStream:
        """The blocks of a split, from `place` on. Blocking."""
        ...


def byte_ranges(file: Found, split_bytes: int) -> list[dict[str, Any]]:
    """Equal ranges of about `split_bytes`; a compressed file is one."""
    count = 1 if compression_of(file.path) else max(1, round(file.size / split_bytes))
    if count == 1:
        return [{"path": file.path, "size": file.size}]
    bounds = [file.size * i // count for i in range(count + 1)]
    ranges = [{"path": file.path, "start": a, "end": b, "size": b - a} for a, b in pairwise(bounds)]
    del ranges[-1]["end"]  # the last one reads what may have been added since
    return ranges


def _range(data: dict[str, Any]) -> TextRange:
    return TextRange(data["path"], data.get("start", 0), data.get("end"))


@dataclass(frozen=True, slots=True)
class CsvFormat:
    options: CsvOptions = field(default_factory=CsvOptions)

    @property
    def name(self) -> str:
        return "csv"

    def parts(self, file: Found, split_bytes: int) -> list[dict[str, Any]]:
        if self.options.multiline:
            return [{"path": file.path, "size": file.size}]
        return byte_ranges(file, split_bytes)

    def open(self, part: Part, place: Place | None) -> BlockStream:
        text = _range(part.data)
        names, begin = self._header(text.path, part.declared)
        decoder = CsvDecoder(names, part.wanted, self.options)
        if place is None:
            place = begin
            if text.start:
                place = {
                    "offset": max(first_record(text.path, text.start), begin["offset"]),
                    "line": None,
                }
        return TextBlocks(text, place, decoder, stop_early=part.stop_early)

    def _header(self, path: str, declared: pa.Schema) -> tuple[list[str], Place]:
        """The cells' names, and where the rows begin."""
        options = self.options
        scout = CsvDecoder(declared.names, declared, options)
        data = first_bytes(path, scout.cut)
        skip = len(BYTE_ORDER_MARK) if data.startswith(BYTE_ORDER_MARK) else 0
        if not options.header or not data[skip:]:
            return declared.names, {"offset": skip, "line": 1}
        quote = options.quote.encode() if options.quote is not None and options.multiline else None
        end = skip + all_records(data[skip:], options.delimiter.encode(), quote)[0]
        names = header_names(data[skip:end], options, declared, path)
        return names, {"offset": end, "line": 1 + data.count(b"\n", 0, end)}


@dataclass(frozen=True, slots=True)
class JsonLinesFormat:
    options: TextOptions = field(default_factory=TextOptions)

    @property
    def name(self) -> str:
        return "jsonl"

    def parts(self, file: Found, split_bytes: int) -> list[dict[str, Any]]:
        return byte_ranges(file, split_bytes)

    def open(self, part: Part, place: Place | None) -> BlockStream:
        text = _range(part.data)
        if place is None:
            start = first_record(text.path, text.start)
            if start == 0 and first_bytes(text.path, len).startswith(BYTE_ORDER_MARK):
                start = len(BYTE_ORDER_MARK)
            place = {"offset": start, "line": None if text.start else 1}
        decoder = JsonLinesDecoder(part.wanted, self.options)
        return TextBlocks(text, place, decoder, stop_early=part.stop_early)
