"""Writes batches into one file, in one of the formats. Blocking; called off the loop.

An encoder is opened on a path, takes batches and is closed; what the path means and when it becomes visible is
part_file.py's. It must not know sinks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from flowjob.connectors.formats.csv_encode import csv_header, csv_lines
from flowjob.connectors.formats.json_encode import json_lines

_ENDINGS = {"gzip": ".gz", "bz2": ".bz2", "zstd": ".zst", "lz4": ".lz4"}


class Encoder(Protocol):
    """One file being written."""

    def write(self, batch: pa.RecordBatch) -> None: ...

    def size(self) -> int:
        """About how many bytes the file would have if it were closed now."""
        ...

    def close(self) -> None: ...


class Encoding(Protocol):
    """A format with its options; plain data."""

    @property
    def name(self) -> str: ...

    @property
    def ending(self) -> str:
        """The ending of file names, with the dot."""
        ...

    def open(self, path: str, schema: pa.Schema) -> Encoder: ...


@dataclass(frozen=True, slots=True)
class ParquetEncoding:
    compression: str = "zstd"
    row_group_rows: int = 131_072

    @property
    def name(self) -> str:
        return "parquet"

    @property
    def ending(self) -> str:
        return ".parquet"

    def open(self, path: str, schema: pa.Schema) -> Encoder:
        return _ParquetFile(path, schema, self)


class _ParquetFile:
    """Collects a row group before it writes one: many small groups would read slowly."""

    def __init__(self, path: str, schema: pa.Schema, options: ParquetEncoding) -> None:
        self._rows = options.row_group_rows
        self._file = pa.OSFile(path, "wb")
        self._writer = pq.ParquetWriter(self._file, schema, compression=options.compression)
        self._held: list[pa.RecordBatch] = []
        self._held_rows = 0
        self._held_bytes = 0  # counted along: after each of many small batches somebody asks

    def write(self, batch: pa.RecordBatch) -> None:
        while batch.num_rows:
            part = batch.slice(0, self._rows - self._held_rows)
            self._held.append(part)
            self._held_rows += part.num_rows
            self._held_bytes += part.nbytes
            batch = batch.slice(part.num_rows)
            if self._held_rows >= self._rows:
                self._write_group()

    def size(self) -> int:
        return int(self._file.tell()) + self._held_bytes

    def close(self) -> None:
        try:
            if self._held:
                self._write_group()
            self._writer.close()
        finally:
            self._file.close()

    def _write_group(self) -> None:
        table = pa.Table.from_batches(self._held)
        self._writer.write_table(table, row_group_size=self._held_rows)
        self._held, self._held_rows, self._held_bytes = [], 0, 0


@dataclass(frozen=True, slots=True)
class CsvEncoding:
    delimiter: str = ","
    header: bool = True
    compression: str | None = None

    @property
    def name(self) -> str:
        return "csv"

    @property
    def ending(self) -> str:
        return f".csv{_ENDINGS.get(self.compression or '', '')}"

    def open(self, path: str, schema: pa.Schema) -> Encoder:
        file = _TextFile(path, self.compression, self._lines)
        if self.header:
            file.put(pa.py_buffer(csv_header(schema.names, delimiter=self.delimiter)))
        return file

    def _lines(self, batch: pa.RecordBatch) -> pa.Buffer:
        return csv_lines(batch, delimiter=self.delimiter)


@dataclass(frozen=True, slots=True)
class JsonLinesEncoding:
    compression: str | None = None

    @property
    def name(self) -> str:
        return "jsonl"

    @property
    def ending(self) -> str:
        return f".jsonl{_ENDINGS.get(self.compression or '', '')}"

    def open(self, path: str, schema: pa.Schema) -> Encoder:
        return _TextFile(path, self.compression, json_lines)


class _TextFile:
    def __init__(self, path: str, compression: str | None, lines: Any) -> None:
        self._raw = pa.OSFile(path, "wb")
        self._out = pa.CompressedOutputStream(self._raw, compression) if compression else self._raw
        self._lines = lines
        self._written = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self.put(self._lines(batch))

    def put(self, text: pa.Buffer) -> None:
        self._out.write(text)
        self._written += text.size

    def size(self) -> int:
        return self._written

    def close(self) -> None:
        self._out.close()
        self._raw.close()
