"""The memory backend: a group index from keys to slots, and Python lists by slot.

Slots are numbered densely and freed for reuse once a key has neither state nor timers. Not thread-safe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from flowjob.kernels.group_index import GroupIndex
from flowjob.kernels.keys import encode_keys
from flowjob.plan.types import KeyField
from flowjob.runtime.state.backend import Scope, TableSpec
from flowjob.runtime.state.cells import MISSING, Cells, ListCells, MapCells, ValueCells
from flowjob.runtime.state.expiring import (
    ExpiringListCells,
    ExpiringMapCells,
    ExpiringValueCells,
)
from flowjob.runtime.state.folding import Aggregating, Reducing
from flowjob.runtime.state.timers import Timers
from flowjob.state import (
    AggregatingState,
    ListState,
    MapState,
    ReducingState,
    State,
    ValueState,
)
from flowjob.watermarks import micros


class MemoryBackend:
    """Everything in this process's memory."""

    def table(self, spec: TableSpec) -> MemoryTable:
        return MemoryTable(spec)


class MemoryTable:
    """See KeyedTable."""

    def __init__(self, spec: TableSpec) -> None:
        self.scope = Scope()
        self._idle: list[int] = []  # slots that may have nothing left
        self.timers = Timers(self._idle)
        self.processing_timers = Timers(self._idle)
        self._max_parallelism = spec.max_parallelism
        self._index = GroupIndex()
        self._keys: list[Any] = []
        self._bound: dict[str, Any] = {}
        self._cells: dict[str, Cells] = {}
        self._expiring: list[Cells] = []
        self._swept = 0
        for name, state in spec.states.items():
            cells, self._bound[name] = self._bind(f"state `{name}` of {spec.owner}", state)
            self._cells[name] = cells
            if state.ttl is not None:
                self._expiring.append(cells)

    @property
    def bound(self) -> Mapping[str, Any]:
        return self._bound

    def replace_bound(self, name: str, bound: Any) -> None:
        """Puts a wrapper in the place of a bound state (mutation_check)."""
        self._bound[name] = bound

    def locate(self, columns: pa.RecordBatch, keys: Sequence[KeyField]) -> list[int]:
        arrays = [columns.column(key.column) for key in keys]
        found = self._index.upsert(encode_keys(arrays, columns.num_rows))
        if len(found.new_rows):
            new = found.new_slots.tolist()
            self._admit(new, arrays, found.new_rows)
            # A key that gets no state while its first rows are processed needs no slot after them.
            self._idle.extend(new)
        slots: list[int] = found.slots.tolist()
        return slots

    def _admit(self, new: list[int], arrays: list[pa.Array], rows: Any) -> None:
        limit = self._index.slot_limit
        if limit > len(self._keys):
            self._keys.extend([None] * (limit - len(self._keys)))
            for cells in self._cells.values():
                cells.grow(limit)
        values = [array.take(pa.array(rows)).to_pylist() for array in arrays]
        named = values[0] if len(values) == 1 else list(zip(*values)) or [()] * len(new)
        for slot, key in zip(new, named):
            self._keys[slot] = key

    def key(self, slot: int) -> Any:
        return self._keys[slot]

    def key_group(self, slot: int) -> int:
        low = int(self._index.hashes(np.array([slot]))[0]) & 0xFFFF_FFFF
        return low % self._max_parallelism

    def settle(self, work: int) -> None:
        if self._expiring:
            self._sweep(work)
        if self._idle:
            self._release()

    def __len__(self) -> int:
        return len(self._index)

    def entries(self, state: str) -> Iterator[tuple[Any, Any]]:
        cells = self._cells[state]
        for slot in range(len(cells.cells)):
            content = cells.content(slot)
            if content is not MISSING:
                yield self._keys[slot], content

    def _release(self) -> None:
        columns = [cells.cells for cells in self._cells.values()]
        timers, processing = self.timers, self.processing_timers
        free = [
            slot
            for slot in sorted(set(self._idle))
            if all(column[slot] is MISSING for column in columns)
            and not timers.holds(slot)
            and not processing.holds(slot)
        ]
        self._idle.clear()
        if free:
            self._index.release(np.array(free, np.int64))
            for slot in free:
                self._keys[slot] = None

    def _sweep(self, work: int) -> None:
        """Goes round all slots, some at a time: memory follows expiry with bounded work per call."""
        slots = len(self._keys)
        start = self._swept if self._swept < slots else 0
        stop = min(start + work, slots)
        for cells in self._expiring:
            cells.expire(start, stop)
        self._swept = stop

    def _bind(self, label: str, state: State) -> tuple[Cells, Any]:
        """The cells of a declared state, and what the function gets to see of them."""
        cells: Cells
        ttl = None if state.ttl is None else micros(state.ttl)
        place = (label, self.scope, self._idle)
        match state:
            case ListState():
                cells = ListCells(*place) if ttl is None else ExpiringListCells(*place, ttl)
                return cells, cells
            case MapState():
                cells = MapCells(*place) if ttl is None else ExpiringMapCells(*place, ttl)
                return cells, cells
        default = state.default if isinstance(state, ValueState) else MISSING
        values = (
            ValueCells(*place, default) if ttl is None else ExpiringValueCells(*place, default, ttl)
        )
        match state:
            case ValueState():
                return values, values
            case ReducingState():
                return values, Reducing(values, state.function)
            case AggregatingState():
                return values, Aggregating(values, state.aggregate)
        raise TypeError(f"{label}: the memory backend has no {type(state).__name__}")
