"""Keep what is deployed as its ControllerRevision has it: what is missing or changed is applied again, never rendered.

So a new operator, or another default image, touches no job that runs. Also the number of TaskManagers, who owns the
pods' controllers, and leftovers of older revisions. Pure."""

from __future__ import annotations

from flowjob_operator.core.actions import (
    ApplyRevision,
    Delete,
    EnsureIdentity,
    EventType,
)
from flowjob_operator.core.beginnings import beginning_now
from flowjob_operator.core.observed import JOB_MANAGER, Child, ObjectKey, SavedRevision
from flowjob_operator.core.planning import parallelism, slots_at, task_managers
from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.removal import (
    DEPLOYMENT,
    STATEFUL_SET,
    force_if_stuck,
    pods,
    renew_task_managers,
    task_manager_set,
)
from flowjob_operator.core.revision import Part
from flowjob_operator.core.steps import Step
from flowjob_operator.core.turn import Turn
from flowjob_operator.resources.flowjob_spec import DeletionPolicy
from flowjob_operator.resources.flowjob_status import Identity, Pods

REVISIONS_KEPT = 5
_OF_SOME = frozenset({"PodDisruptionBudget", "NetworkPolicy"})
"""Kinds of objects that one revision has, and another has not."""
_RENEW_BEFORE = 121 * 86400.0
"""Seconds before certificates of a year end: at two thirds of it."""


def owned(turn: Turn) -> bool:
    """Whether Deployment and StatefulSet go with the FlowJob. Under Savepoint a deletion in the foreground would end
    them before the savepoint."""
    return turn.spec.deletion_policy is not DeletionPolicy.SAVEPOINT


def apply(turn: Turn, saved: SavedRevision, *parts: Part) -> ApplyRevision:
    """Of a revision, as the job is now."""
    return ApplyRevision(
        number=saved.number,
        restore=beginning_now(turn),
        task_managers=wanted_task_managers(turn),
        parts=frozenset(parts),
        owned=owned(turn),
    )


def part_of(key: ObjectKey, saved: SavedRevision) -> Part:
    if key.kind == DEPLOYMENT:
        return Part.JOB_MANAGER
    if key.kind == STATEFUL_SET:
        return Part.TASK_MANAGERS
    if key.kind == "ConfigMap" and key.name.endswith(f"-file-{saved.revision.base}"):
        return Part.FILE
    return Part.SHARED


def wanted_task_managers(turn: Turn) -> int:
    """As decided before, else by the parallelism alone, until somebody knows how many slots that takes. More, while an
    operation waits for them: when that is dropped they are wanted no more."""
    operation = turn.operation
    if operation is not None and operation.step == Step.GROWING.value and operation.task_managers:
        return operation.task_managers
    known = turn.status.task_managers
    if known is not None and known.wanted:
        return known.wanted
    deployed = turn.deployed
    spec = turn.spec if deployed is None else deployed.revision.spec
    return task_managers(parallelism(spec), spec)


def want_task_managers(turn: Turn, count: int) -> None:
    known = turn.status.task_managers or Pods()
    turn.set(task_managers=known.model_copy(update={"wanted": count}))


def repair(turn: Turn) -> None:
    """What is deployed and meant to run."""
    saved = turn.deployed
    if saved is None:
        return
    _count_task_managers(turn, saved)
    missing, broken = _broken(turn, saved)
    if Part.JOB_MANAGER in broken and not _is_alone(turn, saved):
        broken.discard(Part.JOB_MANAGER)
    if broken:
        turn.act(apply(turn, saved, *sorted(broken, key=lambda part: part.value)))
    if missing and turn.operation is None:
        turn.tell(Reason.REPAIRED, f"made again: {', '.join(missing)}", EventType.NORMAL)
    _sweep(turn, saved)
    for pod in turn.seen.pods:
        if pod.node_ready is False:
            force_if_stuck(turn, pod)


def broken_parts(turn: Turn, saved: SavedRevision) -> set[Part]:
    """What is missing or is not as the revision has it."""
    return _broken(turn, saved)[1]


def _broken(turn: Turn, saved: SavedRevision) -> tuple[list[str], set[Part]]:
    """Names of objects that are missing, and the parts to apply."""
    found = {ObjectKey(kind=c.kind, name=c.name): c for c in turn.seen.children}
    missing, broken = [], set()
    for key in saved.objects:
        child = found.get(key)
        if child is None:
            missing.append(f"{key.kind} {key.name}")
            broken.add(part_of(key, saved))
        # One that is going is made again when it is gone: an apply would only change what goes.
        elif not child.deleting and _differs(turn, child):
            broken.add(part_of(key, saved))
    return missing, broken


def _is_alone(turn: Turn, saved: SavedRevision) -> bool:
    """No JobManager of an older revision is left: one that is still going, when an edit replaces the operation that has
    told it to. Two never run at a time."""
    older = [p for p in pods(turn, JOB_MANAGER) if p.revision < saved.revision.base]
    for pod in older:
        force_if_stuck(turn, pod)
    return not older


def _differs(turn: Turn, child: Child) -> bool:
    if child.changed:
        return True
    if child.kind == STATEFUL_SET and child.replicas != wanted_task_managers(turn):
        return True
    return child.kind in (DEPLOYMENT, STATEFUL_SET) and child.owned != owned(turn)


def _count_task_managers(turn: Turn, saved: SavedRevision) -> None:
    """The JobManager knows best how many slots the job needs, once it has planned it."""
    view, spec = turn.view, saved.revision.spec
    if view is None or view.slots.needed <= 0 or turn.operation is not None:
        return
    # Is it at another width than what is deployed (it has done what was given up), it keeps what it needs there: with
    # less it would wait for ever.
    needed = view.slots.needed
    if view.parallelism != parallelism(spec):
        needed = max(needed, slots_at(parallelism(spec), needed, view.parallelism))
    want_task_managers(turn, task_managers(needed, spec))


def _sweep(turn: Turn, saved: SavedRevision) -> None:
    """Leftovers of older revisions. Never of newer ones: an operator that has slept may see those of its successor."""
    if turn.operation is not None:
        return
    for child in turn.seen.children:
        old = child.kind == DEPLOYMENT and child.revision < saved.revision.base
        if old and not child.deleting:
            turn.act(Delete(kind=child.kind, name=child.name, uid=child.uid))
    found = task_manager_set(turn)
    if found is not None and found.revision == saved.revision.template:
        renew_task_managers(turn, saved.revision.template)


def tidy(turn: Turn) -> None:
    """Jobs of pre-flights that are over, and the oldest revisions."""
    operation = turn.operation
    for run in turn.seen.preflights:
        if operation is None or run.revision != operation.revision:
            turn.act(Delete(kind="Job", name=run.name, uid=run.uid))
            turn.act(Delete(kind="ConfigMap", name=run.name))  # what it was told
    _sweep_objects(turn)
    revisions = turn.revisions
    needed = {revisions.current, revisions.target, revisions.stable, revisions.failed}
    for saved in list(turn.seen.revisions):
        if saved.number in needed:
            needed |= {saved.revision.previous} if operation is not None else set()
    numbers = sorted((r.number for r in turn.seen.revisions), reverse=True)
    kept = needed | set(numbers[:REVISIONS_KEPT])
    for saved in turn.seen.revisions:
        if saved.number not in kept:
            name = saved.name or f"{turn.name}-{saved.number}"
            turn.act(Delete(kind="ControllerRevision", name=name, uid=saved.uid))


def _sweep_objects(turn: Turn) -> None:
    """Files and scripts that no revision has any more, and what only older ones had (of a second JobManager)."""
    saved = turn.deployed
    if saved is None or turn.operation is not None:
        return
    kept = {key for each in turn.seen.revisions for key in each.objects}
    for child in turn.seen.children:
        key = ObjectKey(kind=child.kind, name=child.name)
        ours = child.name.startswith((f"{turn.name}-file-", f"{turn.name}-script-"))
        unused = child.kind == "ConfigMap" and ours and key not in kept
        unused |= child.kind in _OF_SOME and key in kept and key not in saved.objects
        if unused and not child.deleting:
            turn.act(Delete(kind=child.kind, name=child.name, uid=child.uid))


def ensure_identity(turn: Turn) -> None:
    """Certificates, and new ones long before they end. Their making is remembered in status: Secrets are not read."""
    seen, known = turn.seen.identity, turn.status.identity
    if seen is not None and (known is None or known.serial != seen.serial):
        new = Identity(serial=seen.serial, expires_at=seen.expires_at, authority=seen.authority)
        turn.set(identity=new)
    # What is seen may be worth less than it says: the authority was replaced, or the Secret is gone.
    ends = None if known is None else known.expires_at
    if seen is not None:
        ends = seen.expires_at
    if ends is None:
        turn.act(EnsureIdentity())
    elif (ends - turn.now).total_seconds() < _RENEW_BEFORE:
        turn.act(EnsureIdentity(renew=True))
        turn.tell(Reason.IDENTITY_RENEWED, "certificates are renewed", EventType.NORMAL)
