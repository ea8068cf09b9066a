"""Parquet files as blocks: one row group after the other, in pieces, cast to the declared schema.

A place is {"group", "row"}. Rows that do not fit the schema (a missing required value, a number too large) are bad
rows like those of text. It must not know splits or sources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flowjob.connectors.base import BadRow
from flowjob.connectors.files.blocks import Block, BlockStream, Place
from flowjob.connectors.formats.required import rows_missing, what_is_missing
from flowjob.errors import SchemaError

if TYPE_CHECKING:
    from flowjob.connectors.files.formats import Part
    from flowjob.connectors.files.listing import Found

BLOCK_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class ParquetFormat:
    @property
    def name(self) -> str:
        return "parquet"

    def parts(self, file: Found, split_bytes: int) -> list[dict[str, Any]]:
        """Runs of row groups of about `split_bytes` uncompressed bytes."""
        if file.size <= split_bytes:
            return [{"path": file.path, "size": file.size}]
        with pq.ParquetFile(file.path) as opened:
            sizes = [
                opened.metadata.row_group(i).total_byte_size
                for i in range(opened.metadata.num_row_groups)
            ]
        runs: list[dict[str, Any]] = []
        start = size = 0
        for group, more in enumerate(sizes):
            size += more
            if size >= split_bytes or group == len(sizes) - 1:
                share = file.size * size // max(1, sum(sizes))
                run = {"path": file.path, "start": start, "end": group + 1, "size": share}
                runs.append(run)
                start, size = group + 1, 0
        return runs

    def open(self, part: Part, place: Place | None) -> BlockStream:
        return ParquetBlocks(part, place)


class ParquetBlocks:
    """See the module."""

    def __init__(self, part: Part, place: Place | None) -> None:
        self._path: str = part.data["path"]
        self._wanted = part.wanted
        self._file = pq.ParquetFile(self._path)
        has = self._file.schema_arrow.names
        missing = [n for n in part.declared.names if n not in has]
        if missing:
            self._file.close()
            raise SchemaError(
                f"{self._path} lacks {', '.join(f'`{n}`' for n in missing)}; it has {', '.join(has)}"
            )
        place = place or {"group": part.data.get("start", 0), "row": 0}
        end = part.data.get("end", self._file.metadata.num_row_groups)
        self._blocks = self._read(place["group"], place["row"], end)

    def next(self) -> Block | None:
        return next(self._blocks, None)

    def close(self) -> None:
        self._blocks.close()  # type: ignore[attr-defined]
        self._file.close()

    def _read(self, first: int, skip: int, end: int) -> Iterator[Block]:
        rows_before = sum(self._file.metadata.row_group(i).num_rows for i in range(first))
        for group in range(first, end):
            row = 0
            for batch in self._batches(group):
                if row >= skip:
                    place = {"group": group, "row": row}
                    after = {"group": group, "row": row + batch.num_rows}
                    columns, bad = self._fit(batch, rows_before + row)
                    yield Block(place, after, columns, bad)
                row += batch.num_rows
            rows_before, skip = rows_before + row, 0

    def _batches(self, group: int) -> Iterator[pa.RecordBatch]:
        names = self._wanted.names
        yield from self._file.iter_batches(
            batch_size=BLOCK_ROWS, row_groups=[group], columns=names, use_threads=False
        )

    def _fit(
        self, batch: pa.RecordBatch, first_row: int
    ) -> tuple[pa.RecordBatch, tuple[BadRow, ...]]:
        batch = batch.select(self._wanted.names)
        try:
            fitted = fit(batch, self._wanted)
        except (pa.ArrowInvalid, ValueError):
            return self._by_row(batch, first_row)
        if what_is_missing(fitted) is None:
            return fitted, ()
        lacking = rows_missing(fitted)
        bad = tuple(
            self._bad(
                fitted.slice(i, 1),
                first_row + i,
                f"`{what_is_missing(fitted.slice(i, 1))}` has no value",
            )
            for i in np.flatnonzero(lacking).tolist()
        )
        return fitted.filter(pa.array(~lacking)), bad

    def _by_row(
        self, batch: pa.RecordBatch, first_row: int
    ) -> tuple[pa.RecordBatch, tuple[BadRow, ...]]:
        """Halves until the rows that cannot be cast stand alone."""
        if batch.num_rows > 1:
            middle = batch.num_rows // 2
            left, bad_left = self._fit(batch.slice(0, middle), first_row)
            right, bad_right = self._fit(batch.slice(middle), first_row + middle)
            return pa.concat_batches([left, right]), bad_left + bad_right
        try:
            fit(batch, self._wanted)
            why = "does not fit the schema"
        except (pa.ArrowInvalid, ValueError) as error:
            why = str(error)
        return pa.RecordBatch.from_pylist([], self._wanted), (self._bad(batch, first_row, why),)

    def _bad(self, row: pa.RecordBatch, number: int, why: str) -> BadRow:
        return BadRow(f"{self._path}: row {number + 1}", repr(row.to_pylist()[0]), why)


def fit(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The same columns with the types of `schema`. Raises pa.ArrowInvalid for values that do not fit."""
    arrays = []
    for array, wanted in zip(batch.columns, schema):
        if array.type != wanted.type:
            try:
                array = array.cast(wanted.type)
            except pa.ArrowNotImplementedError:
                raise SchemaError(
                    f"column `{wanted.name}` is {array.type}, which is no {wanted.type}"
                ) from None
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def file_schema(path: str) -> pa.Schema:
    """The schema in a file's metadata, without its notes."""
    return pq.read_schema(path).remove_metadata()
