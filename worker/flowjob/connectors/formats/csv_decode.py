"""CSV text to columns: Arrow's parser with declared types, and what it does not do by itself.

Nulls by column (a `str` column keeps its text, a nullable one has null values), times in several forms, nested cells
as JSON, and reasons that name the column. It must not know files."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.csv as arrow_csv

from flowjob.connectors.formats.csv_records import all_records, is_closed, record_ends
from flowjob.connectors.formats.decoded import Decoded, isolate
from flowjob.connectors.formats.from_text import BadValue, TextOptions, from_text
from flowjob.connectors.formats.json_values import from_json_text
from flowjob.connectors.formats.required import what_is_missing
from flowjob.connectors.formats.to_text import is_bytes
from flowjob.errors import SchemaError

_COLUMN_NUMBER = re.compile(r"In CSV column #(\d+): (?:Row #\d+: )?(?:CSV conversion error to )?")


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """How the text is written. `multiline`: quoted cells may contain line ends."""

    delimiter: str = ","
    quote: str | None = '"'
    header: bool = True
    null_values: tuple[str, ...] = ("",)
    multiline: bool = True
    text: TextOptions = field(default_factory=TextOptions)


class CsvDecoder:
    """Decodes blocks of records whose cells are `names`, giving the columns of `schema`."""

    def __init__(self, names: list[str], schema: pa.Schema, options: CsvOptions) -> None:
        self._names = names
        self._schema = schema
        self._options = options
        self._delimiter = options.delimiter.encode()
        self._quote = options.quote.encode() if options.quote is not None else None
        # A line that is empty is a row when a row is one nullable cell.
        self._blank_is_row = len(names) == 1 and len(schema) == 1 and schema.field(0).nullable

    # -- records

    def cut(self, data: bytes) -> int:
        quote = self._quote if self._options.multiline else None
        if quote is None or quote not in data:
            return data.rfind(b"\n") + 1
        ends = record_ends(data, self._delimiter, quote)
        return int(ends[-1]) if len(ends) else 0

    def decode(self, block: bytes, *, stop_early: bool) -> Decoded:
        try:
            return Decoded(self._parse(block))
        except ValueError:
            pass
        quote = self._quote if self._options.multiline else None
        found = isolate(block, all_records(block, self._delimiter, quote), self._parse, stop_early)
        empty = self._schema.empty_table().to_batches() or [
            pa.RecordBatch.from_pylist([], self._schema)
        ]
        if found is None:
            return Decoded(empty[0])
        return found if found.columns.num_columns else Decoded(empty[0], found.bad)

    # -- one parse

    def _parse(self, block: bytes) -> pa.RecordBatch:
        if not is_closed(block, self._delimiter, self._quote, multiline=self._options.multiline):
            raise BadValue("a quoted cell is not closed where it should be")
        try:
            table = self._read(block, self._schema.names, quoted_nulls=not self._nullable_texts())
        except pa.ArrowInvalid as error:
            if b'""' not in block or not self._nullable_texts():
                raise self._named(error) from None
            table = self._read_twice(block)
        arrays = [self._convert(table, f, block) for f in self._schema]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        if (path := what_is_missing(batch)) is not None:
            raise BadValue(f"`{path}` has no value")
        return batch

    def _nullable_texts(self) -> list[str]:
        return [f.name for f in self._schema if f.nullable and holds_text(f.type)]

    def _read_twice(self, block: bytes) -> pa.Table:
        """A quoted empty cell is text in a string column and nothing in any other: two settings of one reader."""
        texts = self._nullable_texts()
        others = [n for n in self._schema.names if n not in texts]
        try:
            table = self._read(block, texts, quoted_nulls=False)
            for name, column in zip(others, self._read(block, others, quoted_nulls=True).columns):
                table = table.append_column(name, column)
        except pa.ArrowInvalid as error:
            raise self._named(error) from None
        return table

    def _read(
        self, block: bytes, names: list[str], *, quoted_nulls: bool, text_nulls: bool = True
    ) -> pa.Table:
        if not names:
            return pa.table({})
        options = self._options
        types = {n: cell_type(self._schema.field(n).type) for n in names}
        return arrow_csv.read_csv(
            pa.BufferReader(block),
            read_options=arrow_csv.ReadOptions(
                column_names=self._names, use_threads=False, block_size=len(block) + 1
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=options.delimiter,
                quote_char=options.quote if options.quote is not None else False,
                newlines_in_values=options.multiline,
                ignore_empty_lines=not self._blank_is_row,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=types,
                include_columns=names,
                null_values=list(options.null_values),
                strings_can_be_null=text_nulls,
                quoted_strings_can_be_null=quoted_nulls,
            ),
        )

    def _convert(self, table: pa.Table, column: pa.Field, block: bytes) -> pa.Array:
        array = _whole(table.column(column.name))
        if array.null_count and not column.nullable and holds_text(column.type):
            kept = self._read(block, [column.name], quoted_nulls=False, text_nulls=False)
            array = _whole(kept.column(0))
        if array.type == column.type:
            return array
        try:
            if pa.types.is_nested(column.type):
                return from_json_text(array, column.type, self._options.text)
            return from_text(array, column.type, self._options.text)
        except ValueError as error:
            raise BadValue(f"column `{column.name}`: {error}") from None

    def _named(self, error: pa.ArrowInvalid) -> BadValue:
        text = str(error).split("\n")[0]
        found = _COLUMN_NUMBER.match(text)
        if found is None:
            return BadValue(re.sub(r"^CSV parse error: (?:Row #\d+: )?", "", text))
        return BadValue(f"column `{self._names[int(found[1])]}`: {text[found.end() :]}")


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return (
        column.chunk(0)
        if column.num_chunks == 1
        else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
    )


def holds_text(kind: pa.DataType) -> bool:
    """Whether an empty cell is a value of this type, and not the lack of one."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or is_bytes(kind))


def cell_type(kind: pa.DataType) -> pa.DataType:
    """What Arrow's reader is asked for: the type itself, or text where it cannot be trusted with it."""
    types = pa.types
    direct = (
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
        or types.is_decimal(kind)
        or types.is_date32(kind)
        or types.is_time(kind)
    )
    return kind if direct else pa.string()


def header_names(record: bytes, options: CsvOptions, schema: pa.Schema, place: str) -> list[str]:
    """The cells of a header, checked: it must name every column of `schema`."""
    text = record.decode("utf-8", errors="replace").strip("\r\n")
    if options.quote is None:
        names = text.split(options.delimiter)
    else:
        names = next(csv.reader([text], delimiter=options.delimiter, quotechar=options.quote), [])
    names = [n.strip() for n in names]
    missing = [n for n in schema.names if n not in names]
    if missing:
        raise SchemaError(
            f"{place}: the header lacks {', '.join(f'`{n}`' for n in missing)}.\n"
            f"  it has:    {', '.join(names)}\n  the schema: {', '.join(schema.names)}\n"
            "A file without a header is read with header=False."
        )
    twice = [n for n in schema.names if names.count(n) > 1]
    if twice:
        raise SchemaError(f"{place}: the header names {', '.join(twice)} more than once")
    return names
