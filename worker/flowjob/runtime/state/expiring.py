"""Bound states with a time to live: each entry is gone `ttl` after its last write, by the wall clock of the scope.

An expired entry is never seen; its memory is freed when it is met by an access or by the sweep of `expire`. Values are
kept beside their expiry, so that states without ttl pay nothing."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import Any

from flowjob.runtime.state.backend import Scope
from flowjob.runtime.state.cells import MISSING, Cells, Dump, ListCells, MapCells, ValueCells


class ExpiringValueCells(ValueCells):
    """`_ends[slot]`: when the value is gone, µs."""

    __slots__ = ("_ends", "_ttl")

    def __init__(self, label: str, scope: Scope, idle: list[int], default: Any, ttl: int) -> None:
        super().__init__(label, scope, idle, default)
        self._ttl = ttl
        self._ends: list[int] = []

    def grow(self, slots: int) -> None:
        super().grow(slots)
        self._ends.extend([0] * (slots - len(self._ends)))

    @property
    def value(self) -> Any:
        scope = self._scope
        try:
            value = self.cells[scope.slot]  # type: ignore[index]
        except TypeError:
            raise self._nowhere() from None
        if value is MISSING or self._ends[scope.slot] <= scope.now:  # type: ignore[index]
            return self._default
        return value

    @value.setter
    def value(self, value: Any) -> None:
        scope = self._scope
        try:
            self.cells[scope.slot] = value  # type: ignore[index]
        except TypeError:
            raise self._nowhere() from None
        self._ends[scope.slot] = scope.now + self._ttl  # type: ignore[index]

    def content(self, slot: int) -> Any:
        return self.cells[slot] if self._ends[slot] > self._scope.now else MISSING

    def dump(self) -> Dump:
        cells, ends, now = self.cells, self._ends, self._scope.now
        slots = [
            slot for slot, cell in enumerate(cells) if cell is not MISSING and ends[slot] > now
        ]
        return Dump(slots, [cells[s] for s in slots], ends=[ends[s] for s in slots])

    def load(self, rows: Dump) -> None:
        super().load(rows)
        for slot, end in zip(rows.slots, rows.ends):
            self._ends[slot] = end

    def expire(self, start: int, stop: int) -> None:
        now = self._scope.now
        for slot, end in enumerate(self._ends[start:stop], start):
            if end <= now:
                self._drop(slot)


class ExpiringListCells(ListCells):
    """A cell is [(value, end), …]: in order of writing, hence of expiry."""

    __slots__ = ("_ttl",)

    def __init__(self, label: str, scope: Scope, idle: list[int], ttl: int) -> None:
        super().__init__(label, scope, idle)
        self._ttl = ttl

    def _live(self, slot: int) -> list[Any]:
        content: Any = self.cells[slot]
        if content is MISSING:
            return []
        now = self._scope.now
        gone = next((i for i, (_, end) in enumerate(content) if end > now), len(content))
        if gone == len(content):
            self._drop(slot)
            return []
        if gone:
            del content[:gone]
        return [value for value, _ in content]

    def _read(self) -> list[Any]:
        return self._live(self._slot())

    def append(self, value: Any) -> None:
        super().append((value, self._scope.now + self._ttl))

    def update(self, values: Iterable[Any]) -> None:
        end = self._scope.now + self._ttl
        super().update((value, end) for value in values)

    def content(self, slot: int) -> Any:
        return self._live(slot) or MISSING

    def dump(self) -> Dump:
        rows, now = Dump(), self._scope.now
        for slot, cell in enumerate(self.cells):
            live = [] if cell is MISSING else [pair for pair in cell if pair[1] > now]
            if live:
                rows.slots.append(slot)
                rows.values.append([value for value, _ in live])
                rows.ends.append([end for _, end in live])
        return rows

    def load(self, rows: Dump) -> None:
        # What comes later never ends earlier: `_live` stops at the first that has not expired.
        pairs = [
            list(zip(values, accumulate(ends, max))) for values, ends in zip(rows.values, rows.ends)
        ]
        super().load(Dump(rows.slots, pairs))

    def expire(self, start: int, stop: int) -> None:
        now = self._scope.now
        for slot in range(start, min(stop, len(self.cells))):
            cell = self.cells[slot]
            if cell is not MISSING and cell[0][1] <= now:
                self._live(slot)


class ExpiringMapCells(MapCells):
    """A cell is {key: (value, end)}, the longest unwritten entry first: expired ones are in front."""

    __slots__ = ("_ttl",)

    def __init__(self, label: str, scope: Scope, idle: list[int], ttl: int) -> None:
        super().__init__(label, scope, idle)
        self._ttl = ttl

    def _purge(self, slot: int) -> dict[Any, Any]:
        content: Any = self.cells[slot]
        if content is MISSING:
            return {}
        now = self._scope.now
        gone: list[Any] = []
        for key, (_, end) in content.items():
            if end > now:
                break
            gone.append(key)
        for key in gone:
            del content[key]
        if not content:
            self._drop(slot)
        return content  # type: ignore[no-any-return]

    def _read(self) -> dict[Any, Any]:
        return {key: value for key, (value, _) in self._purge(self._slot()).items()}

    def _entry(self, key: Any) -> Any:
        """(value, end), or MISSING. One entry is looked at, not all."""
        content: Any = self.cells[self._slot()]
        if content is MISSING:
            return MISSING
        entry = content.get(key, MISSING)
        return entry if entry is MISSING or entry[1] > self._scope.now else MISSING

    def __getitem__(self, key: Any) -> Any:
        entry = self._entry(key)
        if entry is MISSING:
            raise KeyError(key)
        return entry[0]

    def __setitem__(self, key: Any, value: Any) -> None:
        slot = self._slot()
        content = self.cells[slot]
        entry = (value, self._scope.now + self._ttl)
        if content is MISSING:
            self.cells[slot] = {key: entry}
        else:
            content.pop(key, None)  # writing moves it to the end
            content[key] = entry

    def __contains__(self, key: object) -> bool:
        return self._entry(key) is not MISSING

    def __len__(self) -> int:
        return len(self._purge(self._slot()))

    def get(self, key: Any, default: Any = None) -> Any:
        entry = self._entry(key)
        return default if entry is MISSING else entry[0]

    def pop(self, key: Any, *default: Any) -> Any:
        entry = self._entry(key)
        if entry is MISSING:
            if default:
                return default[0]
            raise KeyError(key)
        slot = self._slot()
        content = self.cells[slot]
        del content[key]
        if not content:
            self._drop(slot)
        return entry[0]

    def content(self, slot: int) -> Any:
        return {key: value for key, (value, _) in self._purge(slot).items()} or MISSING

    def dump(self) -> Dump:
        rows, now = Dump(), self._scope.now
        for slot, cell in enumerate(self.cells):
            if cell is MISSING:
                continue
            for key, (value, end) in cell.items():
                if end > now:
                    rows.slots.append(slot)
                    rows.map_keys.append(key)
                    rows.values.append(value)
                    rows.ends.append(end)
        return rows

    def load(self, rows: Dump) -> None:
        cells = self.cells
        mixed: set[int] = set()
        for slot, key, entry in zip(rows.slots, rows.map_keys, zip(rows.values, rows.ends)):
            cell = cells[slot]
            if cell is MISSING:
                cells[slot] = {key: entry}
                continue
            cell.pop(key, None)
            if cell and entry[1] < next(reversed(cell.values()))[1]:
                mixed.add(
                    slot
                )  # of a snapshot made by hand: `_purge` stops at the first live entry
            cell[key] = entry
        for slot in mixed:
            cells[slot] = dict(sorted(cells[slot].items(), key=lambda item: item[1][1]))

    def expire(self, start: int, stop: int) -> None:
        for slot in range(start, min(stop, len(self.cells))):
            if self.cells[slot] is not MISSING:
                self._purge(slot)


__all__ = ["Cells", "ExpiringListCells", "ExpiringMapCells", "ExpiringValueCells"]
