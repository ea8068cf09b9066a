"""One JSON value at a time to what Arrow takes: the careful way, for rows that the fast way refuses.

It reads all that the fast way reads and more: maps, NaN written as text, and reasons that name the path of the value.
It must not know lines or files."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
import pyarrow as pa

from flowjob.connectors.formats.from_text import EPOCHS, BadValue, TextOptions, from_text, to_bytes
from flowjob.connectors.formats.to_text import is_bytes

Convert = Callable[[Any], Any]

_NOT_NUMBERS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def converter(field: pa.Field, path: str, options: TextOptions) -> Convert:
    """A function from a decoded JSON value of `field` to a value for pa.array; raises BadValue."""
    inner = _of_type(field.type, path, options)

    def convert(value: Any) -> Any:
        if value is None:
            if not field.nullable:
                raise BadValue(f"`{path}` has no value")
            return None
        return inner(value)

    return convert


def _of_type(kind: pa.DataType, path: str, options: TextOptions) -> Convert:
    types = pa.types
    if types.is_struct(kind):
        return _struct(kind, path, options)
    if types.is_map(kind):
        return _map(kind, path, options)
    if types.is_list(kind) or types.is_large_list(kind):
        element = converter(kind.value_field, f"{path}[]", options)
        return lambda value: [element(v) for v in _expect(value, list, "a list", path)]
    if types.is_boolean(kind):
        return lambda value: _expect(value, bool, "true or false", path)
    if types.is_integer(kind):
        return lambda value: _integer(value, kind, path)
    if types.is_floating(kind):
        return lambda value: _number(value, path)
    if types.is_decimal(kind):
        return lambda value: _decimal(value, kind, path)
    if is_bytes(kind):
        return lambda value: _named(to_bytes, _expect(value, str, "base64 text", path), path)
    if types.is_string(kind) or types.is_large_string(kind):
        return lambda value: _expect(value, str, "text", path)
    return lambda value: _by_text(value, kind, path, options)


def _struct(kind: pa.StructType, path: str, options: TextOptions) -> Convert:
    children = [(f.name, converter(f, f"{path}.{f.name}", options)) for f in kind]

    def convert(value: Any) -> Any:
        found = _expect(value, dict, "an object", path)
        return {name: child(found.get(name)) for name, child in children}

    return convert


def _map(kind: pa.MapType, path: str, options: TextOptions) -> Convert:
    item = converter(kind.item_field, f"{path}{{}}", options)

    def convert(value: Any) -> Any:
        found = _expect(value, dict, "an object", path)
        keys = _named(
            lambda ks: from_text(pa.array(ks, pa.string()), kind.key_type, options), [*found], path
        )
        return list(zip(keys.to_pylist(), map(item, found.values())))

    return convert


def _expect(value: Any, cls: type, what: str, path: str) -> Any:
    if type(value) is not cls:
        raise BadValue(f"`{path}` wants {what}, got {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else f"{text[:80]}…"


def _named(convert: Callable[[Any], Any], value: Any, path: str) -> Any:
    try:
        return convert(value)
    except ValueError as error:
        raise BadValue(f"`{path}`: {error}") from None


def _integer(value: Any, kind: pa.DataType, path: str) -> int:
    number: int = _expect(value, int, "a whole number", path)
    bits = kind.bit_width
    low, high = (
        (-(1 << bits - 1), (1 << bits - 1) - 1)
        if pa.types.is_signed_integer(kind)
        else (0, (1 << bits) - 1)
    )
    if not low <= number <= high:
        raise BadValue(f"`{path}`: {number} does not fit {kind}")
    return number


def _number(value: Any, path: str) -> float:
    if isinstance(value, str) and value in _NOT_NUMBERS:
        return _NOT_NUMBERS[value]
    if type(value) not in (int, float):
        raise BadValue(f"`{path}` wants a number, got {_shown(value)}")
    return float(value)


def _decimal(value: Any, kind: Any, path: str) -> Decimal:
    try:
        number = Decimal(value) if isinstance(value, str) else Decimal(repr(value))
        array = pa.array([number], kind)
    except (InvalidOperation, ValueError, pa.ArrowInvalid):
        raise BadValue(f"`{path}`: {_shown(value)} does not fit {kind}") from None
    found: Decimal = array[0].as_py()
    return found


def _by_text(value: Any, kind: pa.DataType, path: str, options: TextOptions) -> Any:
    """Times and dates: the same rules as for whole columns, on a column of one."""
    if type(value) is int and set(options.formats) & EPOCHS.keys():
        value = str(value)
    text = _expect(value, str, f"a {re.sub('[^a-z].*', '', str(kind))} as text", path)
    return _named(lambda t: from_text(pa.array([t]), kind, options)[0].as_py(), text, path)


def from_json_text(text: pa.Array, kind: pa.DataType, options: TextOptions) -> pa.Array:
    """Cells that hold JSON (nested columns of CSV) as an array; raises BadValue."""
    convert = _of_type(kind, "", options)
    values = [None if v is None else convert(_decode(v)) for v in text.to_pylist()]
    return pa.array(values, kind)


def _decode(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise BadValue(f"not JSON: {error}") from None
