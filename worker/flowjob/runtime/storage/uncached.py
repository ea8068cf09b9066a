"""Files that are written past the page cache: state that is to be safe on disk at once and not read again.

Why: a page of the cache must be found, filled and written back, which costs a busy machine several times what handing
the bytes to the disk does. Where a file system cannot do that, files are written as any other. It must not know what
is written."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
from pathlib import Path
from typing import Any, Protocol

from flowjob.runtime.storage.opening import directory_of

STAGED = 1 << 20
"""Bytes handed to the disk at once; a multiple of any disk's sectors."""

_DIRECT = getattr(os, "O_DIRECT", 0)


class Appended(Protocol):
    """What is needed of a file that is written from its begin to its end."""

    def write(self, data: Any, /) -> int: ...

    def tell(self) -> int: ...


class UncachedFile:
    """A new file. Use it as a context manager: the last bytes are written when that ends without a failure."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._staged: Any = None
        self._filled = 0
        self._written = 0

    def __enter__(self) -> UncachedFile:
        self._descriptor = _create(self._path)
        self._staged = mmap.mmap(-1, STAGED)  # begins at a page, as direct writes must
        return self

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        at = 0
        while at < len(view):
            count = min(STAGED - self._filled, len(view) - at)
            self._staged[self._filled : self._filled + count] = view[at : at + count]
            self._filled += count
            at += count
            if self._filled == STAGED:
                self._hand_over()
        return len(view)

    def tell(self) -> int:
        return self._written + self._filled

    def __exit__(self, failed: object, *_: object) -> None:
        try:
            if failed is None and self._filled:
                _as_others(self._descriptor)  # what is left need not fill whole sectors
                self._hand_over()
        finally:
            os.close(self._descriptor)
            self._staged = None

    def _hand_over(self) -> None:
        with memoryview(self._staged) as staged:
            _write_all(self._descriptor, staged[: self._filled])
        self._written += self._filled
        self._filled = 0


def becomes_the_object(location: str, directory: Path) -> bool:
    """Whether a file in `directory` is not read again when it is stored: the store is a directory of the same disk."""
    root = directory_of(location)
    if root is None:
        return False
    with contextlib.suppress(OSError):
        return os.stat(_nearest(Path(root).absolute())).st_dev == os.stat(directory).st_dev
    return False


def _nearest(root: Path) -> Path:
    """The directory of the store, or the one it will be made in."""
    return next((p for p in (root, *root.parents) if p.exists()), root)


def _create(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags | _DIRECT, 0o600)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    with contextlib.suppress(FileNotFoundError):  # it may have been made before that was refused
        os.unlink(path)
    return os.open(path, flags, 0o600)


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        try:
            written = os.write(descriptor, data)
        except OSError as error:
            if error.errno != errno.EINVAL or not _is_direct(descriptor):
                raise
            written = 0
        if written < len(data):  # what is left begins at no sector, or this is not done here
            _as_others(descriptor)
        data = data[written:]


def _is_direct(descriptor: int) -> bool:
    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & _DIRECT)


def _as_others(descriptor: int) -> None:
    """From here on through the page cache."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags & ~_DIRECT)
