"""One pass over a FlowJob: `reconcile(observed) -> Outcome`. Level-triggered: it asks what is, not what has happened.

The caller writes the status before it acts, so whatever is asked for is remembered, and may be asked for again after a
crash at any point. The decisions are in the modules beside this one; here is their order. Pure."""

from __future__ import annotations

from flowjob_operator.core.actions import FINALIZER, EmitEvent, EventType, Outcome
from flowjob_operator.core.conditions import conclude
from flowjob_operator.core.deciding import decide, reconsider
from flowjob_operator.core.deleting import delete, sync_finalizer
from flowjob_operator.core.gate import judge, roll_back
from flowjob_operator.core.in_place import IN_PLACE, advance_in_place
from flowjob_operator.core.observed import Observed
from flowjob_operator.core.plan_only import PLAN, PLAN_ONLY, plan, say_what_goes_on
from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.repairing import ensure_identity, repair, tidy
from flowjob_operator.core.replacing import REPLACING, advance_replacing
from flowjob_operator.core.scheduling import ask_by_clock, ask_by_nonce, retain
from flowjob_operator.core.steps import DROPPABLE, REPLACEABLE, Step
from flowjob_operator.core.suspending import LEAVING, advance_leaving, wind_down
from flowjob_operator.core.turn import Turn
from flowjob_operator.core.watching import count_pods, hold_back, watch
from flowjob_operator.rendering.effective import effective

PAUSE = "flowjob.dev/pause"
ADOPT = "flowjob.dev/adopt"
"""Its value is the owner that may take over from another."""

LOOK_EVERY = 10.0
"""Seconds, at a job that is meant to run and does not do so undisturbed; else what changes is told to the process."""
_BUSY = frozenset({Step.DEPLOYING.value, Step.REMOVING.value, Step.DISPOSING.value})
"""Steps that take away or bring by themselves."""


def reconcile(seen: Observed) -> Outcome:
    """What the object's status is to be, and what to do then."""
    metadata = seen.job.metadata
    if _is_anothers(seen):
        owner = seen.job.status.operator and seen.job.status.operator.owner
        text = (
            f"this FlowJob belongs to the operator {owner}: {seen.operator.owner} leaves it alone. "
            f"To hand it over, annotate it with {ADOPT}={seen.operator.owner}"
        )
        event = EmitEvent(
            type=EventType.WARNING, reason=Reason.OWNED_BY_ANOTHER.value, message=text
        )
        return Outcome(status=seen.job.status, actions=(event,))
    settings = effective(seen.job.spec, seen.defaults)
    turn = Turn(seen, settings.spec, seen.job.status, unfit=settings.refused)
    turn.set(effective=settings.values)
    for problem in settings.problems:
        turn.tell(Reason.DEFAULTS_INVALID, problem)
    watch(turn)
    if metadata.deletion_timestamp is not None:
        delete(turn)
    elif _says(seen, PAUSE):
        turn.wait(Reason.PAUSED, f"the annotation {PAUSE} holds everything", 60.0)
    elif not seen.namespace_terminating:
        _live(turn)
    count_pods(turn)
    conclude(turn)
    if turn.active and not _is_calm(turn):
        turn.look_again(LOOK_EVERY)
    hold_back(turn, seen.job.status)
    return turn.outcome()


def _is_anothers(seen: Observed) -> bool:
    known = seen.job.status.operator
    owner, me = None if known is None else known.owner, seen.operator.owner
    if owner is None or owner == me or owner in seen.operator.succeeds:
        return False
    return seen.job.metadata.annotations.get(ADOPT) != me


def _says(seen: Observed, annotation: str) -> bool:
    return seen.job.metadata.annotations.get(annotation, "").lower() == "true"


def _is_calm(turn: Turn) -> bool:
    """Nothing is under way, missing or to be judged: events and the resync bring whatever changes."""
    status, view = turn.status, turn.view
    pods = (status.job_managers, status.task_managers)
    return (
        status.operation is None
        and status.diagnosis is None
        and view is not None
        and view.state == "Running"
        and turn.revisions.stable == turn.revisions.current
        and all(each is not None and each.ready == each.wanted for each in pods)
    )


def _live(turn: Turn) -> None:
    sync_finalizer(turn)
    plans = _says(turn.seen, PLAN_ONLY)
    if plans:
        _plan(turn)
    else:
        judge(turn)
        reconsider(turn)
        if not roll_back(turn) and turn.operation is None:
            decide(turn)
        _advance(turn)
    _heal(turn)
    if not plans:
        ask_by_nonce(turn)
        ask_by_clock(turn)
        retain(turn)
        tidy(turn)


def _plan(turn: Turn) -> None:
    """Instead of doing anything; but what has begun to touch the job is carried through: it may be down meanwhile. An
    edit is compared with what runs then, so there is no plan before that is deployed."""
    if turn.operation is None or Step(turn.operation.step) in DROPPABLE:
        plan(turn)
        return
    _advance(turn)
    note, goes_on = turn.note, turn.operation
    if goes_on is None or Step(goes_on.step) in REPLACEABLE:
        plan(turn)
    if goes_on is not None:
        turn.note = note or turn.note
        say_what_goes_on(turn)


def _advance(turn: Turn) -> None:
    """As many steps as can be taken now."""
    for _ in range(2 * len(Step)):
        before = turn.operation
        if before is None:
            return
        if before.type in REPLACING:
            advance_replacing(turn)
        elif before.type in IN_PLACE:
            advance_in_place(turn)
        elif before.type in LEAVING:
            advance_leaving(turn)
        else:
            turn.end()  # a deletion that was called off: there is no such thing, but an object may be restored
        after = turn.operation
        if after is None or (after.step, after.type) == (before.step, before.type):
            return


def _heal(turn: Turn) -> None:
    operation = turn.operation
    if operation is not None and operation.step in _BUSY:
        return
    if turn.active:
        ensure_identity(turn)
        repair(turn)
    elif operation is None and turn.revisions.current is not None:
        wind_down(turn)


__all__ = ["ADOPT", "FINALIZER", "LOOK_EVERY", "PAUSE", "PLAN", "PLAN_ONLY", "reconcile"]
