"""Sections of a snapshot as rows for a table's cells and timers: what table_sections.py writes, read back.

What was stored by an older declaration follows the current one here: types, times to live, keys. It must not know
where a table keeps its keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowjob.column_types import value_type_of_field
from flowjob.errors import SchemaError, StateMismatch
from flowjob.plan.stored_state import (
    EXPIRES,
    INSTANT,
    KEY_PREFIX,
    MAP_KEY,
    TIMER_ORDER,
    TIMER_TIME,
    VALUE,
    Kind,
    StoredState,
    StoredType,
)
from flowjob.runtime.batch import Int64s
from flowjob.runtime.checkpoint.sections import Part
from flowjob.runtime.state.cells import Dump
from flowjob.runtime.state.evolution import evolved
from flowjob.runtime.state.stored_values import ROWS, read_values
from flowjob.schema import row_class

SlotsOf = Callable[[pa.RecordBatch], list[int]]
"""The slots of the keys in the key columns of a piece of a section."""


@dataclass(frozen=True, slots=True)
class Ends:
    """How stored ends become those of entries. `ttl`: the declared one, µs; None: entries do not end."""

    ttl: int | None
    now: int

    def of(self, stored: pa.Array | None, count: int, meta: Mapping[str, Any]) -> list[int]:
        """An entry's time to live counts from its write, by the ttl declared now. What had none lives from now on."""
        if self.ttl is None:
            return []
        fresh = self.now + self.ttl
        if stored is None:
            return [fresh] * count
        written = self.ttl - int(meta.get("ttl", self.ttl))
        micros = stored.cast(INSTANT).view(pa.int64())
        return [fresh if end is None else end + written for end in micros.to_pylist()]


def rows_of(state: StoredState, part: Part, ends: Ends, slots_of: SlotsOf) -> Iterator[Dump]:
    """A part's rows, for `Cells.load`. `slots_of` gives the slots of the keys of a piece."""
    _check_kind(state, part)
    for batch in part.table.to_batches(max_chunksize=ROWS):
        if state.kind is Kind.LIST:
            yield _read_lists(state, batch, ends, part.meta, slots_of)
            continue
        slots = slots_of(batch)
        keys = [] if state.map_key is None else _read(state.map_key, batch, MAP_KEY)
        values = _read(state.value, batch, VALUE)
        yield Dump(slots, values, keys, ends.of(_optional(batch, EXPIRES), len(values), part.meta))


def broadcast_rows(state: StoredState, part: Part) -> dict[Any, Any]:
    """A broadcast map as it was."""
    _check_kind(state, part)
    content: dict[Any, Any] = {}
    assert state.map_key is not None
    for batch in part.table.to_batches(max_chunksize=ROWS):
        keys = _read(state.map_key, batch, MAP_KEY)
        content.update(zip(keys, _read(state.value, batch, VALUE)))
    return content


def timers_of(part: Part, slots_of: SlotsOf) -> tuple[list[int], list[int]]:
    """(times, slots) of a part's timers, in the order in which the former subtask would have fired them."""
    table = part.table
    slots = [slot for batch in table.to_batches(max_chunksize=ROWS) for slot in slots_of(batch)]
    times = _numbers(table.column(TIMER_TIME).cast(INSTANT))
    keys = [times]
    if TIMER_ORDER in table.column_names:
        keys.insert(0, _numbers(table.column(TIMER_ORDER)))
    order = np.lexsort(keys)
    return times[order].tolist(), np.array(slots, np.int64)[order].tolist()


def _numbers(column: pa.ChunkedArray) -> Int64s:
    chunks = [chunk.view(pa.int64()).to_numpy() for chunk in column.chunks]
    return np.concatenate([_NONE, *chunks])


_NONE: Int64s = np.empty(0, np.int64)


def key_columns(batch: pa.RecordBatch, types: Sequence[pa.DataType]) -> list[pa.Array]:
    """The key's columns, by position, as the types they have now."""
    names = [name for name in batch.schema.names if name.startswith(KEY_PREFIX)]
    if len(names) != len(types):
        raise StateMismatch(f"it has {len(names)} key columns, where the program has {len(types)}")
    columns = []
    for name, type in zip(names, types):
        try:
            value = value_type_of_field(pa.field(name, type), row_class)
            columns.append(evolved(batch.column(name), value))
        except SchemaError as error:
            raise StateMismatch(f"key column `{name}`: {error}") from error
    return columns


def _check_kind(state: StoredState, part: Part) -> None:
    stored = Kind(part.meta.get("kind", state.kind.value))
    if stored.shape is not state.kind.shape:
        raise StateMismatch(
            f"it holds a {stored.value} state, the program declares a {state.kind.value} state under this name: "
            "give the new one another name"
        )


def _read_lists(
    state: StoredState,
    batch: pa.RecordBatch,
    ends: Ends,
    meta: Mapping[str, Any],
    slots_of: SlotsOf,
) -> Dump:
    lists = batch.column(VALUE)
    lengths = pc.list_value_length(lists).fill_null(0).to_numpy().tolist()
    if not all(lengths):
        kept = pa.array([length > 0 for length in lengths])
        batch = batch.filter(kept)
        lists = batch.column(VALUE)
        lengths = [length for length in lengths if length]
    field = batch.schema.field(VALUE)
    items = lists.flatten()
    values = read_values(state.value, items, pa.field("item", items.type, metadata=field.metadata))
    stored = _optional(batch, EXPIRES)
    flat = ends.of(None if stored is None else stored.flatten(), len(values), meta)
    return Dump(slots_of(batch), _cut(values, lengths), ends=_cut(flat, lengths))


def _cut(values: list[Any], lengths: list[int]) -> list[Any]:
    if not values:
        return []
    pieces = []
    start = 0
    for length in lengths:
        pieces.append(values[start : start + length])
        start += length
    return pieces


def _read(stored: StoredType, batch: pa.RecordBatch, name: str) -> list[Any]:
    return read_values(stored, batch.column(name), batch.schema.field(name))


def _optional(batch: pa.RecordBatch, name: str) -> pa.Array | None:
    return batch.column(name) if name in batch.schema.names else None
