"""Whether what is deployed has become stable, and whether to roll back because it does not.

Stable: so many checkpoints since the last restart. A rollback is a replacement by the last stable spec, with the newest
state; a person is asked when that state is refused. Pure."""

from __future__ import annotations

from flowjob.cluster.control_api import JobManagerView
from flowjob_operator.core.actions import EventType
from flowjob_operator.core.observed import SavedRevision
from flowjob_operator.core.planning import same_but_width, was_rolled_back
from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.settings import time_of
from flowjob_operator.core.steps import Step
from flowjob_operator.core.turn import Turn
from flowjob_operator.resources.changes import changes
from flowjob_operator.resources.field_classes import FieldClass
from flowjob_operator.resources.fields import OFF
from flowjob_operator.resources.flowjob_status import (
    JobState,
    OperationType,
    Refusal,
    Revisions,
)

_STABLE_WITHOUT_CHECKPOINTS = 60.0
"""Seconds without a restart."""
_WORTH_IT = frozenset({FieldClass.UPGRADE, FieldClass.TM_ROLL})


def judge(turn: Turn) -> None:
    """Move the baselines, and mark what is deployed as stable."""
    view, revisions = turn.view, turn.revisions
    if view is None or revisions.current is None or revisions.stable == revisions.current:
        return
    if view.state == "Waiting":
        return  # it does not lead, so it counts nothing, and may know more in a moment
    if _counts_anew(view, revisions):
        turn.set_revisions(
            baseline_restarts=view.restarts, baseline_checkpoints=view.checkpoints.completed
        )
        return
    if turn.operation is not None or view.state not in ("Running", "Finished"):
        return
    done = view.checkpoints.completed - (revisions.baseline_checkpoints or 0)
    needed = turn.spec.upgrade.rollback.checkpoints or 3
    since = revisions.current_since or turn.now
    runs_on = (turn.now - since).total_seconds() >= _STABLE_WITHOUT_CHECKPOINTS
    without = turn.spec.checkpoints.interval == OFF or turn.spec.checkpoints.storage is None
    if done >= needed or (without and runs_on) or view.state == "Finished":
        turn.set_revisions(stable=revisions.current)
        turn.tell(Reason.STABLE, f"revision {revisions.current} is stable", EventType.NORMAL)


def _counts_anew(view: JobManagerView, revisions: Revisions) -> bool:
    """The job has restarted; or its JobManager has, which counts from nothing then, so that there is less of something
    than there was. What it has counted before it is first seen is left out: some of it may count already."""
    checkpoints, restarts = revisions.baseline_checkpoints, revisions.baseline_restarts
    if checkpoints is None or restarts is None:
        return True
    return view.restarts != restarts or view.checkpoints.completed < checkpoints


def still_refused(turn: Turn) -> Refusal | None:
    """A spec that was rolled back stays refused, whatever else of the object is edited. None: it was not."""
    if not was_rolled_back(turn):
        return None
    known = turn.status.refused
    if known is None or known.reason != Reason.ROLLED_BACK.value:
        what = f"revision {turn.revisions.failed} was rolled back, and is not tried again as it is"
        known = Refusal(generation=0, reason=Reason.ROLLED_BACK.value, message=what, at=turn.now)
    return known.model_copy(update={"generation": turn.generation})


def roll_back(turn: Turn) -> bool:
    """Begin a rollback, if one is due."""
    stable, current = turn.saved(turn.revisions.stable), turn.deployed
    if not turn.spec.upgrade.rollback.enabled or stable is None or current is None:
        return False
    if not _can(turn, stable, current):
        return False
    since = turn.revisions.current_since or turn.now
    seconds = time_of(turn.spec.upgrade.rollback.deadline, 600.0)
    left = seconds - (turn.now - since).total_seconds()
    failed = turn.job.state is JobState.FAILED
    if left > 0 and not failed:
        turn.look_again(left)
        return False
    why = turn.job.error if failed else f"it did not become stable within {seconds:g} s"
    message = (
        f"revision {current.number} is rolled back to the spec of revision {stable.number}: {why}"
    )
    turn.set(
        refused=Refusal(
            generation=turn.generation,
            reason=Reason.ROLLED_BACK.value,
            message=message,
            at=turn.now,
        )
    )
    turn.tell(Reason.ROLLING_BACK, message)
    turn.begin(OperationType.ROLLBACK, Step.CHECKING, revision=turn.next_number)
    return True


def _can(turn: Turn, stable: SavedRevision, current: SavedRevision) -> bool:
    operation = turn.operation
    if operation is not None and (
        operation.type is OperationType.ROLLBACK or operation.step != Step.STARTING.value
    ):
        return False
    if stable.number == current.number or turn.is_refused:
        return False
    if not same_but_width(current.revision.written, turn.seen.job.spec):
        return False  # a new spec wins, but a new width is none
    kinds = changes(stable.revision.spec, current.revision.spec).actions
    # Not over a move, which is an action of its own: the state lies elsewhere. And not for a width alone: an autoscaler
    # would fight it.
    return bool(_WORTH_IT & set(kinds))
