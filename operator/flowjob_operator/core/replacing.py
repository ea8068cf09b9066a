"""Operations that bring a new JobManager: start, upgrade, move, restart, restore, resume, rollback.

One road for all: check, pre-flight, save the revision, stop what runs, deploy, see it run. Until it stops anything, an
operation can be dropped; from then on it deploys the saved revision. Each step may be done again. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from flowjob_operator.core.actions import (
    CreateSnapshot,
    DryRun,
    EventType,
    SaveRevision,
)
from flowjob_operator.core.beginnings import Found, NotYet, source, start_of
from flowjob_operator.core.gate import still_refused
from flowjob_operator.core.observed import JOB_MANAGER, SavedRevision
from flowjob_operator.core.planning import goal, parallelism, same_but_width, task_managers
from flowjob_operator.core.preflight import needs_preflight, pinned, run_preflight
from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.removal import (
    DEPLOYMENT,
    STATEFUL_SET,
    children,
    pods,
    remove_job_managers,
    remove_task_managers,
    renew_task_managers,
    task_manager_set,
)
from flowjob_operator.core.repairing import apply, broken_parts, ensure_identity, want_task_managers
from flowjob_operator.core.revision import Part, Revision
from flowjob_operator.core.settings import time_of
from flowjob_operator.core.steps import Step
from flowjob_operator.core.stopping import manner, stopped
from flowjob_operator.core.turn import Turn
from flowjob_operator.resources.fields import Reference
from flowjob_operator.resources.flowjob_spec import FlowJobSpec
from flowjob_operator.resources.flowjob_status import (
    JobState,
    JobStatus,
    Operation,
    OperationType,
    Revisions,
)
from flowjob_operator.resources.flowsnapshot import FlowSnapshotSpec, SnapshotDeletionPolicy
from flowjob_operator.resources.snapshot_facts import Nonces, SnapshotFact, SnapshotType

REPLACING = frozenset(
    {
        OperationType.START,
        OperationType.UPGRADE,
        OperationType.MOVE,
        OperationType.RESTART,
        OperationType.RESTORE,
        OperationType.RESUME,
        OperationType.ROLLBACK,
    }
)
_RETRY_DRY_RUN = 30.0
_AS_BEFORE = frozenset({OperationType.UPGRADE, OperationType.RESUME})
"""What does not ask for a spec once more that was rolled back."""
_RUNS = ("Running", "Finished", "Suspended", "Cancelled", "Stopping")


def candidate(turn: Turn) -> Revision:
    """What the operation is to deploy, made of the spec as it is now; for a rollback, and behind it, of the stable
    one."""
    operation, deployed = turn.doing, turn.deployed
    number = operation.revision or turn.next_number
    written, spec = turn.seen.job.spec, turn.spec
    stable = turn.saved(turn.revisions.stable)
    if operation.type is OperationType.ROLLBACK and stable is not None:
        written, spec = stable.revision.written, stable.revision.spec
    elif operation.type in _AS_BEFORE and deployed is not None:
        written, spec = goal(turn, deployed)
    return Revision(
        number=number,
        base=number,
        template=number,
        previous=None if deployed is None else deployed.number,
        generation=turn.generation,
        written=written,
        spec=spec,
        code=pinned(turn, spec),
        prefix=start_of(turn).prefix,
    )


def advance_replacing(turn: Turn) -> None:
    """One step, if it is due."""
    operation = turn.doing
    match Step(operation.step):
        case Step.CHECKING:
            _check(turn, operation)
        case Step.PREFLIGHT:
            run_preflight(turn, candidate(turn))
        case Step.SAVING:
            _save(turn, operation)
        case Step.STOPPING:
            if _is_known_to_leave_nothing(turn, operation) and stopped(
                turn, manner(turn, operation)
            ):
                _commit(turn)
        case Step.DEPLOYING:
            _deploy(turn, operation)
        case Step.STARTING:
            _watch_start(turn, operation)
        case _:
            turn.end()  # a step that this operator does not know: what is wanted is decided anew


def _check(turn: Turn, operation: Operation) -> None:
    if operation.type in (OperationType.START, OperationType.RESTORE):
        found = source(turn)
        if isinstance(found, NotYet):
            turn.wait(Reason.WAITING_FOR_SNAPSHOT, found.why, 15.0)
            return
        _remember_source(turn, found)
    answer = turn.seen.dry_run
    revision = candidate(turn)
    fits = answer is not None and answer.generation == turn.generation
    if answer is None or not fits or answer.revision != revision.number:
        turn.act(DryRun(revision=revision))
        turn.wait(Reason.PREFLIGHT, "the API server is asked whether it takes all objects", 1.0)
        return
    problems = "; ".join(takeable(turn, answer.problems, revision.spec))
    if problems:
        if turn.active:
            turn.refuse(Reason.OBJECTS_REFUSED, f"the API server refuses: {problems}")
        else:  # a quota may grow
            turn.act(DryRun(revision=revision))
            turn.wait(Reason.OBJECTS_REFUSED, f"the API server refuses: {problems}", _RETRY_DRY_RUN)
        return
    turn.step(Step.PREFLIGHT if needs_preflight(turn) else Step.SAVING)


def takeable(turn: Turn, problems: Iterable[str], spec: FlowJobSpec) -> list[str]:
    """Without what is no problem: claims of a set cannot be changed, so it is made again; and room is made."""
    deployed = turn.deployed
    if turn.active:  # its own pods take what the quota gives, and go before new ones come
        problems = [p for p in problems if not (p.startswith("pods of ") and "exceeded quota" in p)]
    old = spec if deployed is None else deployed.revision.spec
    if old.task_manager.local_volume == spec.task_manager.local_volume:
        return list(problems)
    return [problem for problem in problems if not problem.startswith(f"{STATEFUL_SET} ")]


def _remember_source(turn: Turn, found: Found) -> None:
    if found.path is not None:
        fact = SnapshotFact(type=SnapshotType.SAVEPOINT, path=found.path)
        turn.amend(expected=fact)


def _save(turn: Turn, operation: Operation) -> None:
    saved = turn.saved(operation.revision)
    if saved is None:
        ensure_identity(turn)  # a job that runs keeps its keys: new ones are another's to it
        turn.act(SaveRevision(revision=candidate(turn)))
        turn.wait(Reason.PREFLIGHT, "the revision is being saved", 1.0)
        return
    turn.set_revisions(target=saved.number)
    turn.set(nonces=acted_upon(turn))
    turn.step(Step.STOPPING)


def acted_upon(turn: Turn) -> Nonces:
    """A new JobManager is all that the nonces for restart and restore ask for. On the first start there is nothing yet
    that any of them could be about."""
    known, job = turn.status.nonces or Nonces(), turn.spec.job
    new = {"restart": job.restart_nonce, "restore": job.restore_nonce}
    if turn.revisions.current is None:
        new |= {"savepoint": job.savepoint_nonce, "checkpoint": job.checkpoint_nonce}
    return known.model_copy(update={k: v for k, v in new.items() if v is not None})


def _is_known_to_leave_nothing(turn: Turn, operation: Operation) -> bool:
    """A move leaves the job's log behind. A job that nobody has seen run may have run all the same, where its
    JobManager could not be asked: what it has completed would be forgotten."""
    status, found = turn.status, pods(turn, JOB_MANAGER)
    if status.parallelism is not None or status.expected is not None or turn.view is not None:
        return True
    comes_not_up = found and not any(pod.ready for pod in found)
    if comes_not_up or not manner(turn, operation).is_mandatory:
        return True
    why = "nobody has seen yet what the job has done where it is"
    if operation.deadline is None:
        turn.step_within(time_of(turn.spec.upgrade.savepoint_timeout, 600.0))
    if turn.late() or turn.job.state is JobState.SUSPENDED:
        turn.refuse(Reason.MOVE_NEEDS_SAVEPOINT, f"{why}: let it run there, then move it")
    else:
        turn.wait(Reason.WAITING_FOR_SAVEPOINT, why)
    return False


def _commit(turn: Turn) -> None:
    """From here on the saved revision is what is deployed."""
    operation = turn.operation
    saved = None if operation is None else turn.saved(operation.revision)
    if operation is None or saved is None:
        turn.end()  # the revision is gone: decided anew
        return
    start, old = start_of(turn), turn.revisions
    if start != turn.status.start:
        # What is known of before is not what this start must find.
        turn.set(start=start, expected=None)
    keeps_stable = operation.type is not OperationType.RESTORE
    failed, refused = old.current, turn.status.refused
    if operation.type is not OperationType.ROLLBACK:
        failed = old.failed if _is_the_same_again(turn, operation, saved) else None
        refused = still_refused(turn) if failed is not None else None
    turn.set(
        revisions=Revisions(
            current=saved.number,
            target=saved.number,
            stable=old.stable if keeps_stable else None,
            failed=failed,
            current_since=turn.now,
            baseline_checkpoints=0,
            baseline_restarts=0,
        ),
        job=JobStatus(state=JobState.STARTING),
        code=saved.revision.code,
        refused=refused,
    )
    spec = saved.revision.spec
    needed = task_managers(parallelism(spec), spec)
    want_task_managers(turn, operation.task_managers or needed)
    turn.step(Step.DEPLOYING)


def _is_the_same_again(turn: Turn, operation: Operation, saved: SavedRevision) -> bool:
    """What was deployed comes again, perhaps at another width: what a rollback went back from is still that."""
    deployed = turn.deployed
    if operation.type not in _AS_BEFORE or deployed is None:
        return False
    return same_but_width(deployed.revision.written, saved.revision.written)


def _deploy(turn: Turn, operation: Operation) -> None:
    saved = turn.deployed
    if saved is None:
        turn.wait(Reason.STARTING, "the revision is not there yet")
        return
    keep_savepoint(turn, operation)
    gone = remove_job_managers(turn, saved.revision.base)
    fits = _claims_fit(turn, saved)
    if not fits:  # claims of a set cannot be changed: it is made again
        remove_task_managers(turn)
    there = task_manager_set(turn)
    complete = there is not None and there.revision == saved.revision.template
    leads = saved.revision.base in {child.revision for child in children(turn, DEPLOYMENT)}
    parts = {Part.SHARED, Part.FILE}
    parts |= {Part.TASK_MANAGERS} if fits else set()
    parts |= {Part.JOB_MANAGER} if gone else set()
    # All is applied until the last of it is seen. Then there is a pass for each pod that goes or comes, which had the
    # API server compare all objects again while the job stands still.
    if not (fits and not complete) and not (gone and not leads):
        parts &= broken_parts(turn, saved)
    if parts:
        turn.act(apply(turn, saved, *sorted(parts, key=lambda part: part.value)))
    # At once: their processes have ended with the job, and their kubelets would start them again as they were.
    renewed = renew_task_managers(turn, saved.revision.template, applied=fits)
    if gone and renewed and complete and leads:
        turn.step(Step.STARTING)
        return
    turn.wait(Reason.STARTING, "old pods go, new ones come", 1.0)


def _claims_fit(turn: Turn, saved: SavedRevision) -> bool:
    there, number = task_manager_set(turn), saved.revision.template
    if there is None or there.revision == number:
        return True
    older = next((r for r in turn.seen.revisions if r.revision.template == there.revision), None)
    if older is None:
        return True
    old, new = older.revision.spec.task_manager, saved.revision.spec.task_manager
    return old.local_volume == new.local_volume


def keep_savepoint(turn: Turn, operation: Operation) -> None:
    """A savepoint that the job was stopped with gets an object, by which it is found and, one day, deleted."""
    fact = operation.expected
    if fact is None or fact.id is None or operation.type is OperationType.RESTORE:
        return
    if any(s.status.path == fact.path or s.spec.path == fact.path for s in turn.seen.snapshots):
        return
    made_by = {OperationType.SUSPEND: "Suspension", OperationType.DELETE: "Deletion"}
    word = made_by.get(operation.type, "Upgrade")
    mark = hashlib.sha256(fact.path.encode()).hexdigest()[:8]
    keeps = operation.type is OperationType.DELETE
    policy = SnapshotDeletionPolicy.RETAIN if keeps else SnapshotDeletionPolicy.DISCARD
    turn.act(
        CreateSnapshot(
            name=f"{turn.name}-{word.lower()}-{mark}",
            spec=FlowSnapshotSpec(
                job_ref=Reference(name=turn.name), path=fact.path, deletion_policy=policy
            ),
            made_by=word,
            fact=fact.model_dump_json(by_alias=True, exclude_none=True),
        )
    )


def _watch_start(turn: Turn, operation: Operation) -> None:
    keep_savepoint(turn, operation)
    view = turn.view
    if view is not None and view.state == "Failed":
        turn.tell(Reason.FAILED, f"revision {turn.revisions.current}: {view.error}")
        turn.end()
        return
    if view is not None and view.state in _RUNS:
        what = f"revision {turn.revisions.current}: {operation.type.value} done"
        turn.tell(Reason.RUNNING, what, EventType.NORMAL)
        turn.end()
        return
    why = "the JobManager does not answer yet" if view is None else f"the job is {view.state}"
    turn.wait(Reason.STARTING, why, 2.0)
