"""The annotation flowjob.dev/plan-only: status.plan says what would happen, and nothing is changed.

A dry run of all objects and a pre-flight under the number 0, which no revision has. What runs is looked after as ever,
and an operation that has begun to touch it is carried through. Pure."""

from __future__ import annotations

from flowjob_operator.core.actions import Delete, DryRun, StartPreflight
from flowjob_operator.core.beginnings import beginning_now
from flowjob_operator.core.diagnosis import of_pods
from flowjob_operator.core.in_place import OF_CLASS
from flowjob_operator.core.observed import PreflightRun
from flowjob_operator.core.planning import parallelism, task_managers, wanted_now
from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.revision import Revision
from flowjob_operator.core.settings import time_of
from flowjob_operator.core.turn import Turn
from flowjob_operator.resources.changes import FieldChange
from flowjob_operator.resources.field_classes import FieldClass
from flowjob_operator.resources.flowjob_status import (
    Code,
    OperationType,
    Plan,
    PlannedChange,
)

PLAN_ONLY = "flowjob.dev/plan-only"
PLAN = 0
"""The number of what is only planned."""
_SHOWN = 200
_MOST = 32


def plan(turn: Turn) -> None:
    """One pass of it; look at the result in status.plan.accepted."""
    known = turn.status.plan
    if known is None or known.generation != turn.generation:
        known = _begun(turn)
        turn.set(plan=known)
    run = next((r for r in turn.seen.preflights if r.revision == PLAN), None)
    if run is not None and known.checked_at is not None and run.created_at < known.checked_at:
        turn.act(Delete(kind="Job", name=run.name, uid=run.uid))  # of an earlier plan
        turn.look_again(2.0)
        return
    if known.accepted is not None:
        if run is not None:
            turn.act(Delete(kind="Job", name=run.name, uid=run.uid))
        return
    _pursue(turn, known, run)


def say_what_goes_on(turn: Turn) -> None:
    """In the Progressing condition, behind what is waited for."""
    if turn.note is None:
        return
    reason, message = turn.note
    kind = turn.doing.type.value
    turn.note = (reason, f"{message}; {PLAN_ONLY} holds nothing that has begun: {kind} goes on")


def _begun(turn: Turn) -> Plan:
    deployed = turn.deployed
    if deployed is None:
        return Plan(
            generation=turn.generation, checked_at=turn.now, actions=[OperationType.START.value]
        )
    target = wanted_now(turn, deployed)
    actions = []
    for kind in target.actions:
        if kind is FieldClass.MOVE:
            actions.append(OperationType.MOVE.value)
        elif kind is FieldClass.UPGRADE:
            actions.append(OperationType.UPGRADE.value)
        else:
            actions.append(OF_CLASS[kind].value)
    expected = turn.status.expected
    return Plan(
        generation=turn.generation,
        checked_at=turn.now,
        actions=actions,
        changes=[_change(change) for change in target.changes],
        restore_from=None if expected is None else expected.path,
    )


def _change(change: FieldChange) -> PlannedChange:
    def text(value: object) -> str | None:
        return None if value is None else str(value)[:_SHOWN]

    word = change.kind.value.replace(" ", "")
    return PlannedChange(field=change.path, kind=word, old=text(change.old), new=text(change.new))


def _pursue(turn: Turn, known: Plan, run: PreflightRun | None) -> None:
    revision = _revision(turn)
    answer = turn.seen.dry_run
    if answer is None or answer.revision != PLAN or answer.generation != turn.generation:
        turn.act(DryRun(revision=revision))
        turn.wait(Reason.PREFLIGHT, "a plan is being made", 1.0)
        return
    if answer.problems:
        _close(turn, known, problems=answer.problems)
        return
    seconds = time_of(turn.spec.upgrade.preflight_timeout, 300.0)
    if run is None:
        restore = beginning_now(turn)
        turn.act(StartPreflight(revision=revision, restore=restore, deadline=seconds))
    elif run.answer is not None:
        said = run.answer
        needed = said.needed or parallelism(turn.spec)
        _close(
            turn,
            known.model_copy(
                update={
                    "restore_from": said.restore_from or known.restore_from,
                    "task_managers": task_managers(needed, turn.spec),
                    "notes": list(said.notes)[:_MOST],
                }
            ),
            problems=() if said.accepted else said.problems or ("it gave no reason",),
        )
        return
    elif run.finished or (turn.now - run.created_at).total_seconds() > seconds:
        _close(turn, known, problems=(of_pods(run.pods) or run.problem or "it gave no answer",))
        return
    turn.wait(Reason.PREFLIGHT, "a plan is being made", 2.0)


def _close(turn: Turn, known: Plan, problems: tuple[str, ...]) -> None:
    done = {"accepted": not problems, "problems": list(problems)[:_MOST]}
    turn.set(plan=known.model_copy(update=done))


def _revision(turn: Turn) -> Revision:
    return Revision(
        number=PLAN,
        base=PLAN,
        template=PLAN,
        generation=turn.generation,
        written=turn.seen.job.spec,
        spec=turn.spec,
        code=Code(image=turn.spec.image),
    )
