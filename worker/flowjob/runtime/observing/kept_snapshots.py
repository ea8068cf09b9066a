"""The snapshots of a job that are there: retained checkpoints as the log has them, savepoints as the storage has them.

Manifests are read once each, and the newest few only: one of a large job has megabytes. It must not change anything."""

from __future__ import annotations

import posixpath

import msgspec.structs

from flowjob.cluster.job_history import SnapshotFacts, Snapshots
from flowjob.core.snapshot_log import LogState
from flowjob.errors import FlowjobError
from flowjob.runtime.checkpoint.manifest_io import digest, encode_manifest, read_manifest
from flowjob.runtime.env import Env
from flowjob.runtime.job_description import CheckpointPlan
from flowjob.runtime.jobmanager.snapshot_store import SnapshotStore
from flowjob.runtime.jobmanager.viewing import size_of, when
from flowjob.runtime.storage.object_store import ObjectInfo
from flowjob.runtime.storage.paths import MANIFEST, prefix_of

MOST = 50
"""Savepoints in an answer, newest first."""

LOOKED_AT = 20_000
"""Objects below savepoints/ that one listing goes through."""

REMEMBERED = 200


class KeptSnapshots:
    """Remembers what manifests say: what is complete never changes."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._known: dict[tuple[str, int], SnapshotFacts] = {}

    async def list(self, plan: CheckpointPlan) -> Snapshots:
        """Raises StorageError."""
        store = SnapshotStore(self._env, plan.location, plan.root)
        try:
            state = await store.look()
            found = [
                await self._of(store, posixpath.dirname(c.manifest), 0, c.digest)
                for c in state.committed
                if not c.savepoint
            ]
            manifests, more = await _savepoints(store)
            for info in manifests:
                directory = posixpath.dirname(info.name)
                found.append(await self._of(store, _below(store, directory), info.modified, ""))
        finally:
            await store.close()
        kept = [_marked(facts, state) for facts in found if facts is not None]
        kept.sort(key=lambda facts: (facts.completed_at, facts.id), reverse=True)
        return Snapshots(snapshots=kept, more=more)

    async def _of(
        self, store: SnapshotStore, directory: str, modified: int, checksum: str
    ) -> SnapshotFacts | None:
        """`directory` is below the job's root. None: it is gone by now, or cannot be read."""
        whole = store.paths.full(directory)
        key = whole, modified
        if key not in self._known:
            try:
                manifest = await read_manifest(store.store, whole)
            except FlowjobError:
                return None
            name = store.paths.savepoint_of(f"{whole}/")
            self._known[key] = SnapshotFacts(
                type="Savepoint" if manifest.kind == "savepoint" else "Checkpoint",
                id=manifest.id,
                path=f"{store.store.url.rstrip('/')}/{whole}",
                name=name,
                completed_at=when(manifest.created),
                bytes=size_of(manifest),
                checksum=checksum or digest(encode_manifest(manifest)),
            )
            while len(self._known) > REMEMBERED:
                del self._known[next(iter(self._known))]
        return self._known[key]


async def _savepoints(store: SnapshotStore) -> tuple[list[ObjectInfo], bool]:
    """Manifests, newest first; and whether there are more."""
    found, looked = [], 0
    async for info in store.store.scan(prefix_of(store.paths.savepoints)):
        looked += 1
        if info.name.endswith(f"/{MANIFEST}"):
            found.append(info)
        if looked == LOOKED_AT:
            break
    found.sort(key=lambda info: info.modified, reverse=True)
    return found[:MOST], len(found) > MOST or looked == LOOKED_AT


def _below(store: SnapshotStore, name: str) -> str:
    return name.removeprefix(prefix_of(store.paths.full("").rstrip("/")))


def _marked(facts: SnapshotFacts, state: LogState) -> SnapshotFacts:
    is_newest = state.newest is not None and state.newest.snapshot == facts.id
    return msgspec.structs.replace(facts, newest=is_newest)
