"""An object store in a directory: on this machine, or on a file system that all machines share.

An object appears under its name by a rename or a link, when all its bytes are on disk; until then it waits under a
hidden name beside it. All of it runs in threads (Env.run_blocking), because disks block. It must not know what is
stored."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from flowjob.errors import ObjectMissing, StorageError
from flowjob.runtime.env import Random
from flowjob.runtime.storage.object_store import ObjectInfo
from flowjob.runtime.storage.paths import check_name

UNFINISHED = ".unfinished-"
"""Hidden names of objects that are being written begin so."""

RACES = 20
"""So often is a directory made again that a deletion has removed in the meantime."""

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class LocalStore:
    """See ObjectStore. `directory` is made at the first write."""

    def __init__(
        self, directory: str, chance: Random, run_blocking: Callable[..., Awaitable[Any]]
    ) -> None:
        self._root = os.path.abspath(directory)
        self._chance = chance
        self._run = run_blocking

    @property
    def url(self) -> str:
        return self._root

    async def put(self, name: str, data: bytes | Path) -> None:
        await self._run(self._write, check_name(name), data, self._chance.token(), _replace)

    async def create(self, name: str, data: bytes) -> bool:
        made: bool = await self._run(
            self._write, check_name(name), data, self._chance.token(), _link
        )
        return made

    async def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        data: bytes = await self._run(self._read, check_name(name), start, length)
        return data

    async def head(self, name: str) -> ObjectInfo | None:
        info: ObjectInfo | None = await self._run(self._look, check_name(name))
        return info

    async def scan(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """One directory after the other: no more than one is in memory at a time, but for the ones above it."""
        base, _, _ = prefix.rpartition("/")
        waiting: list[Iterator[ObjectInfo | str]] = [iter([base])]
        while waiting:
            found = next(waiting[-1], None)
            if found is None:
                waiting.pop()
            elif isinstance(found, ObjectInfo):
                yield found
            else:
                waiting.append(iter(await self._run(self._list, found, prefix)))

    async def delete(self, names: list[str]) -> None:
        await self._run(self._delete, [check_name(name) for name in names])

    async def sweep(self, prefix: str, before: int) -> None:
        await self._run(self._sweep, prefix, before)

    async def close(self) -> None:
        pass

    def _path(self, name: str) -> str:
        return os.path.join(self._root, *name.split("/"))

    def _write(
        self, name: str, data: bytes | Path, token: str, publish: Callable[[str, str], bool]
    ) -> bool:
        path = self._path(name)
        hidden = os.path.join(os.path.dirname(path), UNFINISHED + token)
        with self._told("write", path):
            try:
                self._write_hidden(hidden, data)
                made = publish(hidden, path)
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(hidden)  # it is gone after a rename
            _sync_directory(os.path.dirname(path))
        return made

    def _write_hidden(self, hidden: str, data: bytes | Path) -> None:
        for left in reversed(range(RACES)):
            self._make_directories(os.path.dirname(hidden))
            try:
                if isinstance(data, Path) and _take_over(data, hidden):
                    return
                with open(hidden, "xb") as file:
                    if isinstance(data, Path):
                        with open(data, "rb") as source:
                            shutil.copyfileobj(source, file, 1 << 20)
                    else:
                        file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                return
            except FileNotFoundError:  # the directory has been deleted, for it was empty
                if not left or (isinstance(data, Path) and not data.exists()):
                    raise

    def _make_directories(self, directory: str) -> None:
        """Makes what is missing down to `directory`, each entry safe on disk."""
        if os.path.isdir(directory):
            return
        above = os.path.dirname(directory)
        if above != directory:
            self._make_directories(above)
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            os.mkdir(directory)
            _sync_directory(above)

    def _read(self, name: str, start: int, length: int | None) -> bytes:
        path = self._path(name)
        try:
            with self._told("read", path), open(path, "rb") as file:
                file.seek(start)
                return file.read() if length is None else file.read(length)
        except (FileNotFoundError, IsADirectoryError):
            raise ObjectMissing(f"{path}: there is no such object") from None

    def _look(self, name: str) -> ObjectInfo | None:
        path = self._path(name)
        with self._told("look at", path), contextlib.suppress(FileNotFoundError):
            if not os.path.isdir(path):
                return _info(name, os.stat(path))
        return None

    def _list(self, directory: str, prefix: str) -> list[ObjectInfo | str]:
        """Objects and directories of one directory as far as `prefix` goes, in the order in which full names sort."""
        path = self._path(directory) if directory else self._root
        found: list[tuple[str, ObjectInfo | str]] = []
        try:
            with self._told("list", path), os.scandir(path) as entries:
                for entry in entries:
                    name = f"{directory}/{entry.name}" if directory else entry.name
                    is_directory = entry.is_dir()
                    key = f"{name}/" if is_directory else name
                    if entry.name.startswith(".") or not key.startswith(prefix):
                        continue
                    with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                        found.append((key, name if is_directory else _info(name, entry.stat())))
        except FileNotFoundError:
            return []
        return [item for _, item in sorted(found, key=lambda pair: pair[0])]

    def _delete(self, names: list[str]) -> None:
        for name in names:
            path = self._path(name)
            # A directory is no object, so there is none of that name.
            absent = contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError)
            with self._told("delete", path), absent:
                os.unlink(path)
            self._remove_empty(os.path.dirname(path))

    def _remove_empty(self, directory: str) -> None:
        """`directory` and those above it that hold nothing any more. The root stays: somebody has made it."""
        with contextlib.suppress(OSError):
            while directory.startswith(self._root + os.sep):
                os.rmdir(directory)
                directory = os.path.dirname(directory)

    def _sweep(self, prefix: str, before: int) -> None:
        base, _, _ = prefix.rpartition("/")
        for directory, _, files in os.walk(self._path(base) if base else self._root, topdown=False):
            inside = os.path.relpath(directory, self._root).replace(os.sep, "/") + "/"
            if not inside.startswith(prefix) and prefix:
                continue
            for file in files:
                path = os.path.join(directory, file)
                with contextlib.suppress(FileNotFoundError):
                    is_old = os.stat(path).st_mtime_ns // 1000 < before
                    if file.startswith(UNFINISHED) and is_old:
                        os.unlink(path)
            self._remove_empty(directory)

    @contextlib.contextmanager
    def _told(self, operation: str, path: str) -> Iterator[None]:
        """Turns what the system says into a StorageError with a remedy; absence is for the caller to judge."""
        try:
            yield
        except (FileNotFoundError, IsADirectoryError) as error:
            if operation != "write":
                raise
            raise StorageError(
                f"cannot write {path}: {error.filename}: {error.strerror}"
            ) from error
        except OSError as error:
            raise StorageError(
                f"cannot {operation} {path}: {error.strerror or error}{_remedy(error, self._root)}"
            ) from error


def _remedy(error: OSError, root: str) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f". Free some space, or keep checkpoints elsewhere than in {root}"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f". Let this user write in {root}, or keep checkpoints elsewhere"
        case errno.ENOTDIR | errno.EEXIST:
            return f". {root} and what lies in it must be directories of the store's own"
        case _:
            return ""


def _replace(hidden: str, path: str) -> bool:
    os.replace(hidden, path)
    return True


def _link(hidden: str, path: str) -> bool:
    """Gives the object its name unless that is taken. A link is atomic on every file system that has them."""
    try:
        os.link(hidden, path)
    except FileExistsError:
        # Over NFS the first of two tries may have worked and its answer been lost: then the file has both names.
        return os.stat(hidden).st_nlink == 2
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        raise StorageError(
            f"cannot create {path}: this file system has no hard links, without which two JobManagers could commit at "
            "the same time. Keep checkpoints on another file system, or in S3"
        ) from error
    return True


def _take_over(path: Path, hidden: str) -> bool:
    """Gives the file another name instead of copying it; False where that cannot be, as on another file system."""
    try:
        os.link(path, hidden)
    except FileNotFoundError:
        raise
    except OSError:
        return False
    os.utime(hidden)  # sweeping judges by the time at which the write began
    descriptor = os.open(hidden, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True


def _info(name: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(name, status.st_size, status.st_mtime_ns // 1000)


def _sync_directory(directory: str) -> None:
    """Makes names in it survive a power cut; some network file systems cannot, and need not."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
