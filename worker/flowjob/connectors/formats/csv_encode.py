"""Columns to CSV text that CsvDecoder reads back exactly.

Text is quoted where it must be, and where it is empty: nothing at all is a null. Nested values are cells of JSON. Whole
columns at a time; it must not know files."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from flowjob.connectors.formats.json_encode import as_json, text_buffer
from flowjob.connectors.formats.to_text import is_bytes, to_text


def csv_lines(batch: pa.RecordBatch, *, delimiter: str = ",") -> pa.Buffer:
    """A line for each row."""
    if not batch.num_rows or not batch.num_columns:
        return pa.py_buffer(b"\n" * batch.num_rows)
    cells = [pc.fill_null(_cells(a, delimiter), "") for a in batch.columns]
    parts: list[object] = []
    for cell in cells:
        parts += [cell, delimiter]
    return text_buffer(pc.binary_join_element_wise(*parts[:-1], "\n", ""))


def csv_header(names: list[str], *, delimiter: str = ",") -> bytes:
    """The line of column names."""
    cells = quoted_cells(pa.array(names, pa.string()), delimiter).to_pylist()
    return f"{delimiter.join(cells)}\n".encode()


def _cells(array: pa.Array, delimiter: str) -> pa.Array:
    kind, types = array.type, pa.types
    if types.is_nested(kind):
        return quoted_cells(as_json(array), delimiter)
    text = to_text(array)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_dictionary(kind):
        return quoted_cells(text.cast(pa.string()), delimiter)
    if is_bytes(kind) or (delimiter.isalnum() or delimiter in "+-.:"):
        return quoted_cells(text, delimiter)
    return text


def quoted_cells(text: pa.Array, delimiter: str) -> pa.Array:
    """The texts, those between quotes that would not be read back otherwise."""
    special = rf'["\r\n{re.escape(delimiter)}]|^\s|\s$|^$'
    needs = pc.match_substring_regex(text, special)
    if not pc.any(needs, min_count=0).as_py():
        return text
    doubled = pc.replace_substring(text, '"', '""')
    return pc.if_else(needs, pc.binary_join_element_wise('"', doubled, '"', ""), text)
