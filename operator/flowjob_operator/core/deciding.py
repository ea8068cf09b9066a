"""What to do next: compares what is wanted with what is deployed, and begins the operation that leads there.

The order matters: whether the job is to run at all comes first, then what it begins with, then how it differs. One
operation at a time; what a newer edit does to one that is under way is decided here, too. Pure."""

from __future__ import annotations

from flowjob_operator.core.gate import still_refused
from flowjob_operator.core.in_place import OF_CLASS, call_back
from flowjob_operator.core.observed import SavedRevision
from flowjob_operator.core.planning import (
    Wanted,
    parallelism,
    wanted_now,
    was_rolled_back,
)
from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.steps import DROPPABLE, IN_PLACE_STEPS, REPLACEABLE, Step
from flowjob_operator.core.turn import Turn
from flowjob_operator.resources.flowjob_spec import UpgradeMode
from flowjob_operator.resources.flowjob_status import JobState, OperationType
from flowjob_operator.resources.job_spec import WantedState
from flowjob_operator.resources.snapshot_facts import Nonces

_LEFT = frozenset({JobState.CANCELLED, JobState.FINISHED})
_GOES_ON = frozenset({"Waiting", "Starting", "Deploying", "Running", "Restarting"})


def reconsider(turn: Turn) -> None:
    """The spec was edited during an operation."""
    operation = turn.operation
    if operation is None or operation.generation == turn.generation:
        return
    step = Step(operation.step)
    if step in DROPPABLE or (step is Step.STOPPING and not _stop_is_under_way(turn)):
        turn.end()
    elif step in REPLACEABLE or (step in IN_PLACE_STEPS and not _runs(turn)):
        _replace(turn)


def _replace(turn: Turn) -> None:
    """By what the edit asks for; if it asks for nothing the operation goes on."""
    operation = turn.operation
    turn.set(operation=None)
    decide(turn)
    if turn.operation is None:
        turn.set(operation=operation)


def _stop_is_under_way(turn: Turn) -> bool:
    """Then it is carried through: the job is stopped, or about to be."""
    view = turn.view
    answer = turn.answer("Stop") or turn.answer("Cancel")
    asked = answer is not None and answer.state != "Failed"
    return asked or (view is not None and view.state in ("Stopping", "Suspended"))


def _runs(turn: Turn) -> bool:
    return turn.view is not None and turn.view.state == "Running"


def decide(turn: Turn) -> None:
    """Begin what is to be done, if anything is."""
    match turn.spec.job.state:
        case WantedState.CANCELLED:
            _leave(turn, OperationType.CANCEL, JobState.CANCELLED)
        case WantedState.SUSPENDED:
            _leave(turn, OperationType.SUSPEND, JobState.SUSPENDED)
        case _:
            _run(turn)


def _leave(turn: Turn, kind: OperationType, state: JobState) -> None:
    now = turn.job.state
    if now is state or now in _LEFT:
        return
    if turn.revisions.current is None or now is JobState.SUSPENDED:
        turn.set_job(state=state)
        return
    turn.begin(kind, Step.STOPPING, revision=turn.revisions.current)


def _run(turn: Turn) -> None:
    deployed, restores = turn.deployed, _restores(turn)
    if turn.is_refused and not _has_another_width_than_what_failed(turn):
        if deployed is not None:
            _settle_width(turn, deployed)
        return
    if deployed is None:
        _without_revision(turn, restores)
        return
    target = wanted_now(turn, deployed)
    if _is_impossible(turn, target):
        return
    if restores:
        _begin(turn, OperationType.RESTORE)
    elif turn.job.state is JobState.CANCELLED:
        _again_after_cancel(turn)
    elif turn.job.state is JobState.SUSPENDED:
        _begin(turn, OperationType.MOVE if target.moves else OperationType.RESUME)
    elif _was_refused_to_begin(turn, deployed):
        _begin(turn, _once_more(turn, deployed, target))
    elif was_rolled_back(turn) and _restarts(turn):
        _begin(turn, OperationType.RESTART)  # what failed is asked for once more
    elif target.actions:
        _change(turn, target)
    elif _restarts(turn):
        _begin(turn, OperationType.RESTART)
    else:
        turn.set(refused=still_refused(turn) or turn.status.refused)
        _settle_width(turn, deployed)


def _without_revision(turn: Turn, restores: bool) -> None:
    """Nothing was ever deployed; or what was is not known any more, and then a job that may run is not touched."""
    if turn.revisions.current is None:
        _begin(turn, OperationType.START)
    elif restores:
        _begin(turn, OperationType.RESTORE)
    elif turn.job.state is JobState.SUSPENDED:
        _begin(turn, OperationType.RESUME)
    elif _restarts(turn):
        _begin(turn, OperationType.RESTART)
    else:
        number = turn.revisions.current
        text = f"ControllerRevision {turn.name}-{number} is not there, or cannot be read"
        turn.wait(
            Reason.REVISION_MISSING, f"{text}: a new restartNonce deploys the spec anew", 60.0
        )


def _was_refused_to_begin(turn: Turn, deployed: SavedRevision) -> bool:
    """The JobManager would not start it (state of an earlier job, a snapshot that does not fit), and the spec was
    edited since: priorState, restoreFrom and allowNonRestored are what such an edit is about."""
    never_ran = turn.job.state is JobState.FAILED and turn.job.started_at is None
    return never_ran and deployed.revision.generation != turn.generation


def _once_more(turn: Turn, deployed: SavedRevision, target: Wanted) -> OperationType:
    """How such a start is tried again. A job that has never run begins as its spec says now. One that has goes on with
    what that start was to begin with, be it a savepoint that no spec names; restoreFrom counts where it was edited
    since, as long as nothing is known to be complete behind it."""
    named, nothing_newer = turn.seen.job.spec.job.restore_from, turn.status.expected is None
    ran = turn.status.parallelism is not None or turn.revisions.stable is not None
    if nothing_newer and not ran:
        return OperationType.START
    if nothing_newer and named not in (None, deployed.revision.written.job.restore_from):
        return OperationType.RESTORE
    if target.moves:
        return OperationType.MOVE
    stays = was_rolled_back(turn) and not _restarts(turn)
    return OperationType.UPGRADE if stays else OperationType.RESTART


def _begin(turn: Turn, kind: OperationType) -> None:
    if turn.unfit:  # by a default perhaps, which may change: not remembered as refused
        turn.wait(Reason.SPEC_REFUSED, "; ".join(turn.unfit), 60.0)
        return
    turn.begin(kind, Step.CHECKING, revision=turn.next_number)


def _change(turn: Turn, target: Wanted) -> None:
    if target.replaces:
        _begin(turn, OperationType.MOVE if target.moves else OperationType.UPGRADE)
        return
    if turn.job.state is JobState.FINISHED:
        return  # neither its width nor its pace matters any more
    if not _runs(turn) or _restarts(turn):
        if turn.view is None and turn.job.state is JobState.UNKNOWN and not _restarts(turn):
            turn.wait(Reason.JOB_MANAGER_UNREACHABLE, "the JobManager does not answer")
            return
        _begin(turn, OperationType.UPGRADE)
        return
    _begin(turn, OF_CLASS[target.actions[0]])


def _is_impossible(turn: Turn, target: Wanted) -> bool:
    most, width = turn.status.max_parallelism, parallelism(turn.spec)
    if target.refused:
        text = f"maxParallelism is {most} for the life of the job: state is divided by it"
        turn.refuse(Reason.MAX_PARALLELISM_FIXED, text)
        return True
    if most is not None and width > most:
        text = f"parallelism {width} exceeds maxParallelism {most}, which the first start has fixed"
        turn.refuse(Reason.PARALLELISM_TOO_HIGH, text)
        return True
    return False


def _again_after_cancel(turn: Turn) -> None:
    if turn.spec.upgrade.mode is UpgradeMode.STATELESS:
        _begin(turn, OperationType.RESTART)
        return
    turn.refuse(
        Reason.CANCELLED_FOR_GOOD,
        "the job was cancelled for good. Its checkpoints are kept: give restoreFrom with a new restoreNonce to begin "
        "with one, or upgrade.mode Stateless to begin with nothing",
    )


def _has_another_width_than_what_failed(turn: Turn) -> bool:
    """It was written while that was being rolled back, and is not refused with it."""
    failed, refused = turn.saved(turn.revisions.failed), turn.status.refused
    if failed is None or refused is None or refused.reason != Reason.ROLLED_BACK.value:
        return False
    return parallelism(failed.revision.spec) != parallelism(turn.spec)


def _settle_width(turn: Turn, deployed: SavedRevision) -> None:
    """The JobManager may carry out what was given up: it goes on at a width that is not the deployed one. Is it the one
    that is wanted, that is made true; else it is called back, unless it has refused that, too."""
    view, refused = turn.view, turn.status.refused if turn.is_refused else None
    if view is None or view.state not in _GOES_ON or view.parallelism <= 0:
        return
    target = wanted_now(turn, deployed)
    if refused is None or refused.reason != Reason.RESCALE_FAILED.value:
        if view.parallelism != parallelism(deployed.revision.spec):
            call_back(turn, deployed)
    elif view.parallelism == parallelism(target.spec) and _runs(turn):
        turn.set(refused=None)
        if target.in_place:
            _change(turn, target)


def _restores(turn: Turn) -> bool:
    nonce, known = turn.spec.job.restore_nonce, turn.status.nonces or Nonces()
    return nonce is not None and nonce != known.restore


def _restarts(turn: Turn) -> bool:
    nonce, known = turn.spec.job.restart_nonce, turn.status.nonces or Nonces()
    return nonce is not None and nonce != known.restart
