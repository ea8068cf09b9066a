"""What a column may hold: Python annotations on one side, Arrow types on the other.

`value_type` reads an annotation, `value_type_of_field` an Arrow field; both give a `ValueType`, which row conversion
(runtime/rows.py) and casts (expressions/) follow. Knows nothing of Schema classes except how to ask one for its fields,
and must not know rows or batches."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa

from flowjob.errors import SchemaError

UTC_TIMESTAMP = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class ColumnType:
    """Goes into `Annotated[...]` to pick the Arrow type of a Python type; made by `decimal`, `timezone` and aliases."""

    arrow: pa.DataType
    python: type


@dataclass(frozen=True, slots=True)
class ValueType:
    """One value's type in both worlds.

    python    the class of the values rows hold: int, str, …, list, dict, an Enum or a Schema class
    children  the element of a list; key and value of a dict; elements of a tuple; empty for a Schema class
    choices   the values of a Literal, else empty
    """

    arrow: pa.DataType
    python: Any
    nullable: bool = False
    children: tuple[ValueType, ...] = ()
    choices: tuple[Any, ...] = ()

    def field(self, name: str) -> pa.Field:
        return pa.field(name, self.arrow, nullable=self.nullable)


Int8 = Annotated[int, ColumnType(pa.int8(), int)]
Int16 = Annotated[int, ColumnType(pa.int16(), int)]
Int32 = Annotated[int, ColumnType(pa.int32(), int)]
Int64 = Annotated[int, ColumnType(pa.int64(), int)]
UInt8 = Annotated[int, ColumnType(pa.uint8(), int)]
UInt16 = Annotated[int, ColumnType(pa.uint16(), int)]
UInt32 = Annotated[int, ColumnType(pa.uint32(), int)]
UInt64 = Annotated[int, ColumnType(pa.uint64(), int)]
Float32 = Annotated[float, ColumnType(pa.float32(), float)]
Float64 = Annotated[float, ColumnType(pa.float64(), float)]


def decimal(precision: int, scale: int) -> ColumnType:
    """Exact numbers of `precision` digits, `scale` of them after the point: Annotated[Decimal, fj.decimal(10, 2)]."""
    if not 1 <= precision <= 76 or not 0 <= scale <= precision:
        raise SchemaError(
            f"decimal({precision}, {scale}) cannot be: precision is 1 to 76 digits, scale 0 to precision"
        )
    make = pa.decimal128 if precision <= 38 else pa.decimal256
    return ColumnType(make(precision, scale), Decimal)


def timezone(name: str) -> ColumnType:
    """Datetimes shown in a zone: Annotated[datetime, fj.timezone("America/New_York")]. Instants, stored as µs UTC."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SchemaError(f"no time zone {name!r}: use an IANA name, e.g. Europe/Berlin") from error
    return ColumnType(pa.timestamp("us", tz=name), datetime)


_PLAIN: dict[Any, pa.DataType] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bytes: pa.binary(),
    datetime: UTC_TIMESTAMP,
    date: pa.date32(),
    time: pa.time64("us"),
    timedelta: pa.duration("us"),
}

ALLOWED = (
    "int, fj.Int8 … fj.UInt64, float, fj.Float32, bool, str, bytes, Annotated[Decimal, fj.decimal(10, 2)], datetime, "
    'Annotated[datetime, fj.timezone("Europe/Berlin")], date, time, timedelta, list[T], dict[K, V], tuple[A, B], '
    "a Schema class, an Enum or Literal of str or int, each also `| None`"
)


def value_type(annotation: Any) -> ValueType:
    """The type an annotation stands for. Raises SchemaError with the reason, without naming a class or field."""
    if isinstance(annotation, pa.DataType):
        return value_type_of_field(pa.field("", annotation, nullable=False))
    if isinstance(annotation, ColumnType):
        return ValueType(annotation.arrow, annotation.python)
    if annotation in _PLAIN:
        return ValueType(_PLAIN[annotation], annotation)
    if annotation is Decimal:
        raise SchemaError("a Decimal needs its digits: Annotated[Decimal, fj.decimal(10, 2)]")
    origin = typing.get_origin(annotation)
    reader = _GENERIC.get(origin)
    if reader is not None:
        return reader(annotation, typing.get_args(annotation))
    if isinstance(annotation, type):
        if issubclass(annotation, enum.Enum):
            return _choices(annotation, [member.value for member in annotation])
        if (fields := getattr(annotation, "__flowjob_fields__", None)) is not None:
            return ValueType(pa.struct(fields()), annotation)
    raise SchemaError(f"no column type for it. Allowed are {ALLOWED}")


def _optional(_: Any, arguments: tuple[Any, ...]) -> ValueType:
    inner = [a for a in arguments if a is not type(None)]
    if len(inner) != 1 or len(inner) == len(arguments):
        raise SchemaError("a column has one type: only `T | None` is a union that it can be")
    found = value_type(inner[0])
    return ValueType(found.arrow, found.python, True, found.children, found.choices)


def _annotated(_: Any, arguments: tuple[Any, ...]) -> ValueType:
    base, *extras = arguments
    chosen = [e for e in extras if isinstance(e, ColumnType)]
    if not chosen:
        return value_type(base)
    optional = typing.get_origin(base) in (typing.Union, types.UnionType)
    bases = [a for a in typing.get_args(base) if a is not type(None)] if optional else [base]
    if bases != [chosen[-1].python]:
        raise SchemaError(f"{chosen[-1].arrow} is a type for {chosen[-1].python.__name__} values")
    return ValueType(chosen[-1].arrow, chosen[-1].python, nullable=optional)


def _list(_: Any, arguments: tuple[Any, ...]) -> ValueType:
    element = value_type(arguments[0])
    return ValueType(pa.list_(element.field("item")), list, children=(element,))


def _dict(_: Any, arguments: tuple[Any, ...]) -> ValueType:
    key, item = value_type(arguments[0]), value_type(arguments[1])
    if key.nullable:
        raise SchemaError("the keys of a dict cannot be None")
    return ValueType(pa.map_(key.field("key"), item.field("value")), dict, children=(key, item))


def _tuple(_: Any, arguments: tuple[Any, ...]) -> ValueType:
    if not arguments or Ellipsis in arguments:
        raise SchemaError(
            "a tuple has a fixed length here: tuple[str, int]. For any length use list[T]"
        )
    elements = tuple(value_type(a) for a in arguments)
    struct = pa.struct([e.field(f"_{i}") for i, e in enumerate(elements)])
    return ValueType(struct, tuple, children=elements)


def _literal(_: Any, arguments: tuple[Any, ...]) -> ValueType:
    nullable = None in arguments
    found = _choices(None, [a for a in arguments if a is not None])
    return ValueType(found.arrow, found.python, nullable, choices=found.choices)


def _choices(cls: type[enum.Enum] | None, values: list[Any]) -> ValueType:
    kinds = {type(v) if not isinstance(v, str) else str for v in values}
    if len(kinds) != 1 or not kinds <= {str, int}:
        raise SchemaError("the values of an Enum or Literal must be all str or all int")
    kind = kinds.pop()
    arrow = _PLAIN[kind]
    return ValueType(arrow, cls) if cls else ValueType(arrow, kind, choices=tuple(values))


_GENERIC: dict[Any, Callable[[Any, tuple[Any, ...]], ValueType]] = {
    typing.Union: _optional,
    types.UnionType: _optional,
    typing.Annotated: _annotated,
    typing.Literal: _literal,
    list: _list,
    dict: _dict,
    tuple: _tuple,
}


def value_type_of_field(
    field: pa.Field, struct_class: Callable[[pa.Schema], Any] | None = None
) -> ValueType:
    """The type of an Arrow field's values. `struct_class` makes the row class of a struct."""
    arrow = field.type
    for test, python in _BY_ARROW:
        if test(arrow):
            return ValueType(arrow, python, field.nullable)
    if pa.types.is_dictionary(arrow):
        inner = value_type_of_field(pa.field("", arrow.value_type), struct_class)
        return ValueType(arrow, inner.python, field.nullable)
    if pa.types.is_map(arrow):
        pair = (arrow.key_field, arrow.item_field)
        children = tuple(value_type_of_field(f, struct_class) for f in pair)
        return ValueType(arrow, dict, field.nullable, children)
    if _is_list(arrow):
        element = value_type_of_field(arrow.value_field, struct_class)
        return ValueType(arrow, list, field.nullable, (element,))
    if pa.types.is_struct(arrow):
        cls = struct_class(pa.schema(list(arrow))) if struct_class else dict
        return ValueType(arrow, cls, field.nullable)
    raise SchemaError(f"column `{field.name}`: no Python type for Arrow's {arrow}; cast it first")


def _is_list(t: pa.DataType) -> bool:
    is_ = pa.types
    return bool(is_.is_list(t) or is_.is_large_list(t) or is_.is_fixed_size_list(t))


def _is_text(t: pa.DataType) -> bool:
    is_ = pa.types
    return bool(is_.is_string(t) or is_.is_large_string(t) or is_.is_string_view(t))


def _is_bytes(t: pa.DataType) -> bool:
    is_ = pa.types
    if is_.is_binary(t) or is_.is_large_binary(t):
        return True
    return bool(is_.is_fixed_size_binary(t) or is_.is_binary_view(t))


_BY_ARROW: tuple[tuple[Callable[[pa.DataType], bool], Any], ...] = (
    (pa.types.is_integer, int),
    (pa.types.is_floating, float),
    (pa.types.is_boolean, bool),
    (_is_text, str),
    (_is_bytes, bytes),
    (pa.types.is_decimal, Decimal),
    (pa.types.is_timestamp, datetime),
    (pa.types.is_date, date),
    (pa.types.is_time, time),
    (pa.types.is_duration, timedelta),
    (pa.types.is_null, type(None)),
)
