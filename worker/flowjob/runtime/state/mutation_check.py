"""A memory backend for tests that notices a stored value changed in place without being assigned again.

Such a change happens to work in memory and is lost with every other backend and with snapshots. Found at the next read
of that value, by comparing its pickled form; values that cannot be pickled are not checked."""

from __future__ import annotations

import pickle
from typing import Any

from flowjob.errors import StateError
from flowjob.runtime.state.backend import TableSpec
from flowjob.runtime.state.cells import MISSING, ValueCells
from flowjob.runtime.state.memory import MemoryTable
from flowjob.state import ValueState


class MutationCheckingBackend:
    """Like MemoryBackend; checks value states."""

    def table(self, spec: TableSpec) -> MemoryTable:
        table = MemoryTable(spec)
        for name, state in spec.states.items():
            if isinstance(state, ValueState):
                table.replace_bound(
                    name, _CheckedValue(f"state `{name}` of {spec.owner}", table, name)
                )
        return table


class _CheckedValue:
    """What the function sees: the bound value state, with a memory of what was written."""

    def __init__(self, label: str, table: MemoryTable, name: str) -> None:
        self._label = label
        self._table = table
        self._cells: ValueCells = table.bound[name]
        self._written: dict[int, tuple[Any, bytes]] = {}

    @property
    def value(self) -> Any:
        value = self._cells.value
        slot = self._table.scope.slot
        if slot is not None:
            written, before = self._written.get(slot, (MISSING, b""))
            if written is value and _pickled(value) != before:
                raise StateError(
                    f"{self._label}, key {self._table.key(slot)!r}: the stored value was changed in place and not "
                    f"assigned again; it is now {value!r}. Write `self.….value = changed` after changing it"
                )
        return value

    @value.setter
    def value(self, value: Any) -> None:
        self._cells.value = value
        slot, content = self._table.scope.slot, _pickled(value)
        if slot is not None and content:
            self._written[slot] = (value, content)
        elif slot is not None:
            self._written.pop(slot, None)

    def clear(self) -> None:
        self._cells.clear()


def _pickled(value: Any) -> bytes:
    try:
        return pickle.dumps(value)
    except Exception:  # noqa: BLE001 - whatever a value's own pickling raises: it is then not checked
        return b""
