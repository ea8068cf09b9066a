"""Work on snapshots without a live job: verify one, dispose of one, import one, discard all checkpoints of a job.

Each may be done again, and says then what it finds; where there is no storage at all (a volume that is not mounted)
that nothing is left is never said. A checkpoint is never disposed of by its path: checkpoints go all
together, by the job's log, as a new leader that retires them. Whether a savepoint is still wanted is for who asks to
know. It must not know where answers go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec.structs

from flowjob.cluster.job_file import JobFile
from flowjob.cluster.places import job_paths, store_of
from flowjob.cluster.preflight_answer import StorageAnswer
from flowjob.errors import DamagedSnapshot, FlowjobError, SnapshotError, StorageError
from flowjob.runtime.checkpoint.manifest import Manifest
from flowjob.runtime.checkpoint.manifest_io import (
    delete_snapshot,
    digest,
    encode_manifest,
    is_unfinished_savepoint,
    read_manifest,
)
from flowjob.runtime.checkpoint.places import snapshot_place, whole_place
from flowjob.runtime.checkpoint.verifying import all_parts, check_objects, verify_snapshot
from flowjob.runtime.env import StoreLocation
from flowjob.runtime.real.env import real_env
from flowjob.runtime.storage.discarding import discard_checkpoints
from flowjob.runtime.storage.object_store import ObjectStore
from flowjob.runtime.storage.opening import directory_of
from flowjob.runtime.storage.paths import MANIFEST, join, prefix_of

SHOWN = 3
"""Problems of a damaged snapshot that are told."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """A snapshot's place: `directory` in a store."""

    store: ObjectStore
    directory: str
    path: str

    @property
    def url(self) -> str:
        return f"{self.store.url.rstrip('/')}/{self.directory}".rstrip("/")


def verify(file: JobFile, path: str, directory: Path) -> StorageAnswer:
    """Reads every byte of a snapshot. `directory`: scratch space, as in all of these."""
    return _answer(path, _on_snapshot(file, path, directory, _verify))


def import_snapshot(file: JobFile, path: str, directory: Path) -> StorageAnswer:
    """What there is to know of a snapshot that somebody has made elsewhere: whether all of it is there, its checksum,
    its size. Nothing is copied; its bytes are judged by `verify`, and when they are read."""
    return _answer(path, _on_snapshot(file, path, directory, _import))


def dispose(file: JobFile, path: str, directory: Path) -> StorageAnswer:
    """Deletes a savepoint: one below the job's own savepoints, finished or not, or any that has its manifest. A
    checkpoint is its job's, and is refused."""
    return _answer(path, _on_snapshot(file, path, directory, lambda at: _dispose(at, file)))


def discard(file: JobFile, directory: Path) -> StorageAnswer:
    """Deletes all checkpoints of a job that runs no more, and its log's memory of them: it can never be continued. Its
    savepoints stay, and the artifacts that they may need."""
    return _answer("", _discard(file, directory))


def _answer(path: str, work: Coroutine[Any, Any, StorageAnswer]) -> StorageAnswer:
    try:
        found = asyncio.run(work)
    except (FlowjobError, ValueError) as error:
        code = error.code if isinstance(error, FlowjobError) else SnapshotError.code
        return StorageAnswer(done=False, path=path, problem=str(error), error_code=code)
    return msgspec.structs.replace(found, path=path)


async def _on_snapshot(
    file: JobFile, path: str, directory: Path, work: Callable[[_Snapshot], Awaitable[StorageAnswer]]
) -> StorageAnswer:
    env = real_env(directory)
    assert env.open_store is not None
    url, inside = snapshot_place(path)
    base = StoreLocation(url) if file.storage is None else store_of(file).at(url)
    store = env.open_store(base)
    try:
        return await work(_Snapshot(store, inside, path))
    finally:
        await store.close()


async def _verify(at: _Snapshot) -> StorageAnswer:
    manifest = await read_manifest(at.store, at.directory)
    problems = await verify_snapshot(at.store, at.directory, manifest)
    if problems:
        more = f" (and {len(problems) - SHOWN} more)" if len(problems) > SHOWN else ""
        raise DamagedSnapshot("; ".join(problems[:SHOWN]) + more)
    return await _described(at, manifest)


async def _import(at: _Snapshot) -> StorageAnswer:
    manifest = await read_manifest(at.store, at.directory)
    await check_objects(at.store, at.directory, manifest)
    return await _described(at, manifest)


async def _described(at: _Snapshot, manifest: Manifest) -> StorageAnswer:
    taken = datetime.fromtimestamp(manifest.created // 1_000_000, UTC)
    data = encode_manifest(manifest)
    own: dict[str, int] = {join(at.directory, MANIFEST): len(data)}
    for part in all_parts(manifest):
        if part.object:
            name = join(at.directory, part.object)
            own[name] = max(own.get(name, 0), part.offset + part.length)
    return StorageAnswer(
        done=True,
        kind="Savepoint" if manifest.kind == "savepoint" else "Checkpoint",
        checksum=digest(data),
        size=sum(own.values()),
        taken_at=taken.strftime("%Y-%m-%dT%H:%M:%SZ"),
        job=manifest.job,
    )


async def _dispose(at: _Snapshot, file: JobFile) -> StorageAnswer:
    if not at.directory:
        raise SnapshotError(f"{at.path} is a whole store: name the directory of a savepoint in it")
    is_own = file.storage is not None and at.url.startswith(f"{_own_savepoints(file)}/")
    manifest = await _manifest_of(at, damaged_is_none=is_own)
    if manifest is None:
        _check_root(_root_of(file, at))
        return await _dispose_of_rest(at, is_own=is_own)
    if manifest.kind != "savepoint":
        raise SnapshotError(
            f"{at.path} is a {manifest.kind}, which belongs to its job: the job's log says when it goes"
        )
    return StorageAnswer(done=True, deleted=await delete_snapshot(at.store, at.directory))


async def _manifest_of(at: _Snapshot, *, damaged_is_none: bool) -> Manifest | None:
    """None: there is none. Of one that is damaged nobody knows whose it is, unless its place says so."""
    if await at.store.head(join(at.directory, MANIFEST)) is None:
        return None
    try:
        return await read_manifest(at.store, at.directory)
    except SnapshotError:
        if damaged_is_none:
            return None
        raise


async def _dispose_of_rest(at: _Snapshot, *, is_own: bool) -> StorageAnswer:
    """What a savepoint leaves that was never finished, or whose disposal was broken off; or nothing at all."""
    names = [info.name async for info in at.store.scan(prefix_of(at.directory))]
    if not names:
        return StorageAnswer(done=True)
    own = join(at.directory, MANIFEST)
    below = [name for name in names if name.endswith(f"/{MANIFEST}") and name != own]
    if below:
        raise SnapshotError(
            f"there is no snapshot in {at.path}, but there are some below it: {below[0]}. Name them one by one"
        )
    if not is_own and not await is_unfinished_savepoint(at.store, at.directory):
        raise SnapshotError(
            f"there is no snapshot in {at.path}, but something else: {names[0]}. Nothing was deleted"
        )
    return StorageAnswer(done=True, deleted=await delete_snapshot(at.store, at.directory))


def _own_savepoints(file: JobFile) -> str:
    place = whole_place(f"{store_of(file).url.rstrip('/')}/{job_paths(file).savepoints}")
    return directory_of(place) or place


def _root_of(file: JobFile, at: _Snapshot) -> str:
    """Of the storage that a snapshot lies in: the job's, where it lies below it; else as much as its path tells."""
    root = "" if file.storage is None else file.storage.location.rstrip("/")
    above = directory_of(root) or root
    return root if above and at.url.startswith(f"{above}/") else at.store.url


def _check_root(url: str) -> None:
    """Raises StorageError where a directory is not there, in which then nothing can be found. A bucket says so itself:
    listing it fails."""
    directory = directory_of(url)
    if directory is not None and not Path(directory).is_dir():
        raise StorageError(
            f"{directory} is not there: mount the volume that storage is on into jobManager.podTemplate. Nothing was "
            "deleted"
        )


async def _discard(file: JobFile, directory: Path) -> StorageAnswer:
    env = real_env(directory)
    assert env.open_store is not None
    location, paths = store_of(file), job_paths(file)
    _check_root(location.url)
    store = env.open_store(location)
    try:
        deleted = await discard_checkpoints(env, store, paths)
    finally:
        await store.close()
    return StorageAnswer(done=True, deleted=deleted)
