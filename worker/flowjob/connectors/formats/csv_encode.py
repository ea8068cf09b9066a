"""Columns to CSV text that CsvDecoder reads back exactly.

Strings are quoted and nulls are not, so that an empty string and nothing stay different; nested values are
cells of JSON. It must not know files."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.csv as arrow_csv

from flowjob.connectors.formats.json_encode import as_json
from flowjob.connectors.formats.to_text import is_bytes, to_text


def csv_lines(batch: pa.RecordBatch, *, delimiter: str = ",", header: bool = False) -> pa.Buffer:
    """The rows as lines, after a line of column names when asked for."""
    cells = pa.table([_cells(a) for a in batch.columns], names=batch.schema.names)
    out = pa.BufferOutputStream()
    options = arrow_csv.WriteOptions(include_header=header, delimiter=delimiter)
    arrow_csv.write_csv(cells, out, options)
    return out.getvalue()


def _cells(array: pa.Array) -> pa.Array:
    kind, types = array.type, pa.types
    if types.is_nested(kind):
        return as_json(array)
    other_zone = types.is_timestamp(kind) and kind.tz not in (None, "UTC")
    if types.is_duration(kind) or is_bytes(kind) or types.is_dictionary(kind) or other_zone:
        return to_text(array)
    return array
