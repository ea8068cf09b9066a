"""How an operator's state has changed between two versions of a program, and whether the old can be read as the new.

Pure. The rules for row types are schema_evolution.py's; here they are applied, at any depth of a state's type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from flowjob.column_types import ValueType
from flowjob.plan.specs import OperatorSpec
from flowjob.plan.state_layout import ROWS, stored_states
from flowjob.plan.stored_layout import SectionLayout, StateLayout
from flowjob.plan.stored_state import (
    KEY_PREFIX,
    MAP_KEY,
    PICKLED,
    STATE_PREFIX,
    VALUE,
    Kind,
    StoredState,
    StoredType,
)
from flowjob.schema import Schema, columns_of
from flowjob.schema_evolution import Change, Difference, compatible


@dataclass(frozen=True, slots=True)
class StateChange:
    """One change, in words. `lost`: the section whose rows have no place any more; else `allowed` says all."""

    text: str
    allowed: bool
    lost: str | None = None


_WORDS = {
    "window": "the window",
    "kept": "how its windows are kept",
    "aggregates": "the aggregates",
    "rows": "the rows",
    "connector": "the connector",
}
_PLURAL = ("aggregates", "rows")


def changes(old: StateLayout, new: StateLayout, spec: OperatorSpec) -> Iterator[StateChange]:
    """Everything that differs; `spec` is that of the new operator."""
    if old.kind != new.kind:
        yield StateChange(f"it was a {old.kind}, and is a {new.kind} now", allowed=False)
        return
    for fact in sorted({*old.facts, *new.facts}):
        before, now = old.facts.get(fact, "(none)"), new.facts.get(fact, "(none)")
        if before != now:
            what = _WORDS.get(fact, fact)
            was, is_ = ("were", "are") if fact in _PLURAL else ("was", "is")
            yield StateChange(f"{what} {was} `{before}`, and {is_} `{now}` now", allowed=False)
    yield from _of_key(old.key_fields, new.key_fields)
    stored = stored_states(spec)
    for name, section in old.sections.items():
        if name in stored:
            yield from _of_state(section, stored[name])
        elif name == ROWS and ROWS in new.sections:
            yield from _of_rows(section.arrow, new.sections[ROWS].arrow)
        elif name != ROWS:
            state = name.removeprefix(STATE_PREFIX)
            yield StateChange(f"state `{state}` is not declared any more", False, lost=name)
    for name in new.sections:
        if name not in old.sections and name != ROWS:
            state = name.removeprefix(STATE_PREFIX)
            yield StateChange(f"state `{state}` is new and starts empty", allowed=True)


def _of_key(old: list[pa.Field], new: list[pa.Field]) -> Iterator[StateChange]:
    """A key may be widened: numbers hash by their value, so that every row stays where it is."""
    same = [f.name for f in old] == [f.name for f in new]
    if not same or not all(_same_hash(a.type, b.type) for a, b in zip(old, new)):
        text = f"the key was `{_key(old)}`, and is `{_key(new)}` now"
        yield StateChange(text, allowed=False)
        return
    for before, now in zip(old, new):
        if before.type != now.type:
            name = now.name.removeprefix(KEY_PREFIX)
            yield StateChange(f"the key {name}: {before.type} -> {now.type}", allowed=True)


def _same_hash(old: pa.DataType, new: pa.DataType) -> bool:
    is_ = pa.types
    numbers = (is_.is_integer(old) and is_.is_integer(new)) or (
        is_.is_floating(old) and is_.is_floating(new)
    )
    wider = compatible(pa.schema([("key", old)]), pa.schema([("key", new)]))
    return old == new or (numbers and all(d.allowed for d in wider))


def _key(fields: list[pa.Field]) -> str:
    return ", ".join(f"{f.name.removeprefix(KEY_PREFIX)}: {f.type}" for f in fields) or "(none)"


def _of_rows(old: pa.Schema, new: pa.Schema) -> Iterator[StateChange]:
    """Rows that windows keep: what is added would be missing in the rows they have."""
    for difference in compatible(old, new):
        added = difference.change is Change.ADDED
        detail = f"{difference.column}: {difference.detail}"
        if added:
            detail = f"{difference.column}: added, but rows that windows keep do not have it"
        yield StateChange(f"rows: {detail}", allowed=difference.allowed and not added)


def _of_state(old: SectionLayout, new: StoredState) -> Iterator[StateChange]:
    label = f"state `{new.name}`"
    kind = Kind(old.kind)
    if kind.shape is not new.kind.shape:
        text = f"{label} was a {kind.value} state, and is a {new.kind.value} state now"
        yield StateChange(text, allowed=False)
        return
    schema = old.arrow
    if new.map_key is not None:
        yield from _of_type(f"{label}, keys", schema.field(MAP_KEY), new.map_key, False)
    yield from _of_type(label, schema.field(VALUE), new.value, new.kind is Kind.LIST)


def _of_type(label: str, old: pa.Field, new: StoredType, listed: bool) -> Iterator[StateChange]:
    pickled = PICKLED in (old.metadata or {})
    stored = old.type.value_type if listed else old.type
    if pickled or new.value is None:
        if pickled != (new.value is None):
            before = "pickled objects" if pickled else str(stored)
            text = f"{label}: was kept as {before}, and is declared as {new} now"
            yield StateChange(text, allowed=False)
        return
    for difference in value_changes("", stored, new.value):
        column = f" column {difference.column}" if difference.column else ""
        yield StateChange(f"{label}:{column} {difference.detail}", difference.allowed)


def value_changes(path: str, old: pa.DataType, new: ValueType) -> Iterator[Difference]:
    """Differences between a stored type and a declared one; `column` is the path to where they are."""
    is_ = pa.types
    python = new.python
    if old == new.arrow:
        return
    if isinstance(python, type) and issubclass(python, Schema) and is_.is_struct(old):
        yield from _row_changes(path, old, python)
    elif python is list and (is_.is_list(old) or is_.is_large_list(old)):
        yield from value_changes(f"{path}[]", old.value_type, new.children[0])
    elif python is dict and is_.is_map(old):
        for part, stored, child in zip(
            ("keys", "values"), (old.key_type, old.item_type), new.children
        ):
            yield from value_changes(f"{path}.{part}", stored, child)
    elif python is tuple and is_.is_struct(old) and old.num_fields == len(new.children):
        for number, (field, child) in enumerate(zip(old, new.children)):
            yield from value_changes(f"{path}[{number}]", field.type, child)
    else:
        yield from compatible(pa.schema([(path, old)]), pa.schema([(path, new.arrow)]))


def _row_changes(path: str, old: pa.DataType, cls: type[Schema]) -> Iterator[Difference]:
    types = {column.name: column.value for column in columns_of(cls)}
    stored = pa.schema(list(old))
    prefix = f"{path}." if path else ""
    for found in compatible(stored, cls):
        if found.change in (Change.RETYPED, Change.WIDENED):
            # A column's own type may hold rows with defaults, which only its class knows.
            yield from value_changes(
                prefix + found.column, stored.field(found.column).type, types[found.column]
            )
        else:
            yield Difference(prefix + found.column, found.change, found.allowed, found.detail)
