"""Plain lines to rows of one text column, and back. The simplest format, for sockets and trials.

It must not know where lines come from."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from flowjob.connectors.formats.decoded import BadText, Decoded, readable

LINE_SCHEMA = pa.schema([pa.field("line", pa.string(), nullable=False)])


class LinesDecoder:
    """Every line is a row, the empty ones too; `\\r\\n` ends a line like `\\n`."""

    def cut(self, data: bytes) -> int:
        return data.rfind(b"\n") + 1

    def decode(self, block: bytes, *, stop_early: bool) -> Decoded:
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        texts: list[str] = []
        bad: list[BadText] = []
        offset = 0
        for line in lines:
            try:
                texts.append(line.removesuffix(b"\r").decode())
            except UnicodeDecodeError:
                bad.append(BadText(offset, readable(line), "invalid UTF-8"))
                if stop_early:
                    break
            offset += len(line) + 1
        columns = pa.RecordBatch.from_arrays([pa.array(texts, pa.string())], schema=LINE_SCHEMA)
        return Decoded(columns, tuple(bad))


def lines_of(batch: pa.RecordBatch) -> bytes:
    """The first column as lines; a null is an empty line."""
    texts = pc.fill_null(batch.column(0), "").to_pylist()
    return "".join(f"{text}\n" for text in texts).encode()
