"""Python values of a state to columns of a snapshot and back.

Strict when writing: what a column would give back as something else would fail after the first restore, so it is
refused at the first snapshot. Older declarations are followed when reading. It must not know keys or tables."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa

from flowjob import pickling
from flowjob.column_types import ValueType, value_type_of_field
from flowjob.errors import SchemaError, StateMismatch
from flowjob.plan.stored_state import PICKLED, StoredType
from flowjob.runtime.column_reading import reader
from flowjob.runtime.column_writing import REFUSED, REFUSED_BY_ARROW, Writer, writer
from flowjob.runtime.state.evolution import evolved
from flowjob.schema import Schema, class_text, row_class

ROWS = 1 << 14
"""Rows converted at a time, at most: bounds what is held twice."""

_NONE = type(None)
_CANNOT = (SchemaError, *REFUSED, REFUSED_BY_ARROW)


class ValueRefused(Exception):
    """Value number `index` does not fit the declared type. `reason` says why."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index
        self.reason = reason


class TooMuch(Exception):
    """More bytes than one Arrow array of strings or binaries holds (2 GB)."""


def pieces(count: int) -> Iterator[slice]:
    """Consecutive slices that cover `count` rows; none for none."""
    for start in range(0, count, ROWS):
        yield slice(start, min(start + ROWS, count))


def in_pieces(make: Callable[[slice], list[pa.Array]], count: int) -> Iterator[list[pa.Array]]:
    """The columns of `count` rows, which `make` makes for a slice of them: of smaller ones where that is TooMuch."""
    waiting = list(pieces(count))[::-1]
    while waiting:
        piece = waiting.pop()
        try:
            yield make(piece)
        except TooMuch:
            middle = (piece.start + piece.stop) // 2
            if middle == piece.start:
                raise
            waiting += [slice(middle, piece.stop), slice(piece.start, middle)]


def write_values(stored: StoredType, values: list[Any]) -> pa.Array:
    """A column of `stored`'s type; ValueRefused for the first value that does not fit, TooMuch for too many bytes."""
    write = _pickled if stored.value is None else _strict(stored.value)
    try:
        return whole(write(values))
    except Exception as error:
        _refuse_first(write, values)
        raise TooMuch from error


def _refuse_first(write: Writer, values: list[Any]) -> None:
    for index, value in enumerate(values):
        try:
            write([value])
        except Exception as error:
            raise ValueRefused(index, str(error) or type(error).__name__) from error


def whole(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    """`array`, unless Arrow had to cut it."""
    if isinstance(array, pa.ChunkedArray):
        raise TooMuch
    return array


def _pickled(values: list[Any]) -> pa.Array:
    try:
        pickles = [pickle.dumps(value, 5) for value in values]
    except (pickle.PicklingError, AttributeError, TypeError):
        # Something of a notebook or of a function's inside.
        pickles = [pickling.dumps(value) for value in values]
    return pa.array(pickles, pa.binary())


def _strict(value: ValueType) -> Writer:
    """Refuses also what a row would take and give back as something else."""
    python, write = value.python, writer(value)
    if python is datetime:
        return _aware(write)
    if python in (list, tuple, dict) or (isinstance(python, type) and issubclass(python, Schema)):
        return _exact(write, python)
    return write


def _exact(write: Writer, python: type[Any]) -> Writer:
    allowed = {python, _NONE}

    def checked(values: list[Any]) -> pa.Array:
        wrong = sorted(class_text(t) for t in set(map(type, values)) - allowed)
        if wrong:
            raise TypeError(f"a {wrong[0]} would come back as a {class_text(python)}")
        return write(values)

    return checked


def _aware(write: Writer) -> Writer:
    def checked(values: list[Any]) -> pa.Array:
        if any(isinstance(v, datetime) and v.tzinfo is None for v in values):
            raise TypeError("a datetime without time zone would come back with one")
        return write(values)

    return checked


def read_values(declared: StoredType, column: pa.Array, field: pa.Field) -> list[Any]:
    """The values of a column that lies in a snapshot as `field`, as values of the declared type. StateMismatch when
    that cannot be."""
    if PICKLED in (field.metadata or {}):
        return _unpickled(column)
    value = declared.value
    if value is None:
        # Objects now, columns then: what rows of that type would have.
        return reader(value_type_of_field(pa.field(field.name, column.type), row_class))(column)
    try:
        return reader(value)(evolved(column, value))
    except _CANNOT as error:
        raise StateMismatch(str(error)) from error


def _unpickled(column: pa.Array) -> list[Any]:
    try:
        # As trusted as the program itself: who can write snapshots of a job decides what it computes.
        return [None if d is None else pickle.loads(d) for d in column.to_pylist()]  # noqa: S301
    except (OSError, MemoryError):
        raise  # of the machine or the world outside: that may be another time, or on another one
    except Exception as error:
        raise StateMismatch(
            f"a pickled value cannot be read: {type(error).__name__}: {error}. Keep its class importable under the "
            "name it was stored with"
        ) from error
