"""The newest checkpoint of a run, or an older one where that cannot be read and nothing would be published twice.

Which ones may stand in is decided by core/recovery.py; here they are looked at. Comes before anything is started: that
bytes of the newest are not those that were written is found later, by who reads them, and then all starts again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from flowjob.core.recovery import stand_ins
from flowjob.core.snapshot_log import Commit, LogState
from flowjob.errors import DamagedSnapshot, SnapshotError
from flowjob.runtime.checkpoint.verifying import verify_snapshot
from flowjob.runtime.jobmanager.request import JobEvent
from flowjob.runtime.jobmanager.snapshot_store import RestorePoint, SnapshotStore
from flowjob.runtime.storage.paths import MANIFEST

_log = logging.getLogger("flowjob.jobmanager")


class OlderCheckpointUsed(JobEvent):
    """The newest checkpoint cannot be read; an older one is begun from, and nothing is committed twice by that."""


class BeginningAgain:
    """From where tasks are started again. `log`: as it was when the run's beginning was chosen as the newest of the
    job; None: a person has named it, or it begins with nothing."""

    def __init__(self, store: SnapshotStore, log: LogState | None = None) -> None:
        self._store = store
        self._log = log or LogState()
        self._damaged: dict[int, str] = {}

    def found_damaged(self, point: RestorePoint | None, what: str) -> bool:
        """Who read `point` says so. Whether to begin again all the same: another one may stand in, or it can be said
        what to do. Not a second time, and not in place of a snapshot that a person has named."""
        newest = self._judged_by().newest
        if point is None or newest is None or newest.snapshot != point.manifest.id:
            return False
        if newest.snapshot in self._damaged:
            return False
        self._damaged[newest.snapshot] = what
        return True

    async def point(
        self, last: RestorePoint | None, tell: Callable[[JobEvent], None]
    ) -> RestorePoint | None:
        """`last`: where it began the last time. Raises DamagedSnapshot and StorageError."""
        store, log = self._store, self._judged_by()
        if log.newest is not None:
            point = await newest_that_is_whole(store, log, tell, self._damaged)
            if point.manifest.id != log.newest.snapshot:
                self._log = LogState()  # it goes on from the stand-in, which was looked at closely
            return point
        if last is not None and last.location == store.location:
            await store.check(last)
        return last

    def _judged_by(self) -> LogState:
        """Once the run has a checkpoint of its own it never goes back beyond it."""
        state = self._store.state
        if state.newest is not None:
            self._log = LogState()
        return self._log if state.newest is None else state


async def newest_that_is_whole(
    store: SnapshotStore,
    state: LogState,
    tell: Callable[[JobEvent], None],
    damaged: Mapping[int, str] | None = None,
) -> RestorePoint:
    """`state` names a newest one; `damaged`: what is known to be wrong with checkpoints that look well. Where another
    stands in, the log then says that the run goes on from there. Raises DamagedSnapshot, with what can be done, and
    StorageError."""
    newest = state.newest
    assert newest is not None
    try:
        if what := (damaged or {}).get(newest.snapshot):
            raise DamagedSnapshot(what)
        return await _whole(store, newest)
    except SnapshotError as error:
        damage = error
    for commit in stand_ins(state):
        try:
            point = await _whole(store, commit)
            await _read_all(store, point)
        except SnapshotError as error:
            _log.warning("checkpoint %d cannot be used either: %s", commit.snapshot, error)
            continue
        await store.begin(state.run, f"{store.store.url.rstrip('/')}/{point.name}", state.name)
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


async def _read_all(store: SnapshotStore, point: RestorePoint) -> None:
    """Every byte of it: nothing stands in for a stand-in. Raises DamagedSnapshot and StorageError."""
    problems = await verify_snapshot(store.store, point.directory, point.manifest)
    if problems:
        raise DamagedSnapshot(problems[0])


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
