"""Takes a job over from whoever ran it before: claims its log, and finds the snapshot that its run begins from.

Comes before anything is started: where it raises, nothing was. A start that names no snapshot begins with nothing,
whatever there is; one that names one begins from that or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flowjob.core.snapshot_log import LogState
from flowjob.errors import SnapshotError
from flowjob.plan.restore import plan_restore
from flowjob.runtime.checkpoint.manifest_io import read_manifest
from flowjob.runtime.checkpoint.places import snapshot_place
from flowjob.runtime.env import Env, StoreLocation
from flowjob.runtime.jobmanager.checkpoints import CheckpointService, Shell
from flowjob.runtime.jobmanager.manifests import JobAtHand
from flowjob.runtime.jobmanager.request import (
    LATEST,
    EarlierRunFound,
    JobEvent,
    JobRequest,
    RestorePlanned,
    StartFrom,
)
from flowjob.runtime.jobmanager.snapshot_store import RestorePoint, SnapshotStore
from flowjob.runtime.jobmanager.standing_in import newest_that_is_whole

ATTEMPTS_PER_GENERATION = 1000
"""Attempts of different JobManagers must differ: names of objects are made of them."""


@dataclass(frozen=True, slots=True)
class Lead:
    """Leadership of a job.

    run      the id of what runs: of an earlier life, where this one continues it
    initial  what it begins from
    """

    generation: int
    run: str
    checkpoints: CheckpointService
    initial: RestorePoint | None

    @property
    def attempts_before(self) -> int:
        return (self.generation - 1) * ATTEMPTS_PER_GENERATION


async def take_lead(env: Env, request: JobRequest, shell: Shell) -> Lead | None:
    """None when the job takes no snapshots. Raises StorageError, and SnapshotError with the reason for which nothing
    is started."""
    settings, plan = request.checkpoints, request.job.checkpoints
    if settings is None or plan is None:
        if request.start.snapshot is not None:
            raise SnapshotError("a job without checkpoints cannot start from a snapshot")
        return None
    store = SnapshotStore(env, plan.location, plan.root)
    try:
        initial = await _begin(env, store, request, shell.tell)
    except BaseException:
        await store.close()
        raise
    run = store.state.run
    at_hand = JobAtHand(request.graph, run, request.job.explain)
    service = CheckpointService(env, settings, store, at_hand, shell)
    service.open(initial)
    return Lead(store.state.generation, run, service, initial)


async def _begin(
    env: Env, store: SnapshotStore, request: JobRequest, tell: Callable[[JobEvent], None]
) -> RestorePoint | None:
    """Leadership comes first: what is newest must not change any more while we look at it."""
    start, run = request.start, request.job.run_id
    state = await store.claim(request.job.digest)
    if start.snapshot is None:
        await _say_what_is_left(store, state, tell)
        await store.begin(run, "")
        return None
    if start.snapshot == LATEST:
        point = await _latest(env, store, start, tell)
        run = state.run  # sinks then find what its earlier lives have left, and remove it
    else:
        point = await _elsewhere(env, store.location, start)
    point, allow = store.as_logged(point), start.allow_non_restored
    plan = plan_restore(request.graph, point.manifest, allow_non_restored=allow)
    tell(RestorePlanned("\n".join(plan.lines)))
    await store.begin(run, _source(point))
    return point


async def _say_what_is_left(
    store: SnapshotStore, state: LogState, tell: Callable[[JobEvent], None]
) -> None:
    newest = state.newest
    if newest is None:
        return
    try:
        point = await store.read(newest)
    except SnapshotError:
        return
    if not all(task.ended for task in point.manifest.tasks):
        tell(
            EarlierRunFound(
                f"beginning with nothing, though an earlier run has left {point.manifest.kind} {newest.snapshot}; to "
                "continue from there: --from latest"
            )
        )


async def _latest(
    env: Env, store: SnapshotStore, start: StartFrom, tell: Callable[[JobEvent], None]
) -> RestorePoint:
    state = store.state
    if state.newest is not None:
        return await newest_that_is_whole(store, state, tell)
    if state.source:  # that run has no checkpoint of its own yet
        return await _elsewhere(
            env, store.location, StartFrom(state.source, start.endpoint, start.region)
        )
    where = f"{store.paths.root} in {store.store.url}"
    if state.committed:
        others = ", ".join(store.paths.full(c.manifest) for c in state.committed)
        raise SnapshotError(
            f"the last run of {where} has no checkpoint; those of earlier runs are: {others}. Start from one of them "
            "with --from"
        )
    raise SnapshotError(f"{where} has no checkpoint to continue from: start without --from")


async def _elsewhere(env: Env, own: StoreLocation, start: StartFrom) -> RestorePoint:
    """The snapshot at a place that somebody named."""
    assert start.snapshot is not None
    assert env.open_store is not None
    url, directory = snapshot_place(start.snapshot)
    location = StoreLocation(url, start.endpoint or own.endpoint, start.region or own.region)
    store = env.open_store(location)
    try:
        return RestorePoint(location, directory, await read_manifest(store, directory))
    finally:
        await store.close()


def _source(point: RestorePoint) -> str:
    """A name that `snapshot_place` understands."""
    return f"{point.location.url.rstrip('/')}/{point.name}"
