"""Snapshots that a job's spec asks for: by the clock, by a nonce; and which of those by the clock are kept.

A snapshot's name is made of what asks for it, so that it is made once, however often it is asked for. Only snapshots
that we made by ourselves are ever deleted, never the newest complete one, never one that a job needs. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flowjob.cluster.control_api import TakeCheckpoint
from flowjob_operator.core.actions import MADE_BY, Ask, CreateSnapshot, Delete
from flowjob_operator.core.asking import checkpoint_id
from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.schedule import last_due, next_due
from flowjob_operator.core.settings import time_of
from flowjob_operator.core.turn import Turn
from flowjob_operator.resources.conditions import ConditionType, Truth
from flowjob_operator.resources.fields import Reference
from flowjob_operator.resources.flowjob_status import Schedule
from flowjob_operator.resources.flowsnapshot import FlowSnapshotSpec, SnapshotPhase
from flowjob_operator.resources.kinds import FlowJob, FlowSnapshot
from flowjob_operator.resources.snapshot_facts import Nonces, SnapshotType

RETAINED_BY_COUNT = ("Schedule", "Upgrade", "Suspension")
_OVER = frozenset({SnapshotPhase.FAILED, SnapshotPhase.ABANDONED})
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def ask_by_nonce(turn: Turn) -> None:
    """Nonces that changed while the job is meant to run; each asks once."""
    job, known = turn.spec.job, turn.status.nonces or Nonces()
    if not turn.active:
        return
    if job.savepoint_nonce is not None and job.savepoint_nonce != known.savepoint:
        name = f"{turn.name}-{turn.uid[:8]}-s{job.savepoint_nonce}"
        if _create(turn, name, "Nonce"):
            known = known.model_copy(update={"savepoint": job.savepoint_nonce})
    nonce = job.checkpoint_nonce
    if nonce is not None and nonce != known.checkpoint and _has_checkpoint(turn, nonce):
        known = known.model_copy(update={"checkpoint": nonce})
    if known != (turn.status.nonces or Nonces()):
        turn.set(nonces=known)


def _has_checkpoint(turn: Turn, nonce: int) -> bool:
    id = checkpoint_id(turn.seen.job, nonce)
    answer = turn.seen.operations.get(id)
    if answer is not None and answer.state != "UnderWay":
        if answer.state == "Failed":
            turn.tell(Reason.FAILING, f"the checkpoint that was asked for failed: {answer.error}")
        return True
    if turn.view is not None and turn.view.state == "Running":
        turn.act(Ask(id=id, request=TakeCheckpoint()))
        turn.look_again(2.0)
    return False


def _create(turn: Turn, name: str, made_by: str) -> bool:
    """Whether it is there."""
    if any(s.metadata.name == name for s in turn.seen.snapshots):
        return True
    spec = FlowSnapshotSpec(job_ref=Reference(name=turn.name), type=SnapshotType.SAVEPOINT)
    turn.act(CreateSnapshot(name=name, spec=spec, made_by=made_by))
    return False


def ask_by_clock(turn: Turn) -> None:
    """One for the newest time that is due: what was missed before is not made up for."""
    text, known = turn.spec.snapshots.schedule, turn.status.schedule
    if text is None:
        if known is not None:
            turn.set(schedule=None)
        return
    anchor = turn.seen.job.metadata.creation_timestamp or turn.now
    try:
        due, following = last_due(text, turn.now, anchor), next_due(text, turn.now, anchor)
    except ValueError as error:
        turn.bad_schedule = f"snapshots.schedule: {error}"
        turn.tell(Reason.SCHEDULE_INVALID, turn.bad_schedule)
        return
    if known is None:  # nothing is due that lies before the schedule
        known = Schedule(last_time=turn.now)
    if due is not None and due > (known.last_time or _LONG_AGO):
        name = f"{turn.name}-{turn.uid[:8]}-{due:%Y%m%d%H%M}"
        # A job that is at rest changes nothing: there is nothing to save.
        if not turn.active or _create(turn, name, "Schedule"):
            last = name if turn.active else known.last_snapshot
            known = known.model_copy(update={"last_time": due, "last_snapshot": last})
    if following is not None:
        turn.look_again((following - turn.now).total_seconds())
    turn.set(schedule=known.model_copy(update={"next_time": following}))


def retain(turn: Turn) -> None:
    """Delete what retention does not keep: by count and age, each way of making them by itself."""
    retention = turn.spec.snapshots.retention
    oldest = _LONG_AGO
    if retention.max_age is not None:
        oldest = turn.now - timedelta(seconds=time_of(retention.max_age, 0.0))
    for way in RETAINED_BY_COUNT:
        ours = [s for s in turn.seen.snapshots if _is_ours(turn, s, way)]
        complete = sorted(
            (s for s in ours if s.status.phase is SnapshotPhase.COMPLETED),
            key=lambda s: s.status.completed_at or _LONG_AGO,
            reverse=True,
        )
        kept = retention.count or 10
        doomed = [
            snapshot
            for rank, snapshot in enumerate(complete)
            if rank > 0 and (rank >= kept or (snapshot.status.completed_at or turn.now) < oldest)
        ]
        if complete:
            newest = complete[0].status.completed_at or _LONG_AGO
            doomed += [s for s in ours if s.status.phase in _OVER and _made(s) < newest]
        for snapshot in doomed:
            if snapshot.metadata.deletion_timestamp is None and not _in_use(turn, snapshot):
                meta = snapshot.metadata
                turn.act(Delete(kind="FlowSnapshot", name=meta.name, uid=meta.uid))


def _is_ours(turn: Turn, snapshot: FlowSnapshot, way: str) -> bool:
    """Made by us, so, and for this job: what an earlier one of its name has left is for a person to decide about. One
    that says of no job that it was taken has no data."""
    if snapshot.metadata.labels.get(MADE_BY) != way:
        return False
    status = snapshot.status
    return status.job_uid == turn.uid or (status.phase in _OVER and status.job_uid is None)


def _made(snapshot: FlowSnapshot) -> datetime:
    return snapshot.metadata.creation_timestamp or _LONG_AGO


def _in_use(turn: Turn, snapshot: FlowSnapshot) -> bool:
    flags = [c for c in snapshot.status.conditions if c.type == ConditionType.IN_USE.value]
    told = any(c.status is Truth.TRUE for c in flags)
    job = turn.seen.job.model_copy(update={"status": turn.status})
    return told or needs(job, snapshot)


def needs(job: FlowJob, snapshot: FlowSnapshot) -> bool:
    """Whether a job could not resume without a snapshot: it is the newest state that is known, or what the job is
    about to begin with."""
    status, path = job.status, snapshot.status.path or snapshot.spec.path
    wanted = job.spec.job.restore_from
    about_to = status.revisions is None or status.revisions.current is None
    nonces = status.nonces or Nonces()
    about_to |= (
        job.spec.job.restore_nonce is not None and job.spec.job.restore_nonce != nonces.restore
    )
    if about_to and wanted is not None and wanted.snapshot == snapshot.metadata.name:
        return True
    if path is None:
        return False
    operation, start = status.operation, status.start
    paths = {status.expected.path} if status.expected is not None else set()
    if operation is not None and operation.expected is not None:
        paths.add(operation.expected.path)
    if status.expected is None and start is not None and start.path is not None:
        paths.add(start.path)
    return path in paths
