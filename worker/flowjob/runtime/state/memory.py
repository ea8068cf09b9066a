"""The memory backend: a group index from keys to slots, and Python lists by slot.

Slots are numbered densely and freed for reuse once a key has neither state nor timers. Not thread-safe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from flowjob.aggregates import plain
from flowjob.errors import StateMismatch
from flowjob.kernels.group_index import GroupIndex
from flowjob.kernels.keys import encode_keys
from flowjob.plan.stored_state import KEY_PREFIX, PROCESSING_TIMERS, TIMERS, stored_state
from flowjob.plan.types import KeyField
from flowjob.runtime.checkpoint.sections import RestoredState, Section
from flowjob.runtime.state.backend import Scope, TableSpec
from flowjob.runtime.state.cells import MISSING, Cells, ListCells, MapCells, ValueCells
from flowjob.runtime.state.expiring import (
    ExpiringListCells,
    ExpiringMapCells,
    ExpiringValueCells,
)
from flowjob.runtime.state.folding import Aggregating, Reducing
from flowjob.runtime.state.section_reading import Ends, key_columns, rows_of, timers_of
from flowjob.runtime.state.stored_values import whole
from flowjob.runtime.state.table_sections import StoredKeys, state_section, timer_section
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
        self._spec = spec
        self._stored = [stored_state(name, state) for name, state in spec.states.items()]
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
        return low % self._spec.max_parallelism

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

    def snapshot(self) -> Iterator[Section]:
        keys = self._stored_keys()
        for state in self._stored:
            label = f"state `{state.name}` of {self._spec.owner}"
            yield state_section(state, label, self._cells[state.name].dump(), keys)
        for name, timers in self._timer_sections:
            entries = list(timers.entries())
            times, slots = [t for t, _ in entries], [s for _, s in entries]
            yield timer_section(name, times, slots, keys)

    def restore(self, state: RestoredState) -> None:
        for stored in self._stored:
            cells, ends = self._cells[stored.name], Ends(stored.ttl, self.scope.now)
            for part in state.parts(stored.section):
                with self._blaming(stored.section):
                    for rows in rows_of(stored, part, ends, self._slots_of):
                        cells.load(rows)
        for name, timers in self._timer_sections:
            for part in state.parts(name):
                with self._blaming(name):
                    timers.load(*timers_of(part, self._slots_of))

    @property
    def nbytes(self) -> int:
        slots = len(self._keys)
        sampled = range(0, slots, slots // _SAMPLE + 1)
        held = sum(cells.sizes(sampled) for cells in self._cells.values())
        contents = held * slots // max(len(sampled), 1)
        places = slots * (_KEY_BYTES + 8 * len(self._cells))
        timers = self.timers.nbytes + self.processing_timers.nbytes
        return int(contents + places + timers + self._index.nbytes)

    @property
    def _timer_sections(self) -> tuple[tuple[str, Timers], ...]:
        return (TIMERS, self.timers), (PROCESSING_TIMERS, self.processing_timers)

    def _stored_keys(self) -> StoredKeys:
        types, keys = self._spec.types, self._keys
        names = self._spec.key_names or tuple(map(str, range(len(types))))
        fields = [pa.field(KEY_PREFIX + name, plain(type)) for name, type in zip(names, types)]

        def columns(slots: list[int]) -> list[pa.Array]:
            some = [keys[slot] for slot in slots]
            parts = [some] if len(types) == 1 else [[k[i] for k in some] for i in range(len(types))]
            return [whole(pa.array(part, field.type)) for part, field in zip(parts, fields)]

        return StoredKeys(fields, columns, self._index.hashes, self.key)

    def _slots_of(self, stored: pa.RecordBatch) -> list[int]:
        """The slots of the keys in rows of a snapshot; new ones are admitted without doubt about their use."""
        arrays = key_columns(stored, [plain(type) for type in self._spec.types])
        found = self._index.upsert(encode_keys(arrays, stored.num_rows))
        if len(found.new_rows):
            self._admit(found.new_slots.tolist(), arrays, found.new_rows)
        slots: list[int] = found.slots.tolist()
        return slots

    @contextmanager
    def _blaming(self, section: str) -> Iterator[None]:
        try:
            yield
        except StateMismatch as error:
            raise StateMismatch(
                f"section `{section}` of {self._spec.owner} cannot be restored: {error}"
            ) from error

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


_SAMPLE = 64
"""Slots looked at for an estimate of the memory used."""

_KEY_BYTES = 72
"""About what a key costs as an object."""
