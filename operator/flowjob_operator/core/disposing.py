"""Work on a snapshot's data without its job: verifying what is imported, deleting what nobody keeps.

Each is a Job `flowjob storage …` with a name made of the object's uid. A deletion that fails is tried a few times and
then given up with an event: the data stays, the object goes. Pure."""

from __future__ import annotations

from datetime import datetime

from flowjob.cluster.preflight_answer import StorageAnswer
from flowjob_operator.core.actions import Delete, StartStorageJob
from flowjob_operator.core.diagnosis import of_pods
from flowjob_operator.core.observed import StorageRun
from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.snapshot_turn import SnapshotTurn
from flowjob_operator.resources.conditions import ConditionType
from flowjob_operator.resources.flowsnapshot import StorageAccess
from flowjob_operator.resources.kinds import FlowJob
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
    job = turn.seen.job
    turn.set(
        storage=_access(turn),
        job_name=None if job is None else job.metadata.name,
        job_uid=None if job is None else job.metadata.uid,
    )
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


def dispose(turn: SnapshotTurn) -> None:
    """Of the data, and then of the finalizer."""
    if turn.status.path is None:
        turn.remove_finalizer()  # it was never taken
        return
    late = (turn.now - _begun(turn)).total_seconds() >= GIVE_UP_AFTER
    answer, why = _answer(turn, "dispose", starts=not late)
    if answer is not None and answer.done:
        break_off(turn)
        turn.remove_finalizer()
    elif late:
        _, run = storage_run(turn, "dispose")
        problem = why if answer is None else answer.problem
        # One that is at work may have deleted some of it.
        rest = "" if run is None or run.finished else ", or what is left of it,"
        text = (
            f"{turn.status.path}{rest} stays in storage: {problem or 'it was not deleted in time'}"
        )
        turn.set(error=text)
        turn.tell(Reason.DISPOSAL_FAILED, text)
        break_off(turn)
        turn.remove_finalizer()
    elif answer is not None:
        _again(turn, "dispose", answer.problem or "it was not said why")
    elif why:
        turn.set(error=why)


def _begun(turn: SnapshotTurn) -> datetime:
    """When disposal did: a job may have needed it long after the object was deleted."""
    deleted = turn.seen.snapshot.metadata.deletion_timestamp or turn.now
    said = turn.seen.snapshot.status.conditions
    ready = next((c for c in said if c.type == ConditionType.READY.value), None)
    if ready is None or ready.reason != Reason.DISPOSING.value:
        return turn.now
    return max(deleted, ready.last_transition_time)


def break_off(turn: SnapshotTurn) -> None:
    """Nobody owns what works for an object that goes: it would stay, and go on."""
    name, run = storage_run(turn, "dispose")
    if run is not None:
        turn.act(*taken_away(name))


def taken_away(
    name: str, uid: str = "", *, operation: str = "", propagation: str = "Background"
) -> tuple[Delete, ...]:
    """A short Job, and what has its name. That goes with it by itself, unless whoever made them died in between."""
    job = Delete(kind="Job", name=name, uid=uid, operation=operation, propagation=propagation)
    beside = (
        Delete(kind=kind, name=name, operation=operation) for kind in ("ConfigMap", "NetworkPolicy")
    )
    return (job, *beside)


def _answer(
    turn: SnapshotTurn, command: str, *, starts: bool = True
) -> tuple[StorageAnswer | None, str]:
    """What the Job has said; else why it has not. Starts it if there is none."""
    name, run = storage_run(turn, command)
    turn.look_again(2.0)
    if run is None:
        return None, _start(turn, name, command) if starts else turn.status.error or ""
    if run.answer is not None:
        return run.answer, ""
    why = of_pods(run.pods) or run.problem
    if run.finished:
        _again(turn, command, why or "its pod gave no answer")
    return None, why


def _start(turn: SnapshotTurn, name: str, command: str) -> str:
    """Why it cannot be; empty: it is. The job, while it is there, has more to say than what was kept of it: volumes."""
    spec, status, job = turn.seen.snapshot.spec, turn.status, _job(turn)
    access = _access(turn)
    if access is None and job is None:
        return "nothing says how its storage is reached"
    whose = (status.job_name, status.job_uid)
    if spec.storage is not None:
        whose = (None, None)  # the object says it all
    elif job is not None:
        whose = (job.metadata.name, job.metadata.uid)
    turn.act(
        StartStorageJob(
            name=name,
            command=command,
            path=status.path or spec.path,
            access=access,
            job=whose[0],
            job_uid=whose[1],
        )
    )
    return ""


def _job(turn: SnapshotTurn) -> FlowJob | None:
    """What is imported belongs to whichever job of that name there is, what was taken to one."""
    return turn.seen.job if turn.status.job_uid is None else turn.job


def _access(turn: SnapshotTurn) -> StorageAccess | None:
    spec, status, job = turn.seen.snapshot.spec, turn.status, _job(turn)
    known = spec.storage or status.storage
    if known is not None or job is None:
        return known
    path = status.path or spec.path
    found = None if path is None else turn.access_at(job, path, status.completed_at)
    # What is imported may lie anywhere: it is reached as the job's own.
    return found if found is not None or spec.path is None else turn.access_now(job)


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
