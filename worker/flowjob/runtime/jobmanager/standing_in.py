"""The newest checkpoint of a run, or an older one where that cannot be read and nothing would be published twice.

Which ones may stand in is decided by core/recovery.py; here they are looked at. Comes before anything is started."""

from __future__ import annotations

import logging
from collections.abc import Callable

from flowjob.core.recovery import stand_ins
from flowjob.core.snapshot_log import Commit, LogState
from flowjob.errors import DamagedSnapshot, SnapshotError
from flowjob.runtime.jobmanager.request import JobEvent
from flowjob.runtime.jobmanager.snapshot_store import RestorePoint, SnapshotStore
from flowjob.runtime.storage.paths import MANIFEST

_log = logging.getLogger("flowjob.jobmanager")


class OlderCheckpointUsed(JobEvent):
    """The newest checkpoint cannot be read; an older one is begun from, and nothing is committed twice by that."""


async def newest_that_is_whole(
    store: SnapshotStore, state: LogState, tell: Callable[[JobEvent], None]
) -> RestorePoint:
    """`state` names a newest one. Where another stands in, the log then says that the run goes on from there. Raises
    DamagedSnapshot, with what can be done, and StorageError."""
    newest = state.newest
    assert newest is not None
    try:
        return await _whole(store, newest)
    except SnapshotError as error:
        damage = error
    for commit in stand_ins(state):
        try:
            point = await _whole(store, commit)
        except SnapshotError as error:
            _log.warning("checkpoint %d cannot be used either: %s", commit.snapshot, error)
            continue
        await store.begin(state.run, f"{store.store.url.rstrip('/')}/{point.name}")
        tell(
            OlderCheckpointUsed(
                f"checkpoint {newest.snapshot} cannot be read ({damage}); beginning from checkpoint {commit.snapshot}: "
                "no sink has committed anything since, so what is exactly once stays so"
            )
        )
        return point
    raise DamagedSnapshot(_advice(store, state, newest, damage)) from damage


async def _whole(store: SnapshotStore, commit: Commit) -> RestorePoint:
    point = await store.read(commit)
    await store.check(point)
    return point


def _advice(store: SnapshotStore, state: LogState, newest: Commit, damage: SnapshotError) -> str:
    kind = "savepoint" if newest.savepoint else "checkpoint"
    others = [c for c in reversed(state.committed) if c.snapshot < newest.snapshot]
    said = (
        f"{kind} {newest.snapshot}, the newest of the job, cannot be read: {damage}. To see what "
        f"is left of it: flowjob savepoint verify {_place(store, newest)}"
    )
    if not others:
        return f"{said}. No older checkpoint is kept; begin from a savepoint (--from PATH), or anew without --from"
    places = ", ".join(f"{c.snapshot} ({_place(store, c)})" for c in others)
    return (
        f"{said}. Older checkpoints are kept: {places}. None is begun from by itself, because results may have been "
        "published since, which would then be there twice; to accept that: --from PATH"
    )


def _place(store: SnapshotStore, commit: Commit) -> str:
    """A path that the command line understands."""
    directory = store.paths.full(commit.manifest).removesuffix(f"/{MANIFEST}")
    return f"{store.store.url.rstrip('/')}/{directory}"
