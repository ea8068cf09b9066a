"""Lines of JSON objects to columns: Arrow's parser for clean blocks, row by row for the others.

Both ways read the same rows the same way; the second only says more. Keys that the schema does not name are ignored.
It must not know files."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.json as arrow_json

from flowjob.connectors.formats.decoded import BadText, Decoded, readable
from flowjob.connectors.formats.from_text import BadValue, TextOptions, from_text
from flowjob.connectors.formats.json_values import converter
from flowjob.connectors.formats.required import what_is_missing
from flowjob.connectors.formats.to_text import is_bytes


class JsonLinesDecoder:
    """Decodes blocks of lines, giving the columns of `schema`. Blocks of at most `small` bytes go row by row at once:
    Arrow's parser takes 0.2 ms to begin with, a row 3 µs, which is what a source that gives single lines wants."""

    def __init__(
        self, schema: pa.Schema, options: TextOptions | None = None, *, small: int = 0
    ) -> None:
        self._schema = schema
        self._small = small
        self._options = options or TextOptions()
        self._wire = wire_schema(schema, self._options)
        self._convert = [converter(f, f.name, self._options) for f in schema]
        self._decoder = msgspec.json.Decoder()

    def cut(self, data: bytes) -> int:
        return data.rfind(b"\n") + 1

    def decode(self, block: bytes, *, stop_early: bool) -> Decoded:
        if self._wire is not None and len(block) > self._small:
            try:
                return Decoded(self._parse(block))
            except (ValueError, pa.ArrowNotImplementedError):
                pass
        return self._by_row(block, stop_early)

    def _parse(self, block: bytes) -> pa.RecordBatch:
        _require_utf8(block)
        _require_objects(block)
        table = arrow_json.read_json(
            pa.BufferReader(block),
            read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(block) + 1),
            parse_options=arrow_json.ParseOptions(
                explicit_schema=self._wire, unexpected_field_behavior="ignore"
            ),
        )
        lines = block.count(b"\n") + (not block.endswith(b"\n"))
        if table.num_rows != lines:
            raise BadValue("not one object on every line")
        table.validate(full=True)  # a list that begins with null comes with offsets that lie
        columns = [table.column(f.name).combine_chunks() for f in self._schema]
        arrays = [revive(_whole(c), f.type, self._options) for c, f in zip(columns, self._schema)]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        if (path := what_is_missing(batch)) is not None:
            raise BadValue(f"`{path}` has no value")
        return batch

    def _by_row(self, block: bytes, stop_early: bool) -> Decoded:
        columns: list[list[object]] = [[] for _ in self._schema]
        names = self._schema.names
        bad: list[BadText] = []
        for offset, line in _lines(block):
            try:
                row = self._decoder.decode(line)
                if type(row) is not dict:
                    raise BadValue("not a JSON object")
                values = [convert(row.get(n)) for n, convert in zip(names, self._convert)]
            except ValueError as error:  # msgspec's errors and broken UTF-8 are ValueErrors too
                broken = isinstance(error, UnicodeDecodeError)
                bad.append(
                    BadText(offset, readable(line), "invalid UTF-8" if broken else str(error))
                )
                if stop_early:
                    break
                continue
            for column, value in zip(columns, values):
                column.append(value)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, self._schema)]
        return Decoded(pa.RecordBatch.from_arrays(arrays, schema=self._schema), tuple(bad))


def _lines(block: bytes) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their offsets."""
    start = 0
    for line in block.split(b"\n"):
        if line.strip():
            yield start, line
        start += len(line) + 1


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks else pa.array([], column.type)
    return column


def _require_utf8(block: bytes) -> None:
    """Arrow's JSON parser takes any bytes for text; look at the whole block at once, without a copy."""
    if block.isascii():
        return
    offsets = pa.py_buffer(np.array([0, len(block)], np.int32))
    pa.Array.from_buffers(pa.binary(), 1, [None, offsets, pa.py_buffer(block)]).cast(pa.string())


def _require_objects(block: bytes) -> None:
    """Every line opens an object. Arrow's parser dies on a block that begins with another `null`, and takes a later
    one for a row of nulls."""
    if not block:
        return
    characters = np.frombuffer(block, np.uint8)
    starts = np.flatnonzero(characters[:-1] == ord("\n")) + 1
    if characters[0] != ord("{") or not (characters[starts] == ord("{")).all():
        raise BadValue("not one object on every line")


def wire_schema(schema: pa.Schema, options: TextOptions) -> pa.Schema | None:
    """What Arrow's JSON reader is asked for, or None when it cannot read such rows at all."""
    fields = []
    for field in schema:
        kind = wire_type(field.type, options)
        if kind is None:
            return None
        fields.append(pa.field(field.name, kind))
    return pa.schema(fields)


def wire_type(kind: pa.DataType, options: TextOptions) -> pa.DataType | None:
    types = pa.types
    if types.is_struct(kind):
        inner = wire_schema(pa.schema(list(kind)), options)
        return None if inner is None else pa.struct(list(inner))
    if types.is_list(kind):
        element = wire_type(kind.value_type, options)
        return None if element is None else pa.list_(element)
    if types.is_map(kind) or types.is_dictionary(kind) or types.is_large_list(kind):
        return None
    if types.is_timestamp(kind) and set(options.formats) & {"epoch_s", "epoch_ms", "epoch_us"}:
        return pa.int64() if len(options.formats) == 1 else None
    if types.is_temporal(kind) or is_bytes(kind):
        return pa.string()
    return kind


def revive(array: pa.Array, kind: pa.DataType, options: TextOptions) -> pa.Array:
    """The declared type of an array as it came from the wire."""
    types = pa.types
    if array.type == kind:
        return array
    if types.is_struct(kind):
        children = [revive(array.field(i), f.type, options) for i, f in enumerate(kind)]
        return pa.StructArray.from_arrays(children, fields=list(kind), mask=array.is_null())
    if types.is_list(kind):
        values = revive(array.values, kind.value_type, options)
        return pa.ListArray.from_arrays(array.offsets, values, type=kind, mask=array.is_null())
    if types.is_integer(array.type):
        array = array.cast(pa.string())
    return from_text(array, kind, options)
