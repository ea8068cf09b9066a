"""A run that another JobManager has begun is continued: from what, or why not.

Reads what the log names and looks whether it is there; core/recovery.py decides. It must not know how runs begin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flowjob.core.recovery import (
    Candidate,
    Facts,
    Health,
    NothingLeft,
    Ready,
    Refuse,
    ReplayCommit,
    StartFresh,
    StopOrphaned,
    resolve,
)
from flowjob.core.snapshot_log import LogState
from flowjob.errors import AlreadyEnded, LostLeadership, ObjectMissing, SnapshotError
from flowjob.plan.restore import plan_restore
from flowjob.runtime.checkpoint.manifest_io import read_manifest
from flowjob.runtime.checkpoint.places import snapshot_place
from flowjob.runtime.env import Env, StoreLocation
from flowjob.runtime.jobmanager.committables import prepared_of
from flowjob.runtime.jobmanager.request import JobEvent, JobRequest, StartFrom
from flowjob.runtime.jobmanager.snapshot_store import RestorePoint, SnapshotStore
from flowjob.runtime.jobmanager.standing_in import newest_that_is_whole


def run_id(name: str, token: str) -> str:
    """Of a new run called `name`: sinks make names of it, so no two may have the same."""
    return f"{name}-{token[:8]}"


def is_run(state: LogState, name: str) -> bool:
    """Whether the log's last run is called `name`."""
    return (state.name or state.run.rpartition("-")[0]) == name


def refuse_what_is_over(state: LogState, run: str) -> None:
    """Raises AlreadyEnded when the log says that there is nothing to continue."""
    if is_run(state, run) and state.ended:
        raise AlreadyEnded(state.ended, run)


@dataclass(frozen=True, slots=True)
class Continued:
    """`point`: the snapshot that the run goes on from, None for its beginning. `over`: the run has come to its end with
    it, and everything is published; tasks may still wait to be told so."""

    point: RestorePoint | None
    over: bool = False


async def continue_run(
    env: Env, store: SnapshotStore, request: JobRequest, tell: Callable[[JobEvent], None]
) -> Continued:
    """Where the run goes on: leadership is claimed. Another snapshot may stand in for one that cannot be read. Raises
    SnapshotError, StorageError, AlreadyEnded."""
    state = store.state
    assert request.service is not None
    refuse_what_is_over(state, request.service.run)
    points: dict[str, RestorePoint] = {}

    async def candidate(snapshot: int, name: str, read: Callable[[], object]) -> Candidate:
        try:
            point = await read()  # type: ignore[misc]
        except ObjectMissing as error:
            return Candidate(snapshot, name, Health.MISSING, str(error))
        except SnapshotError as error:
            return Candidate(snapshot, name, Health.DAMAGED, str(error))
        points[name] = point
        tasks = point.manifest.tasks
        pending = {p.sink for t in tasks for p in prepared_of(t)}
        last = all(t.ended for t in tasks) or store.ends_with(point)
        return Candidate(snapshot, name, pending=tuple(sorted(pending)), last=last)

    newest = source = None
    if (commit := state.newest) is not None:

        async def read() -> RestorePoint:
            try:
                return await store.read(commit)
            except SnapshotError:
                return await newest_that_is_whole(store, state, tell)

        newest = await candidate(commit.snapshot, commit.manifest, read)
    elif state.source:
        start = StartFrom(state.source, request.start.endpoint, request.start.region)
        source = await candidate(0, state.source, lambda: elsewhere(env, store.location, start))
    facts = Facts(state.generation, state, state.run, newest=newest, source=source)
    match resolve(facts):
        case NothingLeft(chosen):
            return Continued(points[chosen.name], over=True)
        case Ready(chosen) | ReplayCommit(chosen):
            point = points[chosen.name]
            allow = request.start.allow_non_restored
            plan_restore(request.graph, point.manifest, allow_non_restored=allow)
            return Continued(point)
        case StartFresh():
            return Continued(None)
        case StopOrphaned(generation):
            raise LostLeadership(f"generation {generation} leads {store.paths.root}")
        case Refuse(reason):
            raise SnapshotError(reason)


async def elsewhere(env: Env, own: StoreLocation, start: StartFrom) -> RestorePoint:
    """The snapshot at a place that somebody named."""
    assert start.snapshot is not None
    assert env.open_store is not None
    url, directory = snapshot_place(start.snapshot)
    location = own.at(url, start.endpoint, start.region)
    store = env.open_store(location)
    try:
        return RestorePoint(location, directory, await read_manifest(store, directory))
    finally:
        await store.close()
