"""Stored values of an older declaration as the current one: added columns are filled, narrow numbers widened.

The rules are schema_evolution.py's; this follows them in whole columns, at any depth. It must not know what the values
are the state of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowjob.column_types import ValueType
from flowjob.errors import SchemaError
from flowjob.runtime.column_writing import writer
from flowjob.schema import Column, Schema, columns_of
from flowjob.schema_evolution import Change, compatible


def evolved(array: pa.Array, value: ValueType) -> pa.Array:
    """`array` with the type `value.arrow`; SchemaError, with what changed, when it cannot be followed."""
    stored, python = array.type, value.python
    if stored == value.arrow:
        return array
    is_ = pa.types
    if isinstance(python, type) and issubclass(python, Schema) and is_.is_struct(stored):
        return _rows(array, python, value.arrow)
    if python is list and (is_.is_list(stored) or is_.is_large_list(stored)):
        return _lists(array, value)
    if python is dict and is_.is_map(stored):
        return _dicts(array, value)
    if python is tuple and is_.is_struct(stored):
        return _tuples(array, value)
    return widened(array, value.arrow)


def widened(array: pa.Array, type: pa.DataType) -> pa.Array:
    """`array` as `type`, if every value of its type has an equal one there; SchemaError if not."""
    if array.type == type:
        return array
    (change,) = compatible(pa.schema([("value", array.type)]), pa.schema([("value", type)]))
    if not change.allowed:
        raise SchemaError(f"stored as {array.type}, declared as {type}")
    return array.cast(type)


def _rows(array: pa.Array, cls: type[Schema], arrow: pa.DataType) -> pa.Array:
    _check_columns(array.type, cls)
    stored = dict(zip((f.name for f in array.type), array.flatten()))
    parts = []
    for column in columns_of(cls):
        kept = stored.get(column.name)
        if kept is None:
            parts.append(_filled(column, len(array), _default(cls, column)))
            continue
        part = evolved(kept, column.value)
        if part.null_count and not column.value.nullable and column.has_default:
            defaults = _filled(column, len(array), _default(cls, column))
            part = pc.if_else(part.is_valid(), part, defaults)
        parts.append(part)
    return _struct(array, parts, arrow)


def _check_columns(stored: pa.DataType, cls: type[Schema]) -> None:
    """That columns came, went and may be null as they can; their own types are looked at one by one."""
    found = compatible(pa.schema(list(stored)), cls)
    typed = (Change.RETYPED, Change.WIDENED)
    refused = [d for d in found if not d.allowed and d.change not in typed]
    if refused:
        listed = "\n  ".join(map(str, refused))
        raise SchemaError(
            f"the row type changed in a way that stored rows cannot follow:\n  {listed}"
        )


def _struct(array: pa.Array, parts: list[pa.Array], arrow: pa.DataType) -> pa.Array:
    mask = array.is_null() if array.null_count else None
    return pa.StructArray.from_arrays(parts, fields=list(arrow), mask=mask)


def _default(cls: type[Schema], column: Column) -> Any:
    """What a field has that is not given; None when it must be."""
    if not column.has_default:
        return None
    fields, defaults = cls.__struct_fields__, cls.__struct_defaults__
    found = defaults[fields.index(column.attribute) - len(fields) + len(defaults)]
    factory = getattr(found, "factory", None)
    return found if factory is None else factory()


def _filled(column: Column, length: int, value: Any) -> pa.Array:
    if value is None:
        return pa.nulls(length, column.value.arrow)
    return writer(column.value)([value]).take(pa.array(np.zeros(length, np.int64)))


def _lists(array: pa.Array, value: ValueType) -> pa.Array:
    items = evolved(array.flatten(), value.children[0])
    return _with_offsets(
        array,
        pc.list_value_length(array),
        lambda offsets, mask: pa.ListArray.from_arrays(offsets, items, type=value.arrow, mask=mask),
    )


def _dicts(array: pa.Array, value: ValueType) -> pa.Array:
    entries = array.view(pa.list_(array.type.field(0)))  # Arrow's list functions take no map
    keys, items = entries.flatten().flatten()
    key, item = value.children
    keys, items = evolved(keys, key), evolved(items, item)
    return _with_offsets(
        array,
        pc.list_value_length(entries),
        lambda offsets, mask: pa.MapArray.from_arrays(
            offsets, keys, items, type=value.arrow, mask=mask
        ),
    )


def _with_offsets(array: pa.Array, lengths: pa.Array, make: Any) -> pa.Array:
    sizes = lengths.fill_null(0).to_numpy(zero_copy_only=False)
    offsets = np.zeros(len(array) + 1, np.int32)
    np.cumsum(sizes, out=offsets[1:])
    return make(pa.array(offsets), array.is_null() if array.null_count else None)


def _tuples(array: pa.Array, value: ValueType) -> pa.Array:
    if array.type.num_fields != len(value.children):
        raise SchemaError(
            f"stored tuples have {array.type.num_fields} elements, declared are {len(value.children)}"
        )
    parts = [evolved(part, child) for part, child in zip(array.flatten(), value.children)]
    return _struct(array, parts, value.arrow)
