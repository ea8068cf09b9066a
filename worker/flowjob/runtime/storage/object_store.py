"""What an object store must be able to do for us: few methods, all of them awaits.

Local directories, S3 and the simulation's store implement it (local.py, s3.py, memory.py), and all pass
flowjob.testing.check_object_store. It must not know what is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from flowjob.errors import ObjectMissing, StorageError

__all__ = ["ObjectInfo", "ObjectMissing", "ObjectStore", "StorageError"]


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """`modified`: µs since the epoch, UTC."""

    name: str
    size: int
    modified: int


class ObjectStore(Protocol):
    """Names are relative, of the form `a/b/c`, no segment beginning with a dot; no name is another one's directory.

    Every method may raise StorageError after its own bounded retries; the outcome of a write that raised is unknown."""

    @property
    def url(self) -> str:
        """For people and messages, without credentials: `s3://bucket/prefix`, `/path`."""
        ...

    async def put(self, name: str, data: bytes | Path) -> None:
        """Creates or replaces an object, whole or not at all. A file is streamed, or becomes the object where that is
        possible: it may be deleted afterwards, but never changed."""
        ...

    async def create(self, name: str, data: bytes) -> bool:
        """Creates an object only if there is none of that name; False when there is. Atomic among all writers."""
        ...

    async def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes of an object, all from `start` when `length` is None. Raises ObjectMissing; fewer bytes than asked for
        only at its end, none behind it."""
        ...

    async def head(self, name: str) -> ObjectInfo | None: ...

    def scan(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Every object whose name starts with `prefix`, in ascending order of names (of code points). What is written
        or deleted meanwhile may appear or not."""
        ...

    async def delete(self, names: list[str]) -> None:
        """Those that are not there are no error."""
        ...

    async def sweep(self, prefix: str, before: int) -> None:
        """Removes what writes below `prefix` that began before a time (µs since the epoch, UTC) and never ended have
        left: no object, but space. Finished objects are never touched."""
        ...

    async def close(self) -> None: ...
