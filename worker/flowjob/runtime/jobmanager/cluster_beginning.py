"""What a run of a cluster's job begins from: reads what core/beginning.py decides by, and carries the decision out.

Leadership is claimed before; nothing is started before this returns. Where a job of that name was before, under another
uid, is found by a small object that each writes before its first claim. It must not know how jobs are started."""

from __future__ import annotations

from collections.abc import Callable

from flowjob.core.beginning import (
    Beginning,
    Code,
    Expected,
    FromLog,
    FromNothing,
    FromPlace,
    Known,
    Refused,
    Wish,
    begin,
)
from flowjob.errors import FlowjobError, ObjectMissing, PriorState, SnapshotError, StateMissing
from flowjob.plan.restore import plan_restore
from flowjob.runtime.checkpoint.places import whole_place
from flowjob.runtime.env import Env
from flowjob.runtime.jobmanager.continuing import elsewhere
from flowjob.runtime.jobmanager.request import JobEvent, JobRequest, RestorePlanned, StartFrom
from flowjob.runtime.jobmanager.snapshot_store import RestorePoint, SnapshotStore
from flowjob.runtime.jobmanager.standing_in import newest_that_is_whole
from flowjob.runtime.storage.job_log import JobLog
from flowjob.runtime.storage.paths import MANIFEST, Lives

_ERRORS: dict[Code, type[FlowjobError]] = {
    Code.PRIOR_STATE: PriorState,
    Code.STATE_MISSING: StateMissing,
    Code.SNAPSHOT: SnapshotError,
}


async def say_that_it_lives(store: SnapshotStore, lives: Lives) -> None:
    """Before the first claim. Raises StorageError."""
    await store.store.create(lives.marker, b"")


async def begin_in_cluster(
    env: Env, store: SnapshotStore, request: JobRequest, tell: Callable[[JobEvent], None]
) -> RestorePoint | None:
    """The snapshot, None for nothing; the log has the run then. Raises SnapshotError and its kin, StorageError."""
    service, state = request.service, store.state
    assert service is not None
    assert service.cluster is not None
    told = service.cluster
    decision = await decide(env, store, told.wish, told.lives)
    run, point = request.job.run_id, None
    match decision:
        case Refused():
            raise as_error(decision)
        case FromNothing():
            await store.begin(run, "", service.run)
            return None
        case FromPlace(path):
            start = request.start
            point = await elsewhere(
                env, store.location, StartFrom(path, start.endpoint, start.region)
            )
        case FromLog() if state.newest is not None:
            run = state.run  # sinks then find what its earlier lives have left, and remove it
            point = await newest_that_is_whole(store, state, tell)
        case FromLog():
            run = state.run
            point = await elsewhere(env, store.location, StartFrom(state.source))
    point, allow = store.as_logged(point), request.start.allow_non_restored
    plan = plan_restore(request.graph, point.manifest, allow_non_restored=allow)
    tell(RestorePlanned("\n".join(plan.lines)))
    await store.begin(run, f"{point.location.url.rstrip('/')}/{point.name}", service.run)
    return point


async def decide(env: Env, store: SnapshotStore, wish: Wish, lives: Lives) -> Beginning:
    """What a run would begin with that the log does not have, by all that storage knows. Changes nothing."""
    state = store.state
    expected = await _look_for(env, store, wish.expected)
    earlier = () if state.run else await earlier_snapshots(env, store, lives)
    return begin(wish, Known(state, expected, earlier))


def as_error(refused: Refused) -> FlowjobError:
    """For whoever cannot go on then."""
    return _ERRORS[refused.code](refused.reason)


async def earlier_snapshots(env: Env, store: SnapshotStore, lives: Lives) -> tuple[str, ...]:
    """Places of the newest complete snapshots of earlier jobs of this name, that of the youngest job first."""
    found = [info async for info in store.store.scan(lives.markers)]
    others = [info for info in found if info.name != lives.marker]
    places: list[str] = []
    for info in sorted(others, key=lambda info: info.modified, reverse=True):
        paths = lives.of_marker(info.name)
        if paths is None:
            continue
        state = await JobLog(store.store, paths, env.clock, env.random).read()
        newest = state.newest or (state.committed[-1] if state.committed else None)
        if newest is None or await store.store.head(paths.full(newest.manifest)) is None:
            continue
        directory = paths.full(newest.manifest).removesuffix(f"/{MANIFEST}")
        places.append(f"{store.store.url.rstrip('/')}/{directory}")
    return tuple(places)


async def _look_for(env: Env, store: SnapshotStore, path: str | None) -> Expected | None:
    """What is known of the snapshot that is expected. Raises StorageError where the store cannot be asked."""
    if path is None:
        return None
    place, own = whole_place(path), f"{store.store.url.rstrip('/')}/{store.paths.root}/"
    if not place.startswith(own):
        return Expected(own=False, found=await _is_there(env, store, path))
    name = place[len(own) :]
    checkpoint = store.paths.checkpoint_of(f"{store.paths.full(name)}/")
    commit = next((c for c in store.state.committed if c.manifest == f"{name}/{MANIFEST}"), None)
    id = commit.snapshot if commit is not None else checkpoint
    there = await store.store.head(f"{store.paths.full(name)}/{MANIFEST}") is not None
    return Expected(own=True, id=id, found=there)


async def _is_there(env: Env, store: SnapshotStore, path: str) -> bool:
    try:
        await elsewhere(env, store.location, StartFrom(path))
    except (ObjectMissing, SnapshotError):
        return False
    return True
