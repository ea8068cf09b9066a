"""The pre-flight of a revision: one pod pulls, fetches, imports and plans it, before anything that runs is stopped.

What it finds pins the code and says how many slots are needed. A failure leaves what runs alone; where nothing runs it
is tried again, because a registry may come back. Pure."""

from __future__ import annotations

import hashlib

from flowjob.cluster.preflight_answer import PreflightAnswer
from flowjob_operator.core.actions import Delete, StartPreflight
from flowjob_operator.core.beginnings import beginning_of_operation
from flowjob_operator.core.diagnosis import of_pods
from flowjob_operator.core.observed import PreflightRun
from flowjob_operator.core.planning import same_deployment, task_managers
from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.revision import Revision
from flowjob_operator.core.settings import time_of
from flowjob_operator.core.steps import Step
from flowjob_operator.core.turn import Turn
from flowjob_operator.resources.flowjob_spec import FlowJobSpec, Preflight
from flowjob_operator.resources.flowjob_status import Code, OperationType

_MAY_PASS = frozenset({"STORAGE"})
"""Codes of refusals that are of the moment, not of the program."""
_SLACK = 30.0
"""Seconds after the Job's own deadline."""

_FIRST_PAUSE, _LONGEST_PAUSE = 10.0, 300.0
"""Seconds behind one that gave no answer, until the next: twice as long each time."""


def needs_preflight(turn: Turn) -> bool:
    """An artifact is always fetched and pinned there. What has run as it is need not prove itself again."""
    operation, deployed = turn.operation, turn.deployed
    if turn.spec.job.artifact is not None and pinned(turn, turn.spec).digest is None:
        return True
    if turn.spec.upgrade.preflight is Preflight.SKIP:
        return False
    again = operation is not None and operation.type in (
        OperationType.RESUME,
        OperationType.RESTART,
    )
    return not again or deployed is None or not same_deployment(deployed.revision.spec, turn.spec)


def pinned(turn: Turn, spec: FlowJobSpec) -> Code:
    """What is known of the code of a revision with this spec."""
    image = spec.image
    if spec.job.script is not None:
        digest = hashlib.sha256(spec.job.script.encode()).hexdigest()
        return Code(digest=f"sha256:{digest}", image=image)
    if spec.job.artifact is None:
        return Code(image=image)
    operation = turn.operation
    run = None if operation is None else _run(turn, operation.revision)
    if run is not None and run.answer is not None and run.answer.digest:
        digest = run.answer.digest.removeprefix("sha256:")
        return Code(digest=f"sha256:{digest}", location=run.answer.artifact, image=image)
    for saved in (turn.deployed, turn.saved(turn.revisions.stable)):
        # The same revision once more: what lies there now may be something else.
        if saved is not None and same_deployment(saved.revision.spec, spec):
            return saved.revision.code
    return Code(image=image)


def run_preflight(turn: Turn, revision: Revision) -> None:
    """Start it, wait for it, and judge it."""
    operation = turn.doing
    seconds = time_of(turn.spec.upgrade.preflight_timeout, 300.0)
    run = _run(turn, revision.number)
    if run is None and (pause := _pause_left(turn)) > 0:
        turn.wait(Reason.PREFLIGHT_FAILED, operation.message, pause)
        return
    if operation.deadline is None:
        turn.step_within(seconds + _SLACK)
    if run is None:
        restore = beginning_of_operation(turn)
        turn.act(StartPreflight(revision=revision, restore=restore, deadline=seconds))
        turn.amend(message="")
        turn.wait(Reason.PREFLIGHT, "the new revision is tried in a pod of its own", 2.0)
        return
    if run.answer is not None:
        _judge(turn, revision, run.answer)
        return
    lives = any(not pod.gone and pod.deleting_since is None for pod in run.pods)
    trouble = of_pods(run.pods) or ("" if lives else operation.message or run.problem)
    if not run.finished and not turn.late():
        # Kept: past its deadline a Job deletes the pod that shows it.
        turn.amend(message=trouble)
        why = f"; {trouble}" if trouble else ""
        turn.wait(Reason.PREFLIGHT, f"the new revision is tried in a pod of its own{why}", 2.0)
        return
    _failed(turn, run, trouble or "it gave no answer in time")


def _judge(turn: Turn, revision: Revision, answer: PreflightAnswer) -> None:
    operation = turn.doing
    if answer.accepted:
        count = task_managers(answer.needed, revision.spec) if answer.needed else None
        turn.step(Step.SAVING, task_managers=count)
        return
    why = "; ".join(answer.problems) or "it gave no reason"
    run = _run(turn, revision.number)
    if answer.error_code in _MAY_PASS and not turn.active and run is not None:
        _failed(turn, run, why)
        return
    if operation.type is OperationType.ROLLBACK:
        turn.refuse(
            Reason.ROLLBACK_WOULD_REPEAT,
            f"the stable revision does not accept the newest state of revision {turn.revisions.current}: {why}. "
            "The job is stopped and its state is kept: fix the spec, or restore an older snapshot",
        )
        turn.begin(OperationType.CANCEL, Step.REMOVING, revision=turn.revisions.current)
        return
    turn.refuse(Reason.PREFLIGHT_FAILED, why)


def _failed(turn: Turn, run: PreflightRun, why: str) -> None:
    """Without a verdict."""
    operation = turn.doing
    if turn.active and operation.type is not OperationType.ROLLBACK:
        turn.refuse(Reason.PREFLIGHT_FAILED, why)
        return
    turn.act(Delete(kind="Job", name=run.name, uid=run.uid, operation=operation.id))
    turn.tell(Reason.PREFLIGHT_FAILED, f"{why}; it is tried again")
    # Under another number: the Job that goes has this one.
    again, attempts = f"{why}; it is tried again", operation.attempts + 1
    turn.step(Step.PREFLIGHT, revision=turn.next_number, attempts=attempts, message=again)
    turn.wait(Reason.PREFLIGHT_FAILED, again, _FIRST_PAUSE)


def _pause_left(turn: Turn) -> float:
    """Seconds until it is tried again, so that what can never start does not keep a node busy."""
    operation = turn.doing
    if not operation.attempts or operation.step_started_at is None:
        return 0.0
    pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(operation.attempts - 1, 10))
    return pause - (turn.now - operation.step_started_at).total_seconds()


def _run(turn: Turn, number: int | None) -> PreflightRun | None:
    return next((run for run in turn.seen.preflights if run.revision == number), None)
