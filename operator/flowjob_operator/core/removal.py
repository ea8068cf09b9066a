"""Take pods away: JobManagers of other revisions, TaskManagers of other templates, pods on nodes that are lost.

Deployments and sets are deleted in the background and with their uid. A pod is forced only when its node is lost, or
its kubelet has let its grace pass by far: what it may still do is fenced by the job's log. Pure."""

from __future__ import annotations

from flowjob_operator.core.actions import Delete, DeletePod
from flowjob_operator.core.observed import JOB_MANAGER, TASK_MANAGER, Child, Pod
from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.turn import Turn

DEPLOYMENT = "Deployment"
STATEFUL_SET = "StatefulSet"
_LOST_AFTER = 10.0
"""Seconds past its grace that a pod on a lost node is waited for."""
_STUCK_AFTER = 120.0
"""And one on a node that seems to be well."""


def children(turn: Turn, kind: str) -> list[Child]:
    return [child for child in turn.seen.children if child.kind == kind]


def task_manager_set(turn: Turn) -> Child | None:
    return next(iter(children(turn, STATEFUL_SET)), None)


def pods(turn: Turn, component: str) -> list[Pod]:
    """Those that may have a process that is alive."""
    return [p for p in turn.seen.pods if p.component == component and not p.gone]


def remove_job_managers(turn: Turn, keep: int | None) -> bool:
    """All but those of base `keep`; True when no other one is left."""
    doomed = [child for child in children(turn, DEPLOYMENT) if child.revision != keep]
    for child in doomed:
        if not child.deleting:
            turn.act(_delete(turn, child))
    left = [pod for pod in pods(turn, JOB_MANAGER) if pod.revision != keep]
    for pod in left:
        force_if_stuck(turn, pod)
    return not left and not doomed


def remove_task_managers(turn: Turn) -> bool:
    """All of them, with their set; True when none is left."""
    found = task_manager_set(turn)
    if found is not None and not found.deleting:
        turn.act(_delete(turn, found))
    left = pods(turn, TASK_MANAGER)
    for pod in left:
        force_if_stuck(turn, pod)
    return found is None and not left


def renew_task_managers(turn: Turn, template: int, *, applied: bool = False) -> bool:
    """Delete pods of older templates, once the set makes new ones; True when none is left. `applied`: that it does is
    among the actions of this pass. Should it make an old one all the same, that one goes in a later pass."""
    found = task_manager_set(turn)
    renews = found is not None and (applied or found.revision == template)
    old = [pod for pod in pods(turn, TASK_MANAGER) if pod.revision != template]
    for pod in old:
        if renews and pod.deleting_since is None:
            turn.act(DeletePod(name=pod.name, uid=pod.uid, operation=_operation(turn)))
        force_if_stuck(turn, pod)
    return not old


def force_if_stuck(turn: Turn, pod: Pod) -> None:
    """A pod that is being deleted, and whose kubelet does not say that it is gone."""
    if pod.deleting_since is None:
        return
    beyond = (turn.now - pod.deleting_since).total_seconds() - pod.grace
    patience = _LOST_AFTER if pod.node_ready is False else _STUCK_AFTER
    if beyond < patience:
        turn.look_again(patience - beyond)
        return
    turn.act(DeletePod(name=pod.name, uid=pod.uid, force=True, operation=_operation(turn)))
    where = (
        f"node {pod.node} is not ready" if pod.node_ready is False else "its node does not end it"
    )
    turn.tell(Reason.POD_FORCED, f"pod {pod.name} is deleted by force: {where}")


def _delete(turn: Turn, child: Child) -> Delete:
    return Delete(kind=child.kind, name=child.name, uid=child.uid, operation=_operation(turn))


def _operation(turn: Turn) -> str:
    return "" if turn.operation is None else turn.operation.id
