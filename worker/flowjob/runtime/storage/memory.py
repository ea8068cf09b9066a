"""An object store in memory, for tests and the simulation; its faults are whatever a hook says.

Several stores over one MemoryObjects are several clients of one server. It must not decide which faults happen: that is
the simulation's business."""

from __future__ import annotations

import bisect
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from flowjob.runtime.storage.object_store import ObjectInfo, ObjectMissing
from flowjob.runtime.storage.paths import check_name

CHANGES_KEPT = 64
"""So far back may a listing be out of date."""


class StoreFaults(Protocol):
    """Asked around every operation: `put`, `create`, `get`, `head`, `scan`, `delete`, `sweep`."""

    async def before(self, operation: str, name: str) -> None:
        """May wait, and may raise StorageError: then nothing has happened."""
        ...

    async def after(self, operation: str, name: str) -> None:
        """May wait, and may raise StorageError: then it has happened all the same."""
        ...

    def unseen(self, prefix: str) -> int:
        """How many of the newest changes a listing does not show yet."""
        ...


class NoFaults:
    """A store that always works, and at once."""

    async def before(self, operation: str, name: str) -> None:
        pass

    async def after(self, operation: str, name: str) -> None:
        pass

    def unseen(self, prefix: str) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class _Object:
    data: bytes
    modified: int


@dataclass(slots=True)
class MemoryObjects:
    """What the server holds. `undo` tells, newest last, what was there before each of the newest changes."""

    found: dict[str, _Object] = field(default_factory=dict)
    undo: list[tuple[str, _Object | None]] = field(default_factory=list)

    def change(self, name: str, new: _Object | None) -> None:
        self.undo.append((name, self.found.get(name)))
        del self.undo[:-CHANGES_KEPT]
        if new is None:
            self.found.pop(name, None)
        else:
            self.found[name] = new

    def as_before(self, changes: int) -> dict[str, _Object]:
        """The objects without the newest `changes`."""
        then = dict(self.found)
        for name, old in reversed(self.undo[max(0, len(self.undo) - changes) :]):
            if old is None:
                then.pop(name, None)
            else:
                then[name] = old
        return then


class MemoryStore:
    """See ObjectStore. `now` gives µs since the epoch, for the times of objects."""

    def __init__(
        self,
        objects: MemoryObjects | None = None,
        *,
        now: Callable[[], int] = lambda: 0,
        faults: StoreFaults | None = None,
        url: str = "memory://",
    ) -> None:
        self.objects = objects if objects is not None else MemoryObjects()
        self._now = now
        self._faults = faults or NoFaults()
        self._url = url

    @property
    def url(self) -> str:
        return self._url

    async def put(self, name: str, data: bytes | Path) -> None:
        check_name(name)
        await self._faults.before("put", name)
        content = data.read_bytes() if isinstance(data, Path) else bytes(data)  # noqa: ASYNC240 - tests only
        self.objects.change(name, _Object(content, self._now()))
        await self._faults.after("put", name)

    async def create(self, name: str, data: bytes) -> bool:
        check_name(name)
        await self._faults.before("create", name)
        is_new = name not in self.objects.found
        if is_new:
            self.objects.change(name, _Object(bytes(data), self._now()))
        await self._faults.after("create", name)
        return is_new

    async def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        check_name(name)
        await self._faults.before("get", name)
        found = self.objects.found.get(name)
        await self._faults.after("get", name)
        if found is None:
            raise ObjectMissing(f"{self._url}: there is no object {name}")
        return found.data[start:] if length is None else found.data[start : start + length]

    async def head(self, name: str) -> ObjectInfo | None:
        check_name(name)
        await self._faults.before("head", name)
        found = self.objects.found.get(name)
        await self._faults.after("head", name)
        return ObjectInfo(name, len(found.data), found.modified) if found else None

    async def scan(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        await self._faults.before("scan", prefix)
        then = self.objects.as_before(self._faults.unseen(prefix))
        names = sorted(then)
        names = names[bisect.bisect_left(names, prefix) :]
        await self._faults.after("scan", prefix)
        for name in names:
            if not name.startswith(prefix):
                return
            yield ObjectInfo(name, len(then[name].data), then[name].modified)

    async def delete(self, names: list[str]) -> None:
        for name in names:
            check_name(name)
            await self._faults.before("delete", name)
            if name in self.objects.found:
                self.objects.change(name, None)
            await self._faults.after("delete", name)

    async def sweep(self, prefix: str, before: int) -> None:
        await self._faults.before("sweep", prefix)
        await self._faults.after("sweep", prefix)

    async def close(self) -> None:
        pass
