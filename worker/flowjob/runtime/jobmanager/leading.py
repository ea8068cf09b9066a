"""Takes a job over from whoever ran it before: claims its log, and finds the snapshot that its run begins from.

Comes before anything is started: where it raises, nothing was. A start that names no snapshot begins with nothing,
whatever there is; one that names one begins from that or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from flowjob.core.beginning import parallelism_of
from flowjob.core.job_outcomes import Cancelled, Succeeded
from flowjob.core.job_outcomes import Outcome as JobOutcome
from flowjob.core.snapshot_log import LogState
from flowjob.errors import SnapshotError, StorageError
from flowjob.plan.restore import plan_restore
from flowjob.runtime.env import Clock, Env
from flowjob.runtime.failures import to_exception
from flowjob.runtime.jobmanager.checkpoints import CheckpointService, Shell
from flowjob.runtime.jobmanager.cluster import Endpoint
from flowjob.runtime.jobmanager.cluster_beginning import begin_in_cluster, say_that_it_lives
from flowjob.runtime.jobmanager.continuing import (
    continue_run,
    elsewhere,
    is_run,
    refuse_what_is_over,
)
from flowjob.runtime.jobmanager.manifests import JobAtHand
from flowjob.runtime.jobmanager.request import (
    LATEST,
    EarlierRunFound,
    JobEvent,
    JobRequest,
    Replan,
    RestorePlanned,
    StartFrom,
)
from flowjob.runtime.jobmanager.snapshot_store import RestorePoint, SnapshotStore
from flowjob.runtime.jobmanager.standing_by import until_nobody_leads
from flowjob.runtime.jobmanager.standing_in import newest_that_is_whole
from flowjob.runtime.outbox import first_of
from flowjob.runtime.storage.job_log import Terms

ATTEMPTS_PER_GENERATION = 1000
"""Attempts of different JobManagers must differ: names of objects are made of them."""


LONGEST_REASON = 4000
"""Characters of a failure that the log keeps."""

SAY_WITHIN = 5.0
"""Seconds at the end for the log to take how it ended."""


@dataclass(frozen=True, slots=True)
class Lead:
    """Leadership of a job.

    run        the id of what runs: of an earlier life, where this one continues it
    initial    what it begins from
    continues  another JobManager had this run before: its tasks may still be there
    is_service whether others may continue it
    in_cluster by a job file
    over       the run has come to its end with `initial`, which only has to be said
    """

    generation: int
    run: str
    checkpoints: CheckpointService
    initial: RestorePoint | None
    store: SnapshotStore
    continues: bool = False
    is_service: bool = False
    in_cluster: bool = False
    over: bool = False

    async def say_how_it_ended(self, clock: Clock, outcome: JobOutcome) -> None:
        """In the log, for those that would continue it; where that takes too long they will find out themselves."""
        said = ended(outcome, self.store.state, in_cluster=self.in_cluster)
        if said is not None and self.is_service:
            with contextlib.suppress(StorageError):
                await first_of(self.store.finish(*said), clock.sleep(SAY_WITHIN))

    @property
    def attempts_before(self) -> int:
        return (self.generation - 1) * ATTEMPTS_PER_GENERATION


async def take_lead(
    env: Env,
    request: JobRequest,
    shell: Shell,
    address: str = "",
    store: SnapshotStore | None = None,
) -> Lead | None:
    """None when the job takes no snapshots. Raises StorageError, and SnapshotError with the reason for which nothing
    is started; AlreadyEnded for a run that is over. `address`: where this JobManager can be asked; `store`: what
    `stand_by` returned."""
    settings, plan = request.checkpoints, request.job.checkpoints
    if settings is None or plan is None:
        if request.start.snapshot is not None:
            raise SnapshotError("a job without checkpoints cannot start from a snapshot")
        return None
    store = store or SnapshotStore(env, plan.location, plan.root)
    service = request.service
    in_cluster = None if service is None else service.cluster
    try:
        if service is not None:
            log = await store.look()
            refuse_what_is_over(log, service.run)
            _refuse_another_parallelism(log, request)
        if in_cluster is not None:
            store.introduce(Terms(in_cluster.revision, request.job.parallelism, in_cluster.asked))
            await say_that_it_lives(store, in_cluster.lives)
        state = await store.claim(request.job.digest, address)
        continues = service is not None and is_run(state, service.run)
        initial, over = await _beginning(env, request, shell, store, continues=continues)
    except BaseException:
        await store.close()
        raise
    run = store.state.run
    at_hand = JobAtHand(request.graph, run, request.job.explain)
    checkpoints = CheckpointService(env, settings, store, at_hand, shell)
    chosen = continues or request.start.snapshot == LATEST
    if in_cluster is not None and initial is not None:
        chosen = chosen or initial.manifest.id == state.newest_id
    checkpoints.open(initial, state if chosen else None)
    return Lead(
        store.state.generation,
        run,
        checkpoints,
        initial,
        store,
        continues,
        is_service=service is not None,
        in_cluster=in_cluster is not None,
        over=over,
    )


async def _beginning(
    env: Env, request: JobRequest, shell: Shell, store: SnapshotStore, *, continues: bool
) -> tuple[RestorePoint | None, bool]:
    """Where tasks begin, and whether the run has come to its end with that."""
    if continues:
        found = await continue_run(env, store, request, shell.tell)
        return found.point, found.over
    if request.service is not None and request.service.cluster is not None:
        return await begin_in_cluster(env, store, request, shell.tell), False
    return await _begin(env, store, request, shell.tell), False


def _refuse_another_parallelism(log: LogState, request: JobRequest) -> None:
    """Raises Replan when the job was rescaled since its job file was written, and this is not what does so."""
    told = None if request.service is None else request.service.cluster
    if told is None or told.rescales:
        return
    wanted = parallelism_of(log, told.revision, told.asked)
    if wanted is not None and wanted != request.job.parallelism:
        raise Replan(wanted)


def ended(outcome: JobOutcome, log: LogState, *, in_cluster: bool) -> tuple[str, str, str] | None:
    """What the log is to say of a run's end: outcome, reason and code of Finish. None: nothing, so that the run goes on
    under the next JobManager, as whoever keeps it up wants it; but a cluster's job fails for good."""
    match outcome:
        case Succeeded():
            suspended = in_cluster and log.stopped
            return ("suspended" if suspended else "succeeded", "", "")
        case Cancelled(reason):
            return ("cancelled", reason if in_cluster else "", "")
    failure = to_exception(outcome) if in_cluster else None
    if failure is None:
        return None
    return ("failed", str(failure)[:LONGEST_REASON], failure.code)


async def stand_by(
    env: Env, request: JobRequest, endpoint: Endpoint, leader: Callable[[str], None]
) -> SnapshotStore | None:
    """A standby returns from here when its turn has come, with the store whose log it has read. `leader` gets the
    address of whoever answers as the leader until then, and nothing when nobody does. Raises AlreadyEnded when the run
    is over, and HandshakeRefused."""
    service, plan = request.service, request.job.checkpoints
    if service is None or not service.standby or plan is None or request.checkpoints is None:
        return None
    store = SnapshotStore(env, plan.location, plan.root)
    run = service.run

    revision = 0 if service.cluster is None else service.cluster.revision

    def heard(state: LogState) -> bool:
        refuse_what_is_over(state, run)
        return state.job_revision < revision  # who leads by an older job file is to be replaced

    try:
        await until_nobody_leads(env, store, endpoint, heard, leader, service.misses)
    except BaseException:
        await store.close()
        raise
    return store


async def _begin(
    env: Env, store: SnapshotStore, request: JobRequest, tell: Callable[[JobEvent], None]
) -> RestorePoint | None:
    """Leadership comes first: what is newest must not change any more while we look at it."""
    start, run, state = request.start, request.job.run_id, store.state
    if start.snapshot is None:
        await _say_what_is_left(store, state, tell)
        await store.begin(run, "")
        return None
    if start.snapshot == LATEST:
        point = await _latest(env, store, start, tell)
        run = state.run  # sinks then find what its earlier lives have left, and remove it
    else:
        point = await elsewhere(env, store.location, start)
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
        return await elsewhere(
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


def _source(point: RestorePoint) -> str:
    """A name that `snapshot_place` understands."""
    return f"{point.location.url.rstrip('/')}/{point.name}"
