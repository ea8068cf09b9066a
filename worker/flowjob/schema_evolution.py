"""What changed between two versions of a row type, and whether stored rows of the old one can be read as the new one.

Pure: two Arrow schemas in, differences out. Following them is the business of whoever holds old rows (state, files)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pyarrow as pa

from flowjob.errors import SchemaError
from flowjob.schema import arrow_schema, columns_of


class Change(Enum):
    """What happened to a column."""

    ADDED = "added"
    DROPPED = "dropped"
    WIDENED = "widened"
    NULLABLE = "made nullable"
    RETYPED = "retyped"
    REQUIRED = "made required"


@dataclass(frozen=True, slots=True)
class Difference:
    """One change of one column; `allowed` when old rows can be read as new ones."""

    column: str
    change: Change
    allowed: bool
    detail: str

    def __str__(self) -> str:
        return f"{'ok     ' if self.allowed else 'refused'}  {self.column}: {self.detail}"


RowType = Any
"""A pa.Schema or a Schema class."""


def compatible(old: RowType, new: RowType) -> list[Difference]:
    """All differences, those of `new`'s columns first, in its order. A change is compatible if each is `allowed`.

    Allowed: adding a column that is nullable or has a default, dropping one, widening a number, making one nullable.
    """
    before, after = _schema(old), _schema(new)
    defaults = _defaults(new)
    found: list[Difference] = []
    for field in after:
        if field.name in before.names:
            found += _changes(before.field(field.name), field, field.name in defaults)
        else:
            found.append(_added(field, field.name in defaults))
    for field in before:
        if field.name not in after.names:
            found.append(Difference(field.name, Change.DROPPED, True, f"dropped, was {field.type}"))
    return found


def require_compatible(old: RowType, new: RowType) -> list[Difference]:
    """As `compatible`; raises SchemaError with the whole diff when a change is refused."""
    found = compatible(old, new)
    if not all(d.allowed for d in found):
        listed = "\n  ".join(str(d) for d in found)
        raise SchemaError(f"the row type changed in a way that old rows cannot follow:\n  {listed}")
    return found


def _schema(rows: RowType) -> pa.Schema:
    return rows if isinstance(rows, pa.Schema) else arrow_schema(rows)


def _defaults(rows: RowType) -> Collection[str]:
    if isinstance(rows, pa.Schema):
        return ()
    return {c.name for c in columns_of(rows) if c.has_default}


def _added(field: pa.Field, has_default: bool) -> Difference:
    if field.nullable or has_default:
        filled = "its default" if has_default else "null"
        detail = f"added as {field.type}, {filled} in old rows"
        return Difference(field.name, Change.ADDED, True, detail)
    detail = f"added as {field.type}, but old rows have no value: give it a default or `| None`"
    return Difference(field.name, Change.ADDED, False, detail)


def _changes(old: pa.Field, new: pa.Field, has_default: bool) -> list[Difference]:
    found = []
    if old.type != new.type:
        wider = _widens(old.type, new.type)
        change = Change.WIDENED if wider else Change.RETYPED
        found.append(Difference(new.name, change, wider, f"{old.type} -> {new.type}"))
    if new.nullable and not old.nullable:
        found.append(Difference(new.name, Change.NULLABLE, True, "made nullable"))
    if old.nullable and not new.nullable:
        detail = "made required, nulls of old rows get the default"
        if not has_default:
            detail = "made required, but old rows may hold null: give it a default or `| None`"
        found.append(Difference(new.name, Change.REQUIRED, has_default, detail))
    return found


def _widens(old: pa.DataType, new: pa.DataType) -> bool:
    """Whether every value of `old` has its exact equal in `new`."""
    is_ = pa.types
    if is_.is_integer(old) and is_.is_integer(new):
        if is_.is_signed_integer(old):
            return bool(is_.is_signed_integer(new) and new.bit_width >= old.bit_width)
        return bool(new.bit_width > old.bit_width or old == new)
    if is_.is_integer(old) and is_.is_floating(new):
        return bool(old.bit_width <= {16: 8, 32: 16, 64: 32}[new.bit_width])
    if is_.is_floating(old) and is_.is_floating(new):
        return bool(new.bit_width >= old.bit_width)
    if is_.is_decimal(old) and is_.is_decimal(new):
        whole = new.precision - new.scale >= old.precision - old.scale
        return bool(whole and new.scale >= old.scale)
    if is_.is_timestamp(old) and is_.is_timestamp(new):
        # Another zone shows the same instants differently; a finer unit would lose range.
        return bool(old.unit == new.unit and (old.tz is None) == (new.tz is None))
    return (is_.is_null(old)) or (old, new) in _SAME_CONTENT or _nested_widens(old, new)


_SAME_CONTENT = {
    (pa.string(), pa.large_string()),
    (pa.large_string(), pa.string()),
    (pa.binary(), pa.large_binary()),
    (pa.large_binary(), pa.binary()),
    (pa.string(), pa.binary()),
}


def _nested_widens(old: pa.DataType, new: pa.DataType) -> bool:
    is_ = pa.types
    if is_.is_list(old) and is_.is_list(new):
        return all(d.allowed for d in _changes(old.value_field, new.value_field, False))
    if is_.is_map(old) and is_.is_map(new):
        keys = old.key_type == new.key_type
        return keys and all(d.allowed for d in _changes(old.item_field, new.item_field, False))
    if is_.is_struct(old) and is_.is_struct(new):
        return all(d.allowed for d in compatible(pa.schema(list(old)), pa.schema(list(new))))
    return False
