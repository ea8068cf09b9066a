"""Bound states of the memory backend that never expire: one Python list per state, indexed by the key's slot.

An access is a list index. `slot` is None outside callbacks, which makes the index fail: that is turned into an
explanation without a check on the way of every access. A cleared slot is reported, so that its key can be freed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from sys import getsizeof
from typing import Any, NoReturn

from flowjob.errors import StateError
from flowjob.runtime.state.backend import Scope


class Missing(Enum):
    """What an empty cell holds: no value a user could store."""

    MISSING = "missing"


MISSING = Missing.MISSING


@dataclass(slots=True)
class Dump:
    """Rows of a snapshot, as lists side by side: for a map one row per entry, else one per key.

    values    for a list state the key's list
    map_keys  of map entries, else empty
    ends      when each is gone, µs, as a list for a list; None in it: never. Empty for states without ttl
    """

    slots: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    map_keys: list[Any] = field(default_factory=list)
    ends: list[Any] = field(default_factory=list)


class Cells:
    """Base: `cells[slot]` is the content of a key, MISSING when it has none."""

    __slots__ = ("_idle", "_label", "_scope", "cells")

    def __init__(self, label: str, scope: Scope, idle: list[int]) -> None:
        self._label = label
        self._scope = scope
        self._idle = idle
        self.cells: list[Any] = []

    def grow(self, slots: int) -> None:
        """Makes room for slots below `slots`."""
        self.cells.extend([MISSING] * (slots - len(self.cells)))

    def expire(self, start: int, stop: int) -> None:
        """Removes what has expired in slots start … stop."""

    def content(self, slot: int) -> Any:
        """What `entries` shows; MISSING when there is nothing."""
        return self.cells[slot]

    def dump(self) -> Dump:
        """Everything that has not expired, by slot; changes nothing."""
        slots = [slot for slot, cell in enumerate(self.cells) if cell is not MISSING]
        cells = self.cells
        return Dump(slots, [cells[slot] for slot in slots])

    def load(self, rows: Dump) -> None:
        """Adds rows as `dump` gave them; the cells are there, and no row is an empty list. With a ttl `ends` is
        complete."""
        cells = self.cells
        for slot, value in zip(rows.slots, rows.values):
            cells[slot] = value

    def sizes(self, slots: Sequence[int]) -> int:
        """About how many bytes the contents of these slots have."""
        return sum(size_of(self.cells[slot]) for slot in slots)

    def clear(self) -> None:
        self._drop(self._slot())

    def _slot(self) -> int:
        slot = self._scope.slot
        if slot is None:
            raise self._nowhere()
        return slot

    def _drop(self, slot: int) -> None:
        if self.cells[slot] is not MISSING:
            self.cells[slot] = MISSING
            self._idle.append(slot)

    def _nowhere(self) -> StateError:
        return StateError(
            f"{self._label} was used where there is no key: it belongs to the key of the row or timer that a callback "
            "was called for, not to open, close, on_broadcast or another thread"
        )

    def __repr__(self) -> str:
        slot = self._scope.slot
        shown = "no key" if slot is None else repr(self.content(slot))
        return f"<{self._label}: {shown}>"


class ValueCells(Cells):
    __slots__ = ("_default",)

    def __init__(self, label: str, scope: Scope, idle: list[int], default: Any) -> None:
        super().__init__(label, scope, idle)
        self._default = default

    @property
    def value(self) -> Any:
        try:
            value = self.cells[self._scope.slot]  # type: ignore[index]
        except TypeError:
            raise self._nowhere() from None
        return self._default if value is MISSING else value

    @value.setter
    def value(self, value: Any) -> None:
        try:
            self.cells[self._scope.slot] = value  # type: ignore[index]
        except TypeError:
            raise self._nowhere() from None

    def __bool__(self) -> bool:
        raise self._not_the_value()

    def __iadd__(self, other: Any) -> NoReturn:
        raise self._not_the_value()

    def _not_the_value(self) -> StateError:
        name = self._label.split("`")[1] if "`" in self._label else self._label
        return StateError(f"{self._label} is not its value: write `self.{name}.value`")


class ListCells(Cells):
    __slots__ = ()

    def load(self, rows: Dump) -> None:
        cells = self.cells
        for slot, values in zip(rows.slots, rows.values):
            if cells[slot] is MISSING:
                cells[slot] = values
            else:
                cells[slot].extend(values)

    def _read(self) -> list[Any]:
        content = self.cells[self._slot()]
        return [] if content is MISSING else content

    def append(self, value: Any) -> None:
        slot = self._slot()
        content = self.cells[slot]
        if content is MISSING:
            self.cells[slot] = [value]
        else:
            content.append(value)

    def extend(self, values: Iterable[Any]) -> None:
        for value in values:
            self.append(value)

    def update(self, values: Iterable[Any]) -> None:
        slot = self._slot()
        content = list(values)
        if content:
            self.cells[slot] = content
        else:
            self._drop(slot)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


class MapCells(Cells):
    __slots__ = ()

    def dump(self) -> Dump:
        rows = Dump()
        for slot, entries in enumerate(self.cells):
            if entries is not MISSING:
                rows.slots.extend([slot] * len(entries))
                rows.map_keys.extend(entries)
                rows.values.extend(entries.values())
        return rows

    def load(self, rows: Dump) -> None:
        cells = self.cells
        for slot, key, value in zip(rows.slots, rows.map_keys, rows.values):
            if cells[slot] is MISSING:
                cells[slot] = {key: value}
            else:
                cells[slot][key] = value

    def _read(self) -> dict[Any, Any]:
        content = self.cells[self._slot()]
        return {} if content is MISSING else content

    def __getitem__(self, key: Any) -> Any:
        return self._read()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        slot = self._slot()
        content = self.cells[slot]
        if content is MISSING:
            self.cells[slot] = {key: value}
        else:
            content[key] = value

    def __delitem__(self, key: Any) -> None:
        self.pop(key)

    def __contains__(self, key: object) -> bool:
        return key in self._read()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def get(self, key: Any, default: Any = None) -> Any:
        return self._read().get(key, default)

    def pop(self, key: Any, *default: Any) -> Any:
        content = self._read()
        value = content.pop(key, *default)
        if not content:
            self._drop(self._slot())
        return value

    def keys(self) -> Any:
        return self._read().keys()

    def values(self) -> Any:
        return self._read().values()

    def items(self) -> Any:
        return self._read().items()


def size_of(content: Any) -> int:
    """About the bytes of a value, a list or a dict with what is in it; for deciding, not for accounting."""
    if content is MISSING:
        return 0
    held = getsizeof(content)
    if isinstance(content, list | tuple | dict | set) and content:
        sample = list(islice(content.items() if isinstance(content, dict) else content, 8))
        held += len(content) * sum(map(_shallow, sample)) // len(sample)
    return held


def _shallow(value: Any) -> int:
    if isinstance(value, tuple):
        return sum(map(getsizeof, value))
    return getsizeof(value)
