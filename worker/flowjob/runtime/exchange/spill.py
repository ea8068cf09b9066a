"""Batches of blocked channels on local disk, so that their producers need not stop while a task aligns.

A file per gate, only ever appended to while something in it is wanted, and emptied when nothing is. It must not know
channels or credit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from flowjob.runtime.exchange.serialization import WireFormat


@dataclass(frozen=True, slots=True)
class Spilled:
    """Where a frame is in the file, and its flags."""

    offset: int
    length: int
    flags: int


class Spill:
    """At most `limit` bytes. `full(reason)` is called when there is no more room, once until it is `restart`ed: from
    then on nothing is taken."""

    def __init__(self, path: Path, limit: int, full: Callable[[str], None]) -> None:
        self._path = path
        self._limit = limit
        self._full = full
        self._file: BinaryIO | None = None
        self._size = 0
        self._wanted = 0
        self._open = True

    def put(self, wire: WireFormat, flags: int, body: Any, size: int) -> Spilled | None:
        """Writes a frame; None when it has to stay where it is. `flags` below 0: `body` is a batch of this process."""
        if not self._open:
            return None
        if flags < 0:
            ((flags, body, size),) = wire.encode(body, 1 << 62, 1 << 62)
        if self._size + size > self._limit:
            self._stop(
                f"more than {self._limit:,} bytes came behind barriers while others were missing"
            )
            return None
        try:
            if self._file is None:
                self._file = self._path.open("w+b", buffering=0)
            self._file.seek(self._size)
            view = memoryview(body).cast("B")[:size]
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            self._stop(
                f"what came behind barriers could not be kept in {self._path}: {error.strerror}"
            )
            return None
        spilled = Spilled(self._size, size, flags)
        self._size += size
        self._wanted += 1
        return spilled

    def take(self, spilled: Spilled) -> Any:
        """The frame's body, which is not wanted any more after that."""
        assert self._file is not None
        self._file.seek(spilled.offset)
        data = self._file.read(spilled.length)
        self._wanted -= 1
        if self._wanted == 0:
            self._size = 0
            self._file.truncate(0)
        return pa.py_buffer(data)

    def restart(self) -> None:
        """No channel is blocked any more: what comes next may have the room that is left."""
        self._open = True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            self._path.unlink(missing_ok=True)

    def _stop(self, reason: str) -> None:
        self._open = False
        self._full(reason)
