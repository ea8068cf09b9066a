"""Work on a snapshot's data without its job: verifying what is imported, deleting what nobody keeps.

Each is a Job `flowjob storage …` with a name made of the object's uid. A deletion that fails is tried a few times and
then given up with an event: the data stays, the object goes. Pure."""

from __future__ import annotations

from flowjob.cluster.preflight_answer import StorageAnswer
from flowjob_operator.core.actions import Delete, StartStorageJob
from flowjob_operator.core.diagnosis import of_pods
from flowjob_operator.core.observed import StorageRun
from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.snapshot_turn import SnapshotTurn
from flowjob_operator.resources.snapshot_facts import SnapshotFact, SnapshotType

GIVE_UP_AFTER = 600.0
"""Seconds from the deletion of the object, or from the beginning of an import."""
_RETRY_AFTER = 30.0


def storage_run(turn: SnapshotTurn, command: str) -> tuple[str, StorageRun | None]:
    """Name of the Job for a command, and the Job."""
    metadata = turn.seen.snapshot.metadata
    name = f"{metadata.name[:32].rstrip('-.')}-{metadata.uid[:8]}-{command}"
    return name, next((run for run in turn.seen.storage_runs if run.name == name), None)


def verify(turn: SnapshotTurn) -> None:
    """What lies at spec.path."""
    answer, why = _answer(turn, "verify")
    if answer is None:
        begun = turn.status.started_at or turn.now
        if (turn.now - begun).total_seconds() >= GIVE_UP_AFTER:
            turn.fail(why or "nobody could look at it in time")
        else:
            turn.waits = (Reason.VERIFYING, why)
        return
    if not answer.done or answer.kind is None:
        turn.fail(answer.problem or "there is no complete snapshot")
        return
    path = turn.seen.snapshot.spec.path or answer.path
    turn.complete(
        SnapshotFact.of(
            {
                "type": SnapshotType(answer.kind),
                "path": path,
                "checksum": answer.checksum or None,
                "size": answer.size,
                "completedAt": answer.taken_at,
            }
        )
    )
    job = turn.seen.job
    storage = turn.seen.snapshot.spec.storage or (None if job is None else turn.access(job))
    turn.set(
        storage=storage,
        job_name=None if job is None else job.metadata.name,
        job_uid=None if job is None else job.metadata.uid,
    )


def dispose(turn: SnapshotTurn) -> None:
    """Of the data, and then of the finalizer."""
    if turn.status.path is None:
        turn.remove_finalizer()  # it was never taken
        return
    answer, why = _answer(turn, "dispose")
    begun = turn.seen.snapshot.metadata.deletion_timestamp or turn.now
    late = (turn.now - begun).total_seconds() >= GIVE_UP_AFTER
    if answer is not None and answer.done:
        _clear(turn)
        turn.remove_finalizer()
    elif late:
        problem = why if answer is None else answer.problem
        text = f"{turn.status.path} is left in storage: {problem}"
        turn.set(error=text)
        turn.tell(Reason.DISPOSAL_FAILED, text)
        _clear(turn)
        turn.remove_finalizer()
    elif answer is not None:
        _again(turn, "dispose", answer.problem or "it was not said why")


def _clear(turn: SnapshotTurn) -> None:
    """Nobody owns what works for an object that goes: it would stay."""
    name, run = storage_run(turn, "dispose")
    if run is not None:
        turn.act(Delete(kind="Job", name=name), Delete(kind="ConfigMap", name=name))


def _answer(turn: SnapshotTurn, command: str) -> tuple[StorageAnswer | None, str]:
    """What the Job has said; else why it has not. Starts it if there is none."""
    name, run = storage_run(turn, command)
    turn.look_again(2.0)
    if run is None:
        snapshot = turn.seen.snapshot
        path = turn.status.path or snapshot.spec.path
        access = turn.status.storage or snapshot.spec.storage
        job = turn.seen.job
        if access is None and job is not None:
            access = turn.access(job)
        turn.act(StartStorageJob(name=name, command=command, path=path, access=access))
        return None, ""
    if run.answer is not None:
        return run.answer, ""
    why = of_pods(run.pods) or run.problem
    if run.finished:
        _again(turn, command, why or "its pod gave no answer")
    return None, why


def _again(turn: SnapshotTurn, command: str, why: str) -> None:
    """The same Job once more, after a while."""
    _, run = storage_run(turn, command)
    turn.set(error=why)
    if run is None:
        return
    left = _RETRY_AFTER - (turn.now - run.created_at).total_seconds()
    if left > 0:
        turn.look_again(left)
        return
    turn.act(Delete(kind="Job", name=run.name, uid=run.uid))
