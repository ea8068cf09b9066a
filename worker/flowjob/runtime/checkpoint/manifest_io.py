"""The manifest as bytes, which check themselves, and snapshots in a store: write, read, list, delete.

A savepoint is complete when its manifest is there, which is written last and deleted first. Whether a checkpoint counts
is the log's business (storage/log.py), which holds `digest` of its manifest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec

from flowjob.errors import DamagedSnapshot, SnapshotError
from flowjob.runtime.checkpoint.checksums import crc32
from flowjob.runtime.checkpoint.manifest import FORMAT, Manifest
from flowjob.runtime.storage.object_store import ObjectMissing, ObjectStore
from flowjob.runtime.storage.paths import MANIFEST, is_section_object, is_try, join, prefix_of

_HEAD = b'{"sha256":"'
_BLANK = b"0" * 64
_DELETED_AT_ONCE = 1000

_SHOWN, _LOOKED_AT = 3, 1000
"""Snapshots that are named where none was found, and objects that are looked at for it."""


class _Versioned(msgspec.Struct):
    format: int


def encode_manifest(manifest: Manifest) -> bytes:
    """JSON, whose first field is the SHA-256 of all of it, computed with zeros in the field's place."""
    body = msgspec.json.encode(manifest)
    blank = _HEAD + _BLANK + b'",' + body[1:]
    return _with_digest(blank, hashlib.sha256(blank).hexdigest().encode())


def decode_manifest(data: bytes, where: str) -> Manifest:
    """The manifest; `where` is for messages. DamagedSnapshot when it is not as written, SnapshotError when its format
    is newer than FORMAT."""
    try:
        version = msgspec.json.decode(data, type=_Versioned).format
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedSnapshot(f"{where} is not a manifest: {error}") from error
    written = data[len(_HEAD) : len(_HEAD) + 64]
    actual = hashlib.sha256(_with_digest(data, _BLANK)).hexdigest().encode()
    if not data.startswith(_HEAD) or written != actual:
        raise DamagedSnapshot(
            f"{where} is damaged: its checksum (sha256) should be {written.decode(errors='replace')}, "
            f"and is {actual.decode()}"
        )
    if version > FORMAT:
        raise SnapshotError(
            f"{where} has format {version}, and this flowjob reads formats up to {FORMAT}: it was written by a newer "
            "version. Run that version, or a later one"
        )
    try:
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise DamagedSnapshot(f"{where} is not a manifest: {error}") from error


def _with_digest(data: bytes, digest: bytes) -> bytes:
    return data[: len(_HEAD)] + digest + data[len(_HEAD) + 64 :]


def digest(data: bytes) -> str:
    """What the log records of an encoded manifest."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


async def read_manifest(
    store: ObjectStore,
    directory: str,
    *,
    expected: str | None = None,
    expected_crc: int | None = None,
) -> Manifest:
    """The manifest of the snapshot in `directory`; `expected` is its digest according to the log, in older logs there
    is only its zlib.crc32.

    SnapshotError when there is none, DamagedSnapshot when it is another one or not as it was written."""
    name = join(directory, MANIFEST)
    try:
        data = await store.get(name)
    except ObjectMissing as missing:
        raise await _nothing_there(store, directory) from missing
    if expected is not None and digest(data) != expected:
        raise DamagedSnapshot(
            f"{name} in {store.url} is not the manifest that was committed: its digest should be {expected}, "
            f"and is {digest(data)}"
        )
    if expected_crc is not None and crc32(data) != expected_crc:
        raise DamagedSnapshot(f"{name} in {store.url} is not the manifest that was committed")
    return decode_manifest(data, f"{name} in {store.url}")


async def _nothing_there(store: ObjectStore, directory: str) -> SnapshotError:
    where = _place(store, directory)
    below: list[str] = []
    first, looked_at = None, 0
    async for info in store.scan(prefix_of(directory)):
        first = first or info.name
        looked_at += 1
        if info.name.endswith(f"/{MANIFEST}"):
            below.append(_place(store, info.name.removesuffix(f"/{MANIFEST}")))
        if len(below) == _SHOWN or looked_at == _LOOKED_AT:  # it may be anything, and large
            break
    if below:
        return SnapshotError(
            f"there is no {MANIFEST} in {where}, but there are snapshots below it. Name one of them: "
            f"{', '.join(below)}"
        )
    if first is not None:
        return SnapshotError(
            f"the snapshot in {where} is not complete: there is {first}, but no {MANIFEST}. It was not "
            "finished, or is being deleted"
        )
    return SnapshotError(
        f"there is no snapshot in {where}: nothing at all is there. `flowjob savepoint list JOB` says where a job's are"
    )


def _place(store: ObjectStore, directory: str) -> str:
    return f"{store.url.rstrip('/')}/{directory}" if directory else store.url


async def write_manifest(store: ObjectStore, directory: str, manifest: Manifest) -> str:
    """Writes it, and returns its digest. All that it names must be in the store already.

    A checkpoint's may be written again; a savepoint is never replaced: SnapshotError when there is one."""
    data = encode_manifest(manifest)
    name = join(directory, MANIFEST)
    if manifest.kind != "savepoint":
        await store.put(name, data)
    elif not await store.create(name, data) and await store.get(name) != data:
        raise SnapshotError(
            f"there is a snapshot in {_place(store, directory)} already. Choose another name, or delete it"
        )
    return digest(data)


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """What a listing finds. `complete`: it has its manifest, made at `modified` (µs since the epoch, UTC)."""

    directory: str
    complete: bool
    objects: int
    bytes: int
    modified: int


async def list_snapshots(store: ObjectStore, parent: str) -> list[StoredSnapshot]:
    """The snapshots in the directories right below `parent`, by name: JobPaths.savepoints, for example. Of a
    checkpoint, each generation's try is one."""
    prefix = prefix_of(parent)
    found: dict[str, StoredSnapshot] = {}
    async for info in store.scan(prefix):
        child, slash, rest = info.name[len(prefix) :].partition("/")
        if not slash:
            continue
        directory = prefix + child
        try_, _, below = rest.partition("/")
        if below and is_try(try_):
            directory, rest = f"{directory}/{try_}", below
        before = found.get(directory) or StoredSnapshot(directory, False, 0, 0, 0)
        complete = rest == MANIFEST
        found[directory] = StoredSnapshot(
            directory,
            before.complete or complete,
            before.objects + 1,
            before.bytes + info.size,
            info.modified if complete else before.modified,
        )
    return list(found.values())


async def is_unfinished_savepoint(store: ObjectStore, directory: str) -> bool:
    """Whether there is what a savepoint leaves that was not finished: its objects, no manifest, and nothing else."""
    found = False
    async for info in store.scan(prefix_of(directory)):
        if not directory or not is_section_object(info.name[len(directory) + 1 :]):
            return False
        found = True
    return found


async def delete_snapshot(store: ObjectStore, directory: str) -> int:
    """Removes all objects in the snapshot's directory, the manifest first; how many. Shared files stay.

    ValueError for an empty `directory`: that would be the whole store."""
    if not directory:
        raise ValueError("a snapshot to be deleted needs a directory of its own")
    names = [info.name async for info in store.scan(prefix_of(directory))]
    await store.delete([join(directory, MANIFEST)])
    for start in range(0, len(names), _DELETED_AT_ONCE):
        await store.delete(names[start : start + _DELETED_AT_ONCE])
    return len(names)
