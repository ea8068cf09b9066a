"""Stop a job, before it is replaced, suspended, cancelled or deleted: with a savepoint where that is possible.

The table of docs/upgrades.md in code. A savepoint that was completed counts, whatever happened to the job afterwards;
one that cannot be taken leads to the newest complete snapshot, or to waiting, never to nothing. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from flowjob.cluster.control_api import CancelJob, Snapshot, StopJob
from flowjob_operator.core.actions import Ask
from flowjob_operator.core.asking import request_id
from flowjob_operator.core.beginnings import fact, is_stateless
from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.settings import time_of
from flowjob_operator.core.steps import Step
from flowjob_operator.core.turn import Turn
from flowjob_operator.resources.fields import seconds
from flowjob_operator.resources.flowjob_spec import Fallback, UpgradeMode
from flowjob_operator.resources.flowjob_status import JobState, Operation, OperationType
from flowjob_operator.resources.snapshot_facts import SnapshotType

PATIENCE = 30.0
"""Seconds that a JobManager may be silent, or coming up, before the job counts as not running: it may be failing
over."""
CANCEL_WITHIN = 30.0
"""Seconds; what is left then is ended with its pods."""
RETRY_AFTER = 30.0
_ENDED = ("Finished", "Cancelled", "Failed")
_COMING = ("Waiting", "Starting", "Deploying")
_AT_REST = frozenset({None, JobState.SUSPENDED, JobState.FINISHED, JobState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Manner:
    """How to stop. `is_mandatory`: nothing else will do than a savepoint; `falls_back`: the newest complete snapshot
    will do."""

    savepoint: bool = False
    cancel: bool = False
    falls_back: bool = True
    is_mandatory: bool = False
    drain: bool = False
    discard: bool = False


def manner(turn: Turn, operation: Operation) -> Manner:
    """Of stopping for an operation."""
    kind, deployed = operation.type, turn.deployed
    if kind in (OperationType.RESTORE, OperationType.CANCEL) or is_stateless(turn, kind):
        return Manner(cancel=True)
    if deployed is None or deployed.revision.spec.checkpoints.storage is None:
        return Manner(cancel=True)  # it keeps no state anywhere
    if kind is OperationType.SUSPEND and turn.job.state is JobState.FAILED:
        return Manner()  # it can never take one
    if kind is OperationType.MOVE:
        return Manner(savepoint=True, falls_back=False, is_mandatory=True)
    if kind is OperationType.ROLLBACK or not _saves(turn, operation):
        return Manner()
    drain = kind is OperationType.SUSPEND and bool(turn.spec.job.stop.drain)
    falls_back = turn.spec.upgrade.fallback is not Fallback.WAIT
    return Manner(savepoint=True, falls_back=falls_back, drain=drain)


def _saves(turn: Turn, operation: Operation) -> bool:
    """By the mode; or because the newest snapshot is older than upgrade.maxCheckpointAge, and the job runs, so that
    there can be a younger one. A job that was asked to stop with a savepoint goes on doing so."""
    mode, allowed, view = turn.spec.upgrade.mode, turn.spec.upgrade.max_checkpoint_age, turn.view
    if mode is not UpgradeMode.LAST_STATE or allowed is None:
        return mode is UpgradeMode.SAVEPOINT
    if operation.step == Step.STOPPING.value and operation.deadline is not None:
        return True
    since = turn.status.last_checkpoint_time or turn.revisions.current_since
    if view is None or view.state != "Running" or since is None:
        return False
    return (turn.now - since).total_seconds() > seconds(allowed)


def stopped(turn: Turn, how: Manner) -> bool:
    """Whether its pods may go now. Asks for what is needed; may refuse the operation."""
    if how.cancel:
        return _cancelled(turn, how)
    found = _savepoint(turn)
    if found is not None:
        turn.set(expected=fact(found))
        turn.amend(expected=fact(found))
        return True
    return _saved(turn, how) if how.savepoint else True


def _cancelled(turn: Turn, how: Manner) -> bool:
    view, answer, operation = turn.view, turn.answer("Cancel"), turn.operation
    if view is None or operation is None or view.state in (*_ENDED, "Suspended"):
        return True
    if answer is not None and answer.state != "UnderWay":
        return True
    if operation.deadline is None:
        turn.step_within(CANCEL_WITHIN)
    if turn.late():
        return True
    turn.act(Ask(id=_id(turn, "Cancel"), request=CancelJob(discard=how.discard)))
    turn.wait(Reason.CANCELLING, "the job is being cancelled")
    return False


def _saved(turn: Turn, how: Manner) -> bool:
    if _nothing_is_lost(turn, how):
        return True
    view, operation = turn.view, turn.doing
    if operation.deadline is None:
        turn.step_within(time_of(turn.spec.upgrade.savepoint_timeout, 600.0))
    if view is None or view.state in _COMING:
        why = "the JobManager does not answer" if view is None else f"the job is {view.state}"
        if _since(turn) < PATIENCE:
            turn.wait(Reason.WAITING_FOR_SAVEPOINT, why)
            return False
        return _without(turn, how, why)
    if view.state in ("Finished", "Cancelled") and not how.is_mandatory:
        return True  # nothing newer can come than what the log has
    if turn.late():
        return _without(turn, how, "the savepoint was not complete in time")
    if view.state == "Running":
        return _ask(turn, how)
    if view.state == "Stopping":
        turn.wait(Reason.WAITING_FOR_SAVEPOINT, "the job stops with a savepoint", 1.0)
        return False
    return _without(turn, how, f"the job does not run, it is {view.state}")


def _savepoint(turn: Turn) -> Snapshot | None:
    """The one that was asked for, or another one that the job has ended with."""
    answer = turn.answer("Stop")
    if answer is not None and answer.snapshot is not None:
        return answer.snapshot
    view = turn.view
    if view is None:
        return None
    latest = view.checkpoints.latest
    if view.final is None and view.state == "Failed" and latest and latest.type == "Savepoint":
        return latest  # it failed right after it
    return view.final


def _nothing_is_lost(turn: Turn, how: Manner) -> bool:
    """It is stopped already, or has not run since it was deployed (a wrong image): its state is what it was before."""
    if turn.job.state not in _AT_REST:
        view = turn.view
        if turn.job.started_at is not None or (view is not None and view.state == "Running"):
            return False
    expected = turn.status.expected
    return not how.is_mandatory or expected is None or expected.type is SnapshotType.SAVEPOINT


def _ask(turn: Turn, how: Manner) -> bool:
    operation, answer = turn.doing, turn.answer("Stop")
    if answer is not None and answer.state == "Failed":
        turn.tell(Reason.SAVEPOINT_FAILED, f"savepoint failed: {answer.error}")
        if how.falls_back:
            return _without(turn, how, f"the savepoint failed: {answer.error}")
        # Another id asks anew, but not in a tight loop.
        message = f"the savepoint failed: {answer.error}"
        turn.amend(attempts=operation.attempts + 1, step_started_at=turn.now, message=message)
        turn.wait(Reason.SAVEPOINT_FAILED, message, RETRY_AFTER)
        return False
    if operation.attempts > 0 and answer is None and _since(turn) < RETRY_AFTER:
        turn.wait(Reason.SAVEPOINT_FAILED, operation.message, RETRY_AFTER - _since(turn))
        return False
    allowed = time_of(turn.spec.upgrade.savepoint_timeout, 600.0)
    # The same directory each time: it is taken once. One that failed has left objects in its own.
    name = f"{operation.type.value.lower()}-{turn.uid}-{operation.revision or operation.generation}"
    if operation.attempts:
        name += f"-{operation.attempts + 1}"
    request = StopJob(name=name, drain=how.drain, timeout=f"{max(1, round(allowed))}s")
    turn.act(Ask(id=_id(turn, "Stop"), request=request))
    turn.wait(Reason.WAITING_FOR_SAVEPOINT, "the job stops with a savepoint", 1.0)
    return False


def _without(turn: Turn, how: Manner, why: str) -> bool:
    """There is no savepoint."""
    operation = turn.doing
    if how.falls_back:
        if not operation.fallback:
            turn.amend(fallback=True)
            turn.tell(Reason.FELL_BACK, f"going on from the newest complete snapshot: {why}")
        return True
    if how.is_mandatory and turn.late():
        turn.refuse(
            Reason.MOVE_NEEDS_SAVEPOINT,
            f"moving to another storage takes a savepoint, and {why}. The job stays where it is",
        )
        return False
    if turn.late():
        turn.step_within(time_of(turn.spec.upgrade.savepoint_timeout, 600.0))
    hint = "" if how.is_mandatory else "; upgrade.fallback LastState would not wait"
    turn.wait(Reason.WAITING_FOR_SAVEPOINT, f"{why}{hint}")
    return False


def _since(turn: Turn) -> float:
    """Seconds that this step, or this attempt at it, takes already."""
    return (turn.now - (turn.doing.step_started_at or turn.now)).total_seconds()


def _id(turn: Turn, kind: str) -> str:
    operation = turn.doing
    return request_id(operation, kind, operation.attempts)
