"""Operations that keep the JobManager: rescaling, new TaskManagers, new settings.

Slots first, then the change, then fewer pods: the job that runs is touched only when all it needs is there. Past the
deadline the old parallelism goes on. A change the JobManager refuses is taken back. Pure."""

from __future__ import annotations

from typing import Final

from flowjob.cluster.control_api import ChangeSettings, OperationView, Rescale, TakeCheckpoint
from flowjob_operator.core.actions import Ask, DryRun, EventType, SaveRevision
from flowjob_operator.core.asking import request_id
from flowjob_operator.core.gate import still_refused
from flowjob_operator.core.observed import TASK_MANAGER, SavedRevision
from flowjob_operator.core.planning import parallelism, slots_at, task_managers, wanted_now
from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.removal import (
    pods,
    remove_task_managers,
    renew_task_managers,
    task_manager_set,
)
from flowjob_operator.core.repairing import apply, want_task_managers, wanted_task_managers
from flowjob_operator.core.replacing import takeable
from flowjob_operator.core.revision import Part, Revision
from flowjob_operator.core.settings import time_of
from flowjob_operator.core.steps import Step
from flowjob_operator.core.turn import Turn
from flowjob_operator.rendering.job_files import checkpoint_settings
from flowjob_operator.resources.changes import changes
from flowjob_operator.resources.field_classes import FieldClass
from flowjob_operator.resources.flowjob_spec import FlowJobSpec
from flowjob_operator.resources.flowjob_status import Operation, OperationType

IN_PLACE = frozenset(
    {OperationType.RESCALE, OperationType.ROLL_TASK_MANAGERS, OperationType.SETTINGS}
)
OF_CLASS: Final = {
    FieldClass.TM_ROLL: OperationType.ROLL_TASK_MANAGERS,
    FieldClass.RESCALE: OperationType.RESCALE,
    FieldClass.LIVE: OperationType.SETTINGS,
}
_CHECKPOINT_WITHIN = 60.0
_ANSWER_WITHIN = 300.0
_MORE_WHILE_UNDER_WAY = 600.0
"""Seconds behind _ANSWER_WITHIN for a JobManager that says it is at it: what is given up it may do all the same."""
_RESCALES = 3
_ASK_AGAIN = 10.0


def advance_in_place(turn: Turn) -> None:
    """One step, if it is due."""
    operation, deployed = turn.doing, turn.deployed
    if deployed is None:
        turn.end()
        return
    match Step(operation.step):
        case Step.CHECKING:
            _check(turn, operation, deployed)
        case Step.GROWING:
            _grow(turn, deployed)
        case Step.SAVING:
            _save(turn, operation, deployed)
        case Step.SETTINGS:
            _tell(turn, deployed)
        case Step.ROLLING:
            _roll(turn, operation, deployed)
        case Step.REDEPLOYING:
            _redeploy(turn, operation, deployed)
        case _:
            turn.end()


def _candidate(turn: Turn, operation: Operation, deployed: SavedRevision) -> Revision:
    target = wanted_now(turn, deployed)
    number = operation.revision or turn.next_number
    rolls = FieldClass.TM_ROLL in target.actions
    return Revision(
        number=number,
        base=deployed.revision.base,
        template=number if rolls else deployed.revision.template,
        previous=deployed.number,
        generation=turn.generation,
        written=target.written,
        spec=target.spec,
        code=deployed.revision.code,
        prefix=deployed.revision.prefix,
    )


def _fresh(operation: Operation) -> frozenset[Part]:
    rolls = operation.type is OperationType.ROLL_TASK_MANAGERS
    return frozenset({Part.FILE, Part.TASK_MANAGERS} if rolls else {Part.FILE})


def _check(turn: Turn, operation: Operation, deployed: SavedRevision) -> None:
    revision = _candidate(turn, operation, deployed)
    if operation.type is OperationType.ROLL_TASK_MANAGERS:
        answer = turn.seen.dry_run
        if (
            answer is None
            or answer.revision != revision.number
            or answer.generation != turn.generation
        ):
            turn.act(DryRun(revision=revision, fresh=_fresh(operation)))
            turn.wait(Reason.PREFLIGHT, "the API server is asked whether it takes all objects", 1.0)
            return
        problems = "; ".join(takeable(turn, answer.problems, revision.spec))
        if problems:
            turn.refuse(Reason.OBJECTS_REFUSED, f"the API server refuses: {problems}")
            return
    count = _count(turn, deployed, revision.spec)
    grows = operation.type is OperationType.RESCALE and count > wanted_task_managers(turn)
    seconds = time_of(turn.spec.upgrade.slots_timeout, 300.0)
    if grows:
        turn.step(Step.GROWING, within=seconds, task_managers=count)
    else:
        turn.step(Step.SAVING, task_managers=count)


def _count(turn: Turn, deployed: SavedRevision, spec: FlowJobSpec) -> int:
    """TaskManagers that the new spec takes."""
    view, old = turn.view, deployed.revision.spec
    known, width = (0, 0) if view is None else (view.slots.needed, view.parallelism)
    if known == 0:  # not known: as many per subtask as there are now
        known = wanted_task_managers(turn) * (old.task_manager.slots or 1)
        width = parallelism(old)
        if known - width < (old.task_manager.slots or 1):
            known = width
    return task_managers(slots_at(parallelism(spec), known, width), spec)


def _grow(turn: Turn, deployed: SavedRevision) -> None:
    operation, view = turn.doing, turn.view
    count = operation.task_managers or 1
    slots = count * (deployed.revision.spec.task_manager.slots or 1)
    offered = 0 if view is None else view.slots.offered
    if offered >= slots:
        turn.step(Step.SAVING)
    elif turn.late():
        # The pods that came are taken away again by repair: nobody wants them any more.
        turn.refuse(
            Reason.SLOTS_UNAVAILABLE,
            f"{count} TaskManagers were wanted, and did not come in time ({offered} of {slots} slots are there): "
            "the job goes on at its old parallelism",
        )
    else:
        turn.act(apply(turn, deployed, Part.TASK_MANAGERS))
        turn.wait(Reason.RESCALING, f"{count} TaskManagers are wanted for {slots} slots", 2.0)


def _save(turn: Turn, operation: Operation, deployed: SavedRevision) -> None:
    saved = turn.saved(operation.revision)
    if saved is None:
        revision = _candidate(turn, operation, deployed)
        turn.act(SaveRevision(revision=revision, fresh=_fresh(operation)))
        turn.wait(Reason.PREFLIGHT, "the revision is being saved", 1.0)
        return
    view, rolls = turn.view, operation.type is OperationType.ROLL_TASK_MANAGERS
    counts = view is not None and view.state == "Running"
    turn.set_revisions(
        current=saved.number,
        target=saved.number,
        current_since=turn.now,
        baseline_checkpoints=view.checkpoints.completed if view is not None and counts else None,
        baseline_restarts=view.restarts if view is not None and counts else None,
    )
    turn.set(refused=still_refused(turn))
    count = operation.task_managers
    if count is not None and (rolls or count > wanted_task_managers(turn)):
        want_task_managers(turn, count)
    _next(turn, after=None)


def _next(turn: Turn, after: Step | None) -> None:
    """The first step that has something to do."""
    deployed = turn.deployed
    previous = None if deployed is None else turn.saved(deployed.revision.previous)
    if deployed is None or previous is None:
        turn.end()
        return
    kinds = changes(previous.revision.spec, deployed.revision.spec).actions
    wide = parallelism(previous.revision.spec) != parallelism(deployed.revision.spec)
    order = {
        Step.SETTINGS: FieldClass.LIVE in kinds,
        Step.ROLLING: FieldClass.TM_ROLL in kinds,
        Step.REDEPLOYING: wide,
    }
    steps = list(order)
    for step in steps[0 if after is None else steps.index(after) + 1 :]:
        if order[step]:
            turn.step(step, within=_ANSWER_WITHIN if step is not Step.ROLLING else None)
            return
    _done(turn)


def _done(turn: Turn) -> None:
    operation = turn.doing
    if operation.task_managers is not None and operation.type is not OperationType.SETTINGS:
        want_task_managers(turn, operation.task_managers)
    what = f"revision {turn.revisions.current}: {operation.type.value} done"
    turn.tell(Reason.UP_TO_DATE, what, EventType.NORMAL)
    turn.end()


def _tell(turn: Turn, deployed: SavedRevision) -> None:
    """New settings, to the job that runs; the next JobManager reads them in its file."""
    turn.act(apply(turn, deployed, Part.FILE))
    view, answer = turn.view, turn.answer("Settings")
    if answer is not None and answer.state == "Failed":
        _take_back(turn, deployed, Reason.SETTINGS_REFUSED, answer.error)
        return
    if answer is not None and answer.state == "Done":
        _next(turn, after=Step.SETTINGS)
        return
    if turn.late():
        _next(turn, after=Step.SETTINGS)
        return
    if view is not None:
        spec = deployed.revision.spec
        request = ChangeSettings(
            checkpoints=checkpoint_settings(spec.checkpoints), restarts=spec.job.restarts.wire()
        )
        turn.act(Ask(id=_id(turn, "Settings"), request=request))
    turn.wait(Reason.CHANGING_SETTINGS, "the JobManager is told the new settings", 1.0)


def _roll(turn: Turn, operation: Operation, deployed: SavedRevision) -> None:
    """All pods at once: one restart of the job, not one per pod. A checkpoint first, so that little is done twice."""
    view, template = turn.view, deployed.revision.template
    since = (turn.now - (operation.step_started_at or turn.now)).total_seconds()
    there = task_manager_set(turn)
    if there is not None and there.revision != template and since < _CHECKPOINT_WITHIN:
        answer = turn.answer("Checkpoint")
        if view is not None and view.state == "Running" and not _is_over(answer):
            turn.act(Ask(id=_id(turn, "Checkpoint"), request=TakeCheckpoint()))
            turn.wait(Reason.ROLLING_TASK_MANAGERS, "a checkpoint is taken first", 1.0)
            return
    if there is not None and there.revision != template and _needs_new_set(turn, deployed):
        remove_task_managers(turn)
    else:
        turn.act(apply(turn, deployed, Part.FILE, Part.TASK_MANAGERS))
    renewed = renew_task_managers(turn, template)
    ready = [p for p in pods(turn, TASK_MANAGER) if p.ready and p.revision == template]
    wanted_count = wanted_task_managers(turn)
    runs = view is not None and view.state == "Running"
    if renewed and len(ready) >= wanted_count and runs:
        _next(turn, after=Step.ROLLING)
        return
    message = f"{len(ready)} of {wanted_count} new TaskManagers are ready"
    turn.wait(Reason.ROLLING_TASK_MANAGERS, message, 2.0)


def _is_over(answer: OperationView | None) -> bool:
    return answer is not None and answer.state != "UnderWay"


def _needs_new_set(turn: Turn, deployed: SavedRevision) -> bool:
    """Claims of a set cannot be changed."""
    previous = turn.saved(deployed.revision.previous)
    if previous is None:
        return False
    old, new = previous.revision.spec, deployed.revision.spec
    return old.task_manager.local_volume != new.task_manager.local_volume


def _redeploy(turn: Turn, operation: Operation, deployed: SavedRevision) -> None:
    turn.act(apply(turn, deployed, Part.FILE))
    view, answer = turn.view, turn.answer("Rescale")
    width = parallelism(deployed.revision.spec)
    if view is not None and view.parallelism == width and view.state == "Running":
        _done(turn)
        return
    if answer is not None and answer.state == "Failed":
        if operation.attempts + 1 >= _RESCALES:
            _give_up(turn, deployed, answer.error)
        else:
            again = f"it is asked again: {answer.error}"
            turn.amend(attempts=operation.attempts + 1, step_started_at=turn.now, message=again)
            turn.wait(Reason.RESCALING, again, _ASK_AGAIN)
        return
    waited = (turn.now - (operation.step_started_at or turn.now)).total_seconds()
    if operation.attempts > 0 and answer is None and waited < _ASK_AGAIN:
        turn.wait(Reason.RESCALING, operation.message, _ASK_AGAIN - waited)
        return
    if turn.late() and not _may_still_come(turn, answer):
        _give_up(turn, deployed, "the JobManager did not do it in time")
        return
    if view is not None and view.parallelism != width and view.state == "Running":
        count = operation.task_managers or wanted_task_managers(turn)
        request = Rescale(parallelism=width, task_managers=count)
        turn.act(Ask(id=_id(turn, "Rescale"), request=request))
    turn.wait(Reason.RESCALING, f"the job goes on at parallelism {width}", 1.0)


def _may_still_come(turn: Turn, answer: OperationView | None) -> bool:
    """It is waited for, unless the spec asks for something else by now."""
    deadline, generation = turn.doing.deadline, turn.doing.generation
    if deadline is None or answer is None or answer.state != "UnderWay":
        return False
    if generation != turn.generation:
        return False
    left = _MORE_WHILE_UNDER_WAY - (turn.now - deadline).total_seconds()
    turn.look_again(left)
    return left > 0


def call_back(turn: Turn, deployed: SavedRevision) -> None:
    """To the width of what is deployed: a JobManager that has gone on at another one. It is asked when it runs, so it
    has what it needs until then."""
    spec, view = deployed.revision.spec, turn.view
    count = _count(turn, deployed, spec)
    needed = 0 if view is None else task_managers(view.slots.needed, spec)
    want_task_managers(turn, max(needed, wanted_task_managers(turn)))
    turn.begin(OperationType.RESCALE, Step.REDEPLOYING, task_managers=count)
    turn.step_within(_ANSWER_WITHIN)


def _give_up(turn: Turn, deployed: SavedRevision, why: str | None) -> None:
    """A job that runs goes on as it did. One that does not, or has new TaskManagers already, is started anew."""
    view, operation = turn.view, turn.doing
    if view is not None and view.state == "Running" and operation.type is OperationType.RESCALE:
        if operation.revision is None:  # it was called back: nothing new is deployed
            text = f"{why}: the job stays at parallelism {view.parallelism}"
            turn.refuse(Reason.RESCALE_FAILED, text)
        else:
            _take_back(turn, deployed, Reason.RESCALE_FAILED, why)
        return
    turn.tell(Reason.RESCALE_FAILED, f"{why}: the job is started anew")
    turn.begin(OperationType.UPGRADE, Step.CHECKING, revision=turn.next_number)


def _take_back(turn: Turn, deployed: SavedRevision, reason: Reason, why: str | None) -> None:
    """What was deployed before is deployed again: the JobManager runs it still."""
    previous = turn.saved(deployed.revision.previous)
    if previous is not None:
        turn.set_revisions(current=previous.number, target=previous.number)
        turn.act(apply(turn, previous, Part.FILE))
    turn.refuse(reason, f"{why or 'it was refused'}: the job goes on as before")


def _id(turn: Turn, kind: str) -> str:
    operation = turn.doing
    return request_id(operation, kind, operation.attempts)
