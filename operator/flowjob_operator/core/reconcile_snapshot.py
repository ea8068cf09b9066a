"""One pass over a FlowSnapshot: `reconcile_snapshot(observed) -> SnapshotOutcome`: taken, imported, kept, disposed of.

Taking one is asked of the JobManager under an id that status has; what needs no job (verifying, deleting data) is done
by a Job of its own, so that snapshots outlive jobs. Deleting always ends: what cannot be deleted is retained. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta

from flowjob.cluster.control_api import JobManagerView, OperationView, TakeCheckpoint, TakeSavepoint
from flowjob_operator.core.actions import FACT, FINALIZER, AddFinalizer, Ask, SnapshotOutcome
from flowjob_operator.core.beginnings import fact as fact_of
from flowjob_operator.core.disposing import break_off, dispose, storage_run, verify
from flowjob_operator.core.observed import SnapshotObserved
from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.revision import Revision
from flowjob_operator.core.scheduling import needs
from flowjob_operator.core.snapshot_turn import SnapshotTurn
from flowjob_operator.core.turn import ENDED
from flowjob_operator.resources.flowsnapshot import SnapshotPhase, StorageAccess
from flowjob_operator.resources.snapshot_facts import SnapshotFact, SnapshotType

WAIT_FOR_JOB = 600.0
"""Seconds that a job may take to appear, or to run."""
MOST_ATTEMPTS = 5
FIRST_PAUSE = 10.0
"""Seconds before it is asked for again; twice as long each time."""

_OVER = frozenset({SnapshotPhase.COMPLETED, SnapshotPhase.FAILED, SnapshotPhase.ABANDONED})


def reconcile_snapshot(
    seen: SnapshotObserved, revisions: Iterable[Revision] = ()
) -> SnapshotOutcome:
    """What the object's status is to be, and what to do then. `revisions`: of the job that is seen; without any, the
    settings that its status says are in force stand for them."""
    turn = SnapshotTurn(seen, seen.snapshot.status, tuple(revisions))
    metadata = seen.snapshot.metadata
    turn.set(observed_generation=metadata.generation)
    in_use = [job.metadata.name for job in seen.users if needs(job, seen.snapshot)]
    if metadata.deletion_timestamp is not None:
        _leave(turn, in_use)
    elif not seen.namespace_terminating and not seen.crd_going:
        _live(turn)
    turn.say_in_use(in_use)
    return turn.outcome()


def _live(turn: SnapshotTurn) -> None:
    _sync_finalizer(turn)
    phase = turn.status.phase
    if phase in _OVER:
        return
    if turn.seen.snapshot.spec.path is not None:
        _import(turn)
    else:
        _take(turn)


def _sync_finalizer(turn: SnapshotTurn) -> None:
    """Before there is anything to dispose of; and gone as soon as there will be nothing."""
    there = FINALIZER in turn.seen.snapshot.metadata.finalizers
    if turn.discards and not there:
        turn.act(AddFinalizer())
    elif there and not turn.discards:
        turn.remove_finalizer()


def _import(turn: SnapshotTurn) -> None:
    """A path that somebody has given. Known facts need no verification: we have just written it ourselves."""
    snapshot = turn.seen.snapshot
    told = snapshot.metadata.annotations.get(FACT)
    fact = None if told is None else _told(told)
    if fact is not None and fact.path == snapshot.spec.path:
        _remember_job(turn, fact)
        turn.complete(fact)
        return
    turn.set(phase=SnapshotPhase.IN_PROGRESS, started_at=turn.status.started_at or turn.now)
    verify(turn)


def _told(text: str) -> SnapshotFact | None:
    try:
        return SnapshotFact.of(json.loads(text))
    except ValueError:  # pydantic's, too
        return None


def _take(turn: SnapshotTurn) -> None:
    """Of the job that spec.jobRef names; of no other one of that name that comes later."""
    job, status, made = turn.seen.job, turn.status, turn.made
    if status.job_uid is not None and (job is None or job.metadata.uid != status.job_uid):
        turn.abandon(Reason.JOB_MISSING, "the job is gone")
        return
    patience = WAIT_FOR_JOB - (turn.now - (status.started_at or made)).total_seconds()
    if job is None:
        turn.patient(patience, Reason.JOB_MISSING, "there is no such FlowJob")
        return
    operation = turn.seen.operation
    if status.operation_id is not None and operation is not None:
        _heard(turn, operation)
        return
    state = job.status.job and job.status.job.state
    if state in ENDED and job.status.operation is None:
        turn.abandon(Reason.JOB_NOT_RUNNING, f"the job is {state.value if state else 'not there'}")
        return
    view = turn.seen.jobmanager
    if not isinstance(view, JobManagerView) or view.uid != job.metadata.uid:
        turn.patient(patience, Reason.JOB_NOT_RUNNING, "the JobManager does not answer")
        return
    if view.state != "Running":
        turn.patient(patience, Reason.JOB_NOT_RUNNING, f"the job is {view.state}")
        return
    _ask(turn)


def _ask(turn: SnapshotTurn) -> None:
    """Under an id that is written before; again under the same, should the JobManager have forgotten it."""
    status, metadata = turn.status, turn.seen.snapshot.metadata
    attempts = status.attempts or 0
    if status.operation_id is None:
        wait = _pause(turn, attempts)
        if wait > 0:
            turn.look_again(wait)
            return
        attempts += 1
        turn.set(
            phase=SnapshotPhase.IN_PROGRESS,
            attempts=attempts,
            operation_id=f"{metadata.uid}.{attempts}",
            started_at=status.started_at or turn.now,
            error=None,
        )
        _remember_job(turn)
    takes_checkpoint = turn.seen.snapshot.spec.type is SnapshotType.CHECKPOINT
    # By its name a savepoint is taken once, under whatever id. One that failed has left objects in its directory.
    name = f"{metadata.name}-{metadata.uid}" + (f"-{attempts}" if attempts > 1 else "")
    savepoint = TakeSavepoint(name=name[-200:].lstrip("-."))
    request = TakeCheckpoint() if takes_checkpoint else savepoint
    turn.act(Ask(id=turn.status.operation_id or "", request=request))
    turn.look_again(2.0)


def _pause(turn: SnapshotTurn, attempts: int) -> float:
    """Seconds until the next attempt: pauses grow from the first request on."""
    if attempts == 0 or turn.status.started_at is None:
        return 0.0
    due = turn.status.started_at + timedelta(seconds=FIRST_PAUSE * (2**attempts - 1))
    return (due - turn.now).total_seconds()


def _heard(turn: SnapshotTurn, operation: OperationView) -> None:
    if operation.state == "Done" and operation.snapshot is not None:
        turn.complete(fact_of(operation.snapshot))
        return
    if operation.state == "UnderWay":
        turn.look_again(2.0)
        return
    error = operation.error or "it was not said why"
    if (turn.status.attempts or 0) >= MOST_ATTEMPTS:
        turn.fail(error)
        return
    turn.set(operation_id=None, error=error)
    turn.look_again(max(_pause(turn, turn.status.attempts or 0), 1.0))


def _remember_job(turn: SnapshotTurn, fact: SnapshotFact | None = None) -> None:
    """Whose it is, and how its storage is reached when the job is gone. `fact`: of what is there already."""
    job, said = turn.seen.job, turn.seen.snapshot.spec.storage
    if job is None:
        return
    if said is not None:
        storage: StorageAccess | None = said
    elif fact is not None:
        storage = turn.access_at(job, fact.path, fact.completed_at)
    else:
        storage = turn.access_now(job)
    turn.set(
        job_name=job.metadata.name,
        job_uid=job.metadata.uid,
        max_parallelism=job.status.max_parallelism,
        storage=storage,
    )


def _leave(turn: SnapshotTurn, in_use: list[str]) -> None:
    """It is being deleted; with our finalizer its data goes first, unless somebody needs it."""
    seen = turn.seen
    if FINALIZER not in seen.snapshot.metadata.finalizers:
        return
    if seen.namespace_terminating or seen.crd_going or not turn.discards:
        break_off(turn)
        turn.remove_finalizer()
        return
    if in_use:
        break_off(turn)
        turn.look_again(30.0)
        return
    if turn.status.phase is SnapshotPhase.IN_PROGRESS and turn.status.path is None:
        # What is under way would be left behind by a deletion now.
        operation = seen.operation
        if operation is not None and operation.state == "UnderWay":
            turn.look_again(2.0)
            return
        if operation is not None and operation.snapshot is not None:
            turn.complete(fact_of(operation.snapshot))
    turn.set(phase=SnapshotPhase.DELETING)
    dispose(turn)


__all__ = ["FACT", "reconcile_snapshot", "storage_run"]
