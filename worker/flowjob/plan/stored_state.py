"""As what a function's declared states lie in snapshots: section names, columns and their Arrow types.

Pure and at plan time, so that a snapshot can be held against a program before anything is started. docs/state.md
describes it for users. It must not know tables in memory (runtime/state/) or files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import pyarrow as pa

from flowjob.aggregates import Aggregate, plain
from flowjob.column_types import ValueType, value_type
from flowjob.errors import SchemaError
from flowjob.functions import type_arguments
from flowjob.plan.types import KeyField, StreamType
from flowjob.schema import row_class
from flowjob.state import (
    AggregatingState,
    ListState,
    MapState,
    ReducingState,
    State,
    ValueState,
    declared_states,
)
from flowjob.watermarks import micros

STATE_PREFIX = "state."
"""Section `state.<name>` holds the declared state `name`."""

TIMERS = "timers"
PROCESSING_TIMERS = "processing-timers"
TIME = "time"
"""No rows; what a subtask has seen of time, in its meta."""

KEY_PREFIX = "key."
"""Key columns come first: `key.<name>`."""

VALUE, MAP_KEY, EXPIRES = "value", "map_key", "expires"
TIMER_TIME, TIMER_ORDER = "time", "registration"
INSTANT = pa.timestamp("us", tz="UTC")

PICKLED = b"flowjob.pickled"
"""Key of a field's metadata: its values are pickled Python objects."""

REDUCED = "reduced"
"""The one state of a reduce."""


class Kind(Enum):
    """Which columns a state's section has, and what a row of it is."""

    VALUE = "value"
    REDUCING = "reducing"
    AGGREGATING = "aggregating"
    LIST = "list"
    MAP = "map"
    BROADCAST = "broadcast"

    @property
    def shape(self) -> Kind:
        """The kind it is stored like: one can be restored as another of its shape."""
        return _SHAPES.get(self, self)


_SHAPES = {Kind.REDUCING: Kind.VALUE}


@dataclass(frozen=True, slots=True)
class StoredType:
    """The type of a column of values; `value` None: any Python object, pickled."""

    value: ValueType | None

    def field(self, name: str) -> pa.Field:
        """The column. A stored None is a null; an absent value has no row."""
        if self.value is None:
            return pa.field(name, pa.binary(), metadata={PICKLED: b"1"})
        return pa.field(name, self.value.arrow)

    def __str__(self) -> str:
        return "object (pickled)" if self.value is None else str(self.value.arrow)


@dataclass(frozen=True, slots=True)
class StoredState:
    """One state. `ttl` in µs."""

    name: str
    kind: Kind
    value: StoredType
    map_key: StoredType | None = None
    ttl: int | None = None

    @property
    def section(self) -> str:
        return STATE_PREFIX + self.name

    @property
    def meta(self) -> dict[str, Any]:
        """What the section says of itself."""
        return {"kind": self.kind.value} | ({} if self.ttl is None else {"ttl": self.ttl})

    @property
    def fields(self) -> list[pa.Field]:
        """The columns behind the key's."""
        value, expires = self.value.field(VALUE), pa.field(EXPIRES, INSTANT)
        if self.kind is Kind.LIST:
            value = pa.field(
                VALUE, pa.list_(value.remove_metadata().with_name("item")), metadata=value.metadata
            )
            expires = pa.field(EXPIRES, pa.list_(pa.field("item", INSTANT)))
        columns = [value] if self.map_key is None else [self.map_key.field(MAP_KEY), value]
        return columns if self.ttl is None else [*columns, expires]


def stored_type(annotation: Any) -> StoredType:
    """Arrow's type for a declared one; objects where it has none, or the annotation is None."""
    if annotation is None:
        return StoredType(None)
    try:
        found = value_type(annotation)
        if pa.types.is_dictionary(found.arrow):
            found = value_type(found.arrow.value_type)
    except (SchemaError, TypeError):  # TypeError: something unhashable in the place of a type
        return StoredType(None)
    return StoredType(replace(found, nullable=True))


def stored_state(name: str, state: State, *, broadcast: bool = False) -> StoredState:
    """How a declared state is stored."""
    ttl = None
    if state.ttl is not None:
        ttl = micros(state.ttl)
    match state:
        case MapState():
            kind = Kind.BROADCAST if broadcast else Kind.MAP
            value, key = stored_type(state.value_type), stored_type(state.key_type)
            return StoredState(name, kind, value, key, ttl)
        case ListState():
            return StoredState(name, Kind.LIST, stored_type(state.type), None, ttl)
        case AggregatingState():
            kept = stored_type(_accumulator_type(state.aggregate))
            return StoredState(name, Kind.AGGREGATING, kept, None, ttl)
        case ReducingState():
            return StoredState(name, Kind.REDUCING, stored_type(state.type), None, ttl)
        case ValueState():
            return StoredState(name, Kind.VALUE, stored_type(state.type), None, ttl)
    raise TypeError(f"no stored form for {type(state).__name__}")


def _accumulator_type(aggregate: Any) -> Any:
    arguments = type_arguments(type(aggregate), Aggregate)
    return arguments[1] if len(arguments) > 1 else None


def reduce_states(rows: StreamType, default: Any = None) -> dict[str, State]:
    """The state of a reduce over rows of this type; `default` is what a key without any has."""
    kept: Any = object
    if rows.schema is not None:
        kept = rows.row_class or row_class(rows.schema)
    return {REDUCED: ValueState[Any](kept, default, None)}


def split_states(
    function: object, *, broadcast: bool
) -> tuple[Mapping[str, State], Mapping[str, State]]:
    """(per key, broadcast): the declared states of a function; with a broadcast input its maps are broadcast."""
    declared = declared_states(function)
    if not broadcast:
        return declared, {}
    shared = {n: s for n, s in declared.items() if isinstance(s, MapState)}
    return {n: s for n, s in declared.items() if n not in shared}, shared


def key_fields(keys: Sequence[KeyField]) -> list[pa.Field]:
    """The columns of the key."""
    return [pa.field(KEY_PREFIX + key.name, plain(key.type)) for key in keys]


def timer_fields() -> list[pa.Field]:
    """The columns behind the key's: time, and the order in which those of one subtask were due."""
    return [pa.field(TIMER_TIME, INSTANT), pa.field(TIMER_ORDER, pa.int64())]
