"""A FlowJob that is being deleted: what becomes of its state, and an end in any case.

Retain has no finalizer: owner references do it all. Savepoint and Discard get the time of deletionTimeout; what fails
or is late is retained, never discarded. A namespace that goes takes the job with it at once; whoever removes the
definition of FlowJobs has not said of any job that its data goes. Pure."""

from __future__ import annotations

from flowjob_operator.core.actions import (
    FINALIZER,
    AddFinalizer,
    EventType,
    RemoveFinalizer,
    StartStorageJob,
)
from flowjob_operator.core.disposing import taken_away
from flowjob_operator.core.observed import StorageRun
from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.removal import remove_job_managers, remove_task_managers
from flowjob_operator.core.replacing import keep_savepoint
from flowjob_operator.core.revision import Revision
from flowjob_operator.core.settings import time_of
from flowjob_operator.core.steps import Step
from flowjob_operator.core.stopping import Manner, stopped
from flowjob_operator.core.turn import Turn
from flowjob_operator.resources.flowjob_spec import DeletionPolicy
from flowjob_operator.resources.flowjob_status import Code, Operation, OperationType, Phase

_PODS_WITHIN = 60.0
"""Seconds that pods are waited for after the deadline; what they still do is fenced."""
_LATE = "deletionTimeout has passed"


def sync_finalizer(turn: Turn) -> None:
    """There is one exactly as long as somebody must act before the object goes."""
    wanted = turn.spec.deletion_policy is not DeletionPolicy.RETAIN
    there = FINALIZER in turn.seen.job.metadata.finalizers
    if wanted and not there and not turn.seen.namespace_terminating:
        turn.act(AddFinalizer())
    elif there and not wanted and _all_owned(turn):
        turn.act(RemoveFinalizer())


def _all_owned(turn: Turn) -> bool:
    """Without owner references nobody would delete them."""
    return all(c.owned for c in turn.seen.children if c.kind in ("Deployment", "StatefulSet"))


def delete(turn: Turn) -> None:
    """One pass over an object with a deletionTimestamp."""
    turn.set(phase=Phase.DELETING)
    if FINALIZER not in turn.seen.job.metadata.finalizers:
        turn.set(operation=None)
        return  # what is left goes by its owner references
    operation = turn.operation
    if operation is None or operation.type is not OperationType.DELETE:
        turn.begin(OperationType.DELETE, Step.STOPPING, revision=turn.revisions.current)
    for _ in range(len(Step)):
        before = turn.operation
        if before is None:
            return
        _advance(turn, before)
        if turn.operation is None or turn.operation.step == before.step:
            return


def _advance(turn: Turn, operation: Operation) -> None:
    policy = turn.spec.deletion_policy
    if turn.seen.namespace_terminating or turn.seen.crd_going:
        policy = DeletionPolicy.RETAIN  # nothing can be made any more, and pods go anyway
    if policy is not DeletionPolicy.RETAIN and _late(turn, operation):
        if operation.step == Step.STOPPING.value:
            _retain(turn, _LATE)
        policy = DeletionPolicy.RETAIN
    match Step(operation.step):
        case Step.STOPPING:
            if _is_stopped(turn, policy):
                turn.step(Step.REMOVING, fallback=_lost(turn, policy))
        case Step.DISPOSING:
            _dispose(turn, policy)
        case _:
            _remove(turn, operation, policy)


def _late(turn: Turn, operation: Operation) -> bool:
    seconds = time_of(turn.spec.deletion_timeout, 600.0)
    left = seconds - (turn.now - operation.started_at).total_seconds()
    if left > 0:
        turn.look_again(left)
    return left <= 0


def _is_stopped(turn: Turn, policy: DeletionPolicy) -> bool:
    if policy is DeletionPolicy.RETAIN:
        return True
    if policy is DeletionPolicy.DISCARD:
        return stopped(turn, Manner(cancel=True, discard=True))
    return stopped(turn, Manner(savepoint=True))


def _lost(turn: Turn, policy: DeletionPolicy) -> bool:
    operation = turn.operation
    return operation is not None and (operation.fallback or policy is DeletionPolicy.RETAIN)


def _remove(turn: Turn, operation: Operation, policy: DeletionPolicy) -> None:
    if not turn.seen.namespace_terminating and not turn.seen.crd_going:
        keep_savepoint(turn, operation)
    gone = remove_task_managers(turn)
    gone = remove_job_managers(turn, None) and gone
    waited = (turn.now - (operation.step_started_at or turn.now)).total_seconds()
    if not gone and not turn.seen.namespace_terminating and waited < _PODS_WITHIN:
        turn.wait(Reason.DELETING, "pods go", 2.0)
        turn.look_again(_PODS_WITHIN - waited)
        return
    discards = policy is DeletionPolicy.DISCARD and not operation.fallback
    if discards and turn.status.start is not None:
        turn.step(Step.DISPOSING)
        return
    if turn.spec.deletion_policy is DeletionPolicy.DISCARD and not (discards or operation.fallback):
        _tell_retained(turn, _why_retained(turn), partly=True)
    turn.act(RemoveFinalizer())


def _dispose(turn: Turn, policy: DeletionPolicy) -> None:
    """By a Job of its own: also of what a job that was not running has left."""
    name = f"{turn.name}-discard-{turn.uid[:8]}"
    run = next((r for r in turn.seen.storage_runs if r.name == name), None)
    revision, operation = _last_revision(turn), turn.operation
    is_done = run is not None and run.answer is not None and run.answer.done
    broken_off = policy is not DeletionPolicy.DISCARD or turn.doing.fallback
    if broken_off and not is_done:
        _break_off(turn, run)
        return
    if revision.spec.checkpoints.storage is None:
        turn.act(RemoveFinalizer())
        return
    if run is None:
        action = StartStorageJob(
            name=name,
            command="dispose",
            job=turn.name,
            job_uid=turn.uid,
            revision=revision,
            operation="" if operation is None else operation.id,
        )
        turn.act(action)
        turn.wait(Reason.DELETING, "checkpoints are being deleted", 2.0)
        return
    if run.answer is None and not run.finished:
        turn.wait(Reason.DELETING, "checkpoints are being deleted", 2.0)
        return
    if run.answer is None or not run.answer.done:
        why = "it gave no answer" if run.answer is None else run.answer.problem
        partly = run.answer is None and _has_begun(run)
        _tell_retained(turn, f"checkpoints could not be deleted: {why}", partly=partly)
    turn.act(*taken_away(run.name, run.uid, operation=turn.doing.id))
    turn.act(RemoveFinalizer())


def _break_off(turn: Turn, run: StorageRun | None) -> None:
    """What is not deleted by now is retained: the Job that deletes would go on without the FlowJob, so it goes first.
    With its pods: they are gone when it is."""
    if not turn.doing.fallback:
        _tell_retained(turn, _why_retained(turn), partly=run is not None and _has_begun(run))
        turn.step(Step.DISPOSING, fallback=True)
    if run is None:
        turn.act(RemoveFinalizer())
        return
    operation = turn.doing
    away = taken_away(run.name, run.uid, operation=operation.id, propagation="Foreground")
    turn.act(*away)
    waited = (turn.now - (operation.step_started_at or turn.now)).total_seconds()
    if turn.seen.namespace_terminating or waited >= _PODS_WITHIN:
        turn.act(RemoveFinalizer())
        return
    turn.wait(Reason.DELETING, "the pod that deletes checkpoints goes", 2.0)
    turn.look_again(_PODS_WITHIN - waited)


def _has_begun(run: StorageRun) -> bool:
    """It may have deleted something. A pod that is not seen may have, too, unless it could not be made."""
    if not run.pods:
        return not run.problem
    return any(pod.phase != "Pending" for pod in run.pods)


def _why_retained(turn: Turn) -> str:
    policy = turn.spec.deletion_policy
    if turn.seen.namespace_terminating:
        return "the namespace goes"
    if turn.seen.crd_going:
        return "the definition of FlowJobs goes"
    return _LATE if policy is DeletionPolicy.DISCARD else f"deletionPolicy is {policy.value} by now"


def _last_revision(turn: Turn) -> Revision:
    """Says where the job has stored what it did. A deletion in the foreground takes ControllerRevisions first, so that
    the spec has to do."""
    if turn.deployed is not None:
        return turn.deployed.revision
    number = turn.revisions.current or 1
    return Revision(
        number=number,
        base=number,
        template=number,
        previous=None,
        generation=turn.generation,
        written=turn.seen.job.spec,
        spec=turn.spec,
        code=turn.status.code or Code(image=turn.spec.image),
        prefix=None if turn.status.start is None else turn.status.start.prefix,
    )


def _retain(turn: Turn, why: str) -> None:
    """While it is being stopped."""
    # A JobManager that was asked to discard may have begun.
    _tell_retained(turn, why, partly=turn.spec.deletion_policy is DeletionPolicy.DISCARD)
    operation = turn.operation
    if operation is not None and operation.step == Step.STOPPING.value:
        turn.amend(fallback=True)


def _tell_retained(turn: Turn, why: str, *, partly: bool = False) -> None:
    where = _last_revision(turn).spec.checkpoints.storage or "nowhere"
    text = f"state is retained in {where}: {why}"
    if partly:
        text = f"what is left of the checkpoints in {where} is retained, some may be deleted already: {why}"
    turn.tell(Reason.STATE_RETAINED, text, EventType.WARNING)
