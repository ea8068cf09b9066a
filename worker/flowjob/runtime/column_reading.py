"""From an Arrow column to a list of Python values, one function per type.

Built for speed: numpy makes ints, floats, dates and durations several times faster than `to_pylist`. What comes out
owns its bytes. Used by rows.py only; it must not know batches or operators."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowjob.column_types import ValueType
from flowjob.schema import Schema, columns_of

Reader = Callable[[pa.Array], list[Any]]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_A_TIME = np.iinfo(np.int64).min
"""numpy's NaT, which `tolist` turns into None."""


def reader(value: ValueType) -> Reader:
    """The function that reads columns of this type."""
    python, arrow = value.python, value.arrow
    if pa.types.is_dictionary(arrow):
        return _dictionary(reader(ValueType(arrow.value_type, python)))
    if isinstance(python, type) and issubclass(python, Schema):
        return _rows(python)
    if isinstance(python, type) and issubclass(python, enum.Enum):
        return _members(python)
    if python is datetime:
        return _datetimes(arrow)
    if python is list:
        return _lists(reader(value.children[0]))
    if python is dict:
        return _dicts(*(reader(c) for c in value.children))
    if python is tuple:
        return _tuples(tuple(reader(c) for c in value.children))
    return _SIMPLE.get(python, _plain)


def _numbers(array: pa.Array) -> list[Any]:
    if not array.null_count:
        return cast("list[Any]", array.to_numpy().tolist())
    values = array.fill_null(0).to_numpy().tolist()
    for index in array.is_null().to_numpy(zero_copy_only=False).nonzero()[0].tolist():
        values[index] = None
    return cast("list[Any]", values)


def _plain(array: pa.Array) -> list[Any]:
    return cast("list[Any]", array.to_pylist())


def _booleans(array: pa.Array) -> list[Any]:
    return cast("list[Any]", array.to_numpy(zero_copy_only=False).tolist())


def _dates(array: pa.Array) -> list[Any]:
    days = array.cast(pa.date32()).view(pa.int32()).cast(pa.int64()).fill_null(_NOT_A_TIME)
    return cast("list[Any]", days.to_numpy().view("M8[D]").tolist())


def _durations(array: pa.Array) -> list[Any]:
    micros = array.cast(pa.duration("us"), safe=False).view(pa.int64()).fill_null(_NOT_A_TIME)
    return cast("list[Any]", micros.to_numpy().view("m8[us]").tolist())


def _times(array: pa.Array) -> list[Any]:
    return cast("list[Any]", array.cast(pa.time64("us"), safe=False).to_pylist())


_SIMPLE: dict[Any, Reader] = {
    int: _numbers,
    float: _numbers,
    bool: _booleans,
    date: _dates,
    timedelta: _durations,
    time: _times,
}


def _datetimes(arrow: pa.DataType) -> Reader:
    """Aware datetimes, in the column's zone; UTC when it has none. Finer units than µs are cut."""
    micros = pa.timestamp("us", tz=arrow.tz)
    zone = _zone(arrow.tz)

    def read(array: pa.Array) -> list[Any]:
        ticks = array.cast(micros, safe=False).view(pa.int64())
        if array.null_count:
            deltas = ticks.fill_null(_NOT_A_TIME).to_numpy().view("m8[us]").tolist()
            times = [None if d is None else EPOCH + d for d in deltas]
        else:
            times = list(map(EPOCH.__add__, ticks.to_numpy().view("m8[us]").tolist()))
        if zone is UTC:
            return times
        return [None if t is None else t.astimezone(zone) for t in times]

    return read


def _zone(name: Any) -> tzinfo:
    if name in (None, "UTC", "Etc/UTC", "Z", "+00:00"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):  # an offset such as +02:00
        zone: tzinfo = pa.lib.string_to_tzinfo(name)
        return zone


def _dictionary(values: Reader) -> Reader:
    def read(array: pa.Array) -> list[Any]:
        entries = [*values(array.dictionary), None]  # the last one, [-1], is for null
        indices = array.indices
        if indices.null_count:
            indices = indices.cast(pa.int64()).fill_null(-1)
        return [entries[i] for i in indices.to_numpy().tolist()]

    return read


def _members(cls: type[enum.Enum]) -> Reader:
    members: dict[Any, Any] = {member.value: member for member in cls} | {None: None}

    def read(array: pa.Array) -> list[Any]:
        try:
            return [members[v] for v in array.to_pylist()]
        except KeyError as error:
            raise ValueError(f"{error} is no value of {cls.__qualname__}") from None

    return read


def _rows(cls: type[Schema]) -> Reader:
    columns = columns_of(cls)
    readers = [(c.name, reader(c.value)) for c in columns]
    make = row_maker(cls)

    def read(array: pa.Array) -> list[Any]:
        parts = dict(zip((f.name for f in array.type), array.flatten()))
        return _where_valid(list(map(make, *(read(parts[name]) for name, read in readers))), array)

    return read


def row_maker(cls: type[Schema]) -> Callable[..., Any]:
    """Makes a row of its column values, in the order of `columns_of`."""
    attributes = [c.attribute for c in columns_of(cls)]
    if len(cls.__match_args__) == len(attributes):
        return cls
    return lambda *values: cls(**dict(zip(attributes, values)))  # keyword-only fields


def _tuples(readers: tuple[Reader, ...]) -> Reader:
    def read(array: pa.Array) -> list[Any]:
        parts = [read(part) for read, part in zip(readers, array.flatten())]
        return _where_valid(list(zip(*parts)), array)

    return read


def _where_valid(values: list[Any], array: pa.Array) -> list[Any]:
    if array.null_count:
        for index in array.is_null().to_numpy(zero_copy_only=False).nonzero()[0].tolist():
            values[index] = None
    return values


def _lists(element: Reader) -> Reader:
    def read(array: pa.Array) -> list[Any]:
        return _cut(element(array.flatten()), pc.list_value_length(array).to_pylist())

    return read


def _dicts(key: Reader, value: Reader) -> Reader:
    def read(array: pa.Array) -> list[Any]:
        entries = array.view(pa.list_(array.type.field(0)))  # Arrow's list functions take no map
        keys, values = entries.flatten().flatten()
        lengths = pc.list_value_length(entries).to_pylist()
        pairs = _cut(list(zip(key(keys), value(values))), lengths)
        return [None if p is None else dict(p) for p in pairs]

    return read


def _cut(values: list[Any], lengths: list[int | None]) -> list[Any]:
    """Consecutive pieces of `values`; None where the length is."""
    pieces: list[Any] = []
    start = 0
    for length in lengths:
        if length is None:
            pieces.append(None)
        else:
            pieces.append(values[start : start + length])
            start += length
    return pieces
