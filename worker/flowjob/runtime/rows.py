"""Rows to columns and back: the only place where per-row Python objects and Arrow batches meet.

A hot path: a job of row functions is mostly this. Objects that come out own their bytes, so a row kept in state pins no
batch. Must not know operators."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import cached_property
from typing import Any

import pyarrow as pa

from flowjob import pickling
from flowjob.plan.types import OBJECT_COLUMN, OBJECT_WIRE_SCHEMA, StreamType
from flowjob.runtime.column_reading import Reader, reader, row_maker
from flowjob.runtime.column_writing import REFUSED, REFUSED_BY_ARROW, Writer, fetcher, writer
from flowjob.runtime.printing import shown
from flowjob.schema import Column, Schema, class_text, columns_of, row_class

_MAX_SHOWN = 300


class RowTypeError(TypeError):
    """A row is not what the stream's type declares. `row_index` counts from 0 in the list given; `row` is printed."""

    def __init__(self, row_index: int, message: str, row: str) -> None:
        super().__init__(message)
        self.row_index = row_index
        self.row = row

    def __reduce__(self) -> tuple[type[RowTypeError], tuple[int, str, str]]:
        return RowTypeError, (self.row_index, str(self), self.row)


class RowCodec:
    """Converts the visible columns of a stream of this type. Cheap to make; prepared at first use."""

    def __init__(self, type: StreamType) -> None:
        self.type = type

    @cached_property
    def row_class(self) -> type[Schema]:
        """The class of the rows: the declared one, or one made for the schema."""
        declared = self.type.row_class
        return row_class(self.type.schema) if declared is None else declared

    def rows(self, columns: pa.RecordBatch) -> list[Any]:
        """One Schema instance (or object) per row. Columns are found by name; hidden and other ones are ignored."""
        if self.type.is_objects:
            return _unpickle(columns.column(OBJECT_COLUMN))
        make, readers = self._reading
        return list(map(make, *[read(columns.column(name)) for name, read in readers]))

    def columns(self, rows: list[Any]) -> pa.RecordBatch:
        """The visible columns of rows. Raises RowTypeError for one that does not fit."""
        if self.type.is_objects:
            return _pickle(rows)
        fetch, writers, schema = self._writing
        # Counting by identity costs 11 ns a row; a subclass is found and accepted below.
        if list(map(type, rows)).count(self.row_class) != len(rows):
            self._check_class(rows)
        try:
            arrays = [write(values) for write, values in zip(writers, fetch(rows))]
        except (*REFUSED, REFUSED_BY_ARROW):
            refusal = self._refusal(rows)
            if refusal is None:
                raise
            raise refusal from None
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    @cached_property
    def _reading(self) -> tuple[Callable[..., Any], list[tuple[str, Reader]]]:
        columns = columns_of(self.row_class)
        return row_maker(self.row_class), [(c.name, reader(c.value)) for c in columns]

    @cached_property
    def _writing(
        self,
    ) -> tuple[Callable[[list[Any]], tuple[list[Any], ...]], list[Writer], pa.Schema]:
        columns = {c.name: c for c in columns_of(self.row_class)}
        ordered = [columns[name] for name in self.type.columns]
        schema = pa.schema([c.value.field(c.name) for c in ordered])
        return fetcher([c.attribute for c in ordered]), [writer(c.value) for c in ordered], schema

    # -- what was wrong

    def _check_class(self, rows: list[Any]) -> None:
        wanted = self.row_class
        for index, row in enumerate(rows):
            if not isinstance(row, wanted):
                message = (
                    f"declared returns={class_text(wanted)}, got {class_text(type(row))} in row {index}: "
                    f"{shown(row, _MAX_SHOWN)}. "
                    f"Return a {wanted.__name__}, or declare another `returns=`"
                )
                raise RowTypeError(index, message, shown(row, _MAX_SHOWN))

    def _refusal(self, rows: list[Any]) -> RowTypeError | None:
        """The first row and field that cannot be written, found by trying each alone."""
        columns = columns_of(self.row_class)
        writers = [writer(c.value) for c in columns]
        for index, row in enumerate(rows):
            for column, write in zip(columns, writers):
                reason = _reason(write, getattr(row, column.attribute))
                if reason is not None:
                    message = self._explain(column, row, index, reason)
                    return RowTypeError(index, message, shown(row, _MAX_SHOWN))
        return None

    def _explain(self, column: Column, row: Any, index: int, reason: str) -> str:
        value = getattr(row, column.attribute)
        field = f"`{column.attribute}: {_declared(column)}`"
        got = "None" if value is None else f"{class_text(type(value))} {shown(value, _MAX_SHOWN)}"
        return (
            f"declared returns={self.row_class.__name__}, field {field}, got {got} in row {index}: "
            f"{shown(row, _MAX_SHOWN)} ({reason})"
        )


def _declared(column: Column) -> str:
    name = getattr(column.value.python, "__name__", str(column.value.python))
    exact = "" if name in ("str", "bool", "bytes") else f" ({column.value.arrow})"
    return f"{name}{exact}" + (" | None" if column.value.nullable else "")


def _reason(write: Writer, value: Any) -> str | None:
    """Why a value cannot be written; None when it can."""
    try:
        write([value])
    except (*REFUSED, REFUSED_BY_ARROW) as error:
        return str(error) or type(error).__name__
    return None


def _pickle(rows: list[Any]) -> pa.RecordBatch:
    try:
        pickles = [pickle.dumps(row, 5) for row in rows]
    except (pickle.PicklingError, AttributeError, TypeError):
        # Something of a notebook or of a function's inside.
        pickles = [pickling.dumps(row) for row in rows]
    return pa.RecordBatch.from_arrays([pa.array(pickles, pa.binary())], schema=OBJECT_WIRE_SCHEMA)


def _unpickle(column: pa.Array) -> list[Any]:
    # Only this job's own processes write here: peers are authenticated before any frame (runtime/exchange/).
    return [pickle.loads(data) for data in column.to_pylist()]  # noqa: S301
