"""Snapshots of a job of this machine, looked after while it runs: is one whole, and away with it.

Only those in the job's own part of the store, by name; what its log says it would go on from stays. Whoever looks
after other places uses `flowjob savepoint`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flowjob.cluster.control_api import Snapshot
from flowjob.errors import DamagedSnapshot, SnapshotError
from flowjob.runtime.checkpoint.manifest_io import delete_snapshot
from flowjob.runtime.checkpoint.verifying import verify_snapshot
from flowjob.runtime.env import Env
from flowjob.runtime.job_description import CheckpointPlan
from flowjob.runtime.jobmanager.continuing import elsewhere
from flowjob.runtime.jobmanager.operating import Unfulfilled
from flowjob.runtime.jobmanager.request import StartFrom
from flowjob.runtime.jobmanager.snapshot_store import RestorePoint, SnapshotStore
from flowjob.runtime.jobmanager.viewing import SnapshotFacts

SHOWN: Final = 3
"""Problems of a damaged snapshot that are told."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where they are."""

    env: Env
    plan: CheckpointPlan

    def open(self) -> SnapshotStore:
        return SnapshotStore(self.env, self.plan.location, self.plan.root)


async def verify(places: Places, name: str) -> Snapshot:
    """Reads every byte of a savepoint, or of a checkpoint by its number. Raises DamagedSnapshot, Unfulfilled."""
    store = places.open()
    try:
        await store.look()
        point = await _found(store, name)
        problems = await verify_snapshot(store.store, point.directory, point.manifest)
        if problems:
            more = f" (and {len(problems) - SHOWN} more)" if len(problems) > SHOWN else ""
            raise DamagedSnapshot("; ".join(problems[:SHOWN]) + more)
        return SnapshotFacts().of(point, store.checksum(point))
    finally:
        await store.close()


async def delete(places: Places, name: str, needed: str | None) -> None:
    """A savepoint. `needed`: the path of one that somebody goes on from. Raises Unfulfilled, SnapshotError."""
    store = places.open()
    try:
        state = await store.look()
        point = await _found(store, name)
        if point.manifest.kind != "savepoint":
            raise SnapshotError(
                f"{name} is a {point.manifest.kind} and belongs to the job, which deletes it by itself; only "
                "savepoints are deleted on request"
            )
        source = f"{point.place}/{point.name.rpartition('/')[2]}"
        newest = state.newest
        is_source = newest is None and state.source == source
        if point.place == needed or is_source or state.newest_id == point.manifest.id:
            raise Unfulfilled(
                "IN_USE",
                f"{name} is what the job would go on from after a failure: it has nothing newer. Let it take a "
                "checkpoint first",
            )
        await delete_snapshot(store.store, point.directory)
    finally:
        await store.close()


async def place_of(places: Places, name: str | None, path: str | None) -> str:
    """Where a snapshot is that can be begun from: a savepoint, by its name, or any by its path. Raises Unfulfilled,
    SnapshotError."""
    if path is not None:
        await elsewhere(places.env, places.plan.location, StartFrom(path))
        return path
    store = places.open()
    try:
        await store.look()
        return (await _found(store, name or "")).place
    finally:
        await store.close()


async def _found(store: SnapshotStore, name: str) -> RestorePoint:
    """Raises Unfulfilled."""
    if (point := await store.savepoint(name)) is not None:
        return point
    commit = store.state.find(int(name)) if name.isascii() and name.isdigit() else None
    if commit is None:
        raise Unfulfilled(
            "UNKNOWN",
            f"the job has no savepoint `{name}`: `flowjob snapshot list` shows those it has",
        )
    return await store.read(commit)
