"""Lines of text as a column of strings, and back: the format without a format.

Whole blocks at a time. It belongs to no transport; the formats with a schema are in connectors/formats/."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowjob.connectors.formats.decoded import Decoded, isolate
from flowjob.connectors.formats.from_text import BadValue
from flowjob.connectors.sockets.line_buffer import line_ends

LINE_SCHEMA = pa.schema([pa.field("line", pa.string(), nullable=False)])


class LinesDecoder:
    """Gives one column, `line`: each line without its line end (`\\n` or `\\r\\n`)."""

    def cut(self, data: bytes) -> int:
        return data.rfind(b"\n") + 1

    def decode(self, block: bytes, *, stop_early: bool) -> Decoded:
        if block and not block.endswith(b"\n"):
            block += b"\n"
        try:
            return Decoded(_parse(block))
        except BadValue:
            found = isolate(block, line_ends(block).tolist(), _parse, stop_early)
        if found is None or found.columns.num_columns:
            return found or Decoded(_parse(b""))
        return Decoded(_parse(b""), found.bad)


def _parse(block: bytes) -> pa.RecordBatch:
    """The line ends are taken out of the bytes, and where they were are the offsets of the values."""
    if b"\r\n" in block:
        block = block.replace(b"\r\n", b"\n")
    ends = line_ends(block)
    count = len(ends)
    offsets = np.zeros(count + 1, np.int32)
    offsets[1:] = ends - np.arange(1, count + 1)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(block.replace(b"\n", b""))]
    try:
        text = pa.Array.from_buffers(pa.binary(), count, buffers).cast(pa.string())
    except pa.ArrowInvalid:
        raise BadValue("invalid UTF-8") from None
    return pa.RecordBatch.from_arrays([text], schema=LINE_SCHEMA)


def text_lines(texts: pa.Array) -> memoryview:
    """A string array as bytes, with a line end after each value; a null is an empty line."""
    filled = pc.fill_null(texts.cast(pa.string()), "")
    lines = pc.binary_join_element_wise(filled, "", "\n")
    if not len(lines):
        return memoryview(b"")
    _, offsets, data = lines.buffers()
    bounds = memoryview(offsets).cast("b").cast("i")
    return memoryview(data)[bounds[lines.offset] : bounds[lines.offset + len(lines)]]
