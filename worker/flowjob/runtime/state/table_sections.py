"""A table's cells and timers as sections of a snapshot: rows to columns, the key's in front.

plan/stored_state.py says which columns there are; section_reading.py is the way back. Any backend can use these
functions: they must not know where a table keeps its keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flowjob.errors import StateError
from flowjob.plan.stored_state import INSTANT, Kind, StoredState, StoredType, timer_fields
from flowjob.runtime.batch import Int64s
from flowjob.runtime.checkpoint.sections import Distribution, Section, UInt64s
from flowjob.runtime.printing import shown
from flowjob.runtime.state.cells import Dump
from flowjob.runtime.state.stored_values import TooMuch, ValueRefused, in_pieces, write_values

_MOST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """The keys of a table as a snapshot has them.

    fields   the key columns
    columns  an array per field for some slots
    hashes   of slots
    named    the key of a slot, for messages
    """

    fields: Sequence[pa.Field]
    columns: Callable[[list[int]], list[pa.Array]]
    hashes: Callable[[Int64s], UInt64s]
    named: Callable[[int], Any]


def state_section(state: StoredState, label: str, rows: Dump, keys: StoredKeys) -> Section:
    """The section of one state. StateError, naming key and value, for a value that is not what was declared."""
    slots = rows.slots

    def make(piece: slice) -> list[pa.Array]:
        blame = _Blame(label, lambda row: keys.named(slots[piece][row]))
        return [*keys.columns(slots[piece]), *_content(state, rows, piece, blame)]

    table = _table([*keys.fields, *state.fields], make, len(slots), label)
    hashes = keys.hashes(np.array(slots, np.int64))
    return Section(state.section, Distribution.KEYED, table, hashes, state.meta)


def broadcast_section(state: StoredState, label: str, content: dict[Any, Any]) -> Section:
    """The section of a broadcast map."""
    rows = Dump([], list(content.values()), list(content))
    blame = _Blame(label, None)
    table = _table(
        state.fields, lambda piece: _content(state, rows, piece, blame), len(content), label
    )
    return Section(state.section, Distribution.BROADCAST, table, meta=state.meta)


def timer_section(name: str, times: list[int], slots: list[int], keys: StoredKeys) -> Section:
    """The section of the timers of one time domain, given in the order in which they would fire."""
    at = np.array(slots, np.int64)
    due, order = np.array(times, np.int64), np.arange(len(slots))

    def make(piece: slice) -> list[pa.Array]:
        return [*keys.columns(slots[piece]), _instants(due[piece]), pa.array(order[piece])]

    table = _table([*keys.fields, *timer_fields()], make, len(slots), name)
    return Section(name, Distribution.KEYED, table, keys.hashes(at))


def _table(
    fields: Sequence[pa.Field], make: Callable[[slice], list[pa.Array]], rows: int, label: str
) -> pa.Table:
    schema = pa.schema(fields)
    try:
        batches = [
            pa.RecordBatch.from_arrays(columns, schema=schema) for columns in in_pieces(make, rows)
        ]
    except TooMuch:
        raise StateError(
            f"{label}: what one key has is more than the 2 GB that a snapshot can store in one row"
        ) from None
    return pa.Table.from_batches(batches, schema)


@dataclass(frozen=True, slots=True)
class _Blame:
    """Who is to be named for row i of a piece."""

    label: str
    key_of: Callable[[int], Any] | None

    def error(
        self, what: str, declared: StoredType, row: int, value: Any, reason: str
    ) -> StateError:
        at = "" if self.key_of is None else f", key {shown(self.key_of(row), _MOST_SHOWN)}"
        return StateError(
            f"{self.label}{at}: the {what} {shown(value, _MOST_SHOWN)} does not fit the declared type, "
            f"stored as {declared}: {reason}. Assign what is declared, or declare `object`: that is stored pickled"
        )


def _content(state: StoredState, rows: Dump, piece: slice, blame: _Blame) -> list[pa.Array]:
    """The columns behind the key's."""
    values = rows.values[piece]
    columns: list[pa.Array] = []
    if state.map_key is not None:
        columns.append(_written("map key", state.map_key, rows.map_keys[piece], blame))
    if state.kind is Kind.LIST:
        columns.append(_lists(state, values, blame))
    else:
        columns.append(_written("value", state.value, values, blame))
    if state.ttl is not None:
        columns.append(_ends(state, rows.ends[piece]))
    return columns


def _written(what: str, stored: StoredType, values: list[Any], blame: _Blame) -> pa.Array:
    try:
        return write_values(stored, values)
    except ValueRefused as refused:
        row, reason = refused.index, refused.reason
        raise blame.error(what, stored, row, values[row], reason) from refused.__cause__


def _lists(state: StoredState, lists: list[list[Any]], blame: _Blame) -> pa.Array:
    elements = [value for values in lists for value in values]
    try:
        items = write_values(state.value, elements)
    except ValueRefused as refused:
        row = int(np.searchsorted(_offsets(lists), refused.index, "right")) - 1
        value = elements[refused.index]
        raise blame.error("element", state.value, row, value, refused.reason) from refused.__cause__
    return pa.ListArray.from_arrays(pa.array(_offsets(lists)), items, type=state.fields[0].type)


def _ends(state: StoredState, ends: list[Any]) -> pa.Array:
    if state.kind is not Kind.LIST:
        return _instants(np.array(ends, np.int64))
    flat = _instants(np.array([end for some in ends for end in some], np.int64))
    return pa.ListArray.from_arrays(pa.array(_offsets(ends)), flat, type=state.fields[-1].type)


def _offsets(lists: list[list[Any]]) -> npt.NDArray[np.int32]:
    offsets = np.zeros(len(lists) + 1, np.int32)
    np.cumsum([len(values) for values in lists], out=offsets[1:])
    return offsets


def _instants(micros: Int64s) -> pa.Array:
    return pa.array(micros).view(INSTANT)
