"""From objects as the API has them to what decisions look at: pods, children, runs of short Jobs.

Pure. Tolerates whatever is absent: a status is filled in bit by bit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from flowjob.cluster.preflight_answer import read_preflight, read_storage
from flowjob_operator.core.observed import (
    PREFLIGHT,
    STORAGE,
    Child,
    Container,
    Pod,
    PreflightRun,
    StorageRun,
)
from flowjob_operator.process.cluster.api import Object

COMPONENT: Final = "app.kubernetes.io/component"
REVISION: Final = "flowjob.dev/revision"
LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)

NodeReady = Callable[[str], bool | None]


def time_of(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None


def labels_of(found: Object) -> dict[str, str]:
    return found["metadata"].get("labels") or {}


def revision_of(found: Object) -> int:
    text = labels_of(found).get(REVISION, "")
    return int(text) if text.isdigit() else 0


def pod_of(found: Object, node_ready: NodeReady = lambda _: None) -> Pod:
    about, spec = found["metadata"], found.get("spec") or {}
    status = found.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    scheduled = conditions.get("PodScheduled") or {}
    grace = float(about.get("deletionGracePeriodSeconds") or 0)
    deleted = time_of(about.get("deletionTimestamp"))
    node = spec.get("nodeName")
    return Pod(
        name=about["name"],
        uid=about["uid"],
        component=labels_of(found).get(COMPONENT, ""),
        revision=revision_of(found),
        phase=status.get("phase") or "Pending",
        ready=(conditions.get("Ready") or {}).get("status") == "True",
        reason=status.get("reason") or "",
        message=status.get("message") or "",
        unschedulable=_unschedulable(scheduled),
        containers=tuple(_containers(spec, status)),
        node=node,
        node_ready=node_ready(node) if node else None,
        # The API says when the grace period ends, not when it began.
        deleting_since=None if deleted is None else deleted - timedelta(seconds=grace),
        grace=grace
        if deleted is not None
        else float(spec.get("terminationGracePeriodSeconds") or 30),
        created_at=time_of(about.get("creationTimestamp")),
    )


def _unschedulable(scheduled: Object) -> str:
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return str(scheduled.get("message") or "no node fits")
    return ""


def _containers(spec: Object, status: Object) -> Iterable[Container]:
    limits = {
        one["name"]: ((one.get("resources") or {}).get("limits") or {}).get("memory")
        for kind in ("containers", "initContainers")
        for one in spec.get(kind) or []
    }
    # Ordinary ones first: what they say matters most.
    for kind in ("containerStatuses", "initContainerStatuses"):
        for one in status.get(kind) or []:
            yield _container(one, limits.get(one["name"]))


def _container(status: Object, memory_limit: str | None) -> Container:
    state, before = status.get("state") or {}, status.get("lastState") or {}
    waiting = state.get("waiting") or {}
    ended = state.get("terminated") or before.get("terminated") or {}
    return Container(
        name=status["name"],
        ready=bool(status.get("ready")),
        restarts=int(status.get("restartCount") or 0),
        waiting=waiting.get("reason"),
        waiting_message=waiting.get("message") or "",
        ended=ended.get("reason"),
        exit_code=ended.get("exitCode"),
        ended_message=ended.get("message") or "",
        image=status.get("image") or "",
        image_id=status.get("imageID") or "",
        memory_limit=memory_limit,
    )


def child_of(found: Object, uid: str, *, changed: bool, problem: str = "") -> Child:
    """`uid`: the FlowJob's."""
    about, spec = found["metadata"], found.get("spec") or {}
    owners = about.get("ownerReferences") or []
    return Child(
        kind=found["kind"],
        name=about["name"],
        uid=about["uid"],
        revision=revision_of(found),
        deleting=bool(about.get("deletionTimestamp")),
        changed=changed,
        owned=any(owner.get("uid") == uid for owner in owners),
        replicas=int(spec.get("replicas") or 0),
        problem=problem or failure_of(found),
    )


def failure_of(found: Object) -> str:
    """Why its pods cannot be made, as its conditions have it."""
    for condition in (found.get("status") or {}).get("conditions") or []:
        failed = condition.get("type") in ("ReplicaFailure", "FailureTarget")
        if failed and condition.get("status") == "True":
            return str(condition.get("message") or condition.get("reason") or "")
    return ""


def runs_of(
    jobs: Iterable[Object], pods: Iterable[Object], problems: Callable[[Object], str]
) -> tuple[tuple[PreflightRun, ...], tuple[StorageRun, ...]]:
    """Short Jobs with their pods, by component. A pod of an earlier Job of the same name, which goes a moment after its
    Job, answers for that one only."""
    by_job: dict[str, list[Object]] = {}
    for pod in pods:
        for owner in pod["metadata"].get("ownerReferences") or []:
            by_job.setdefault(owner["uid"], []).append(pod)
    preflights, storage_runs = [], []
    for job in jobs:
        about = job["metadata"]
        own = sorted(by_job.get(about["uid"], []), key=lambda pod: str(pod["metadata"]["name"]))
        common: dict[str, Any] = {
            "name": about["name"],
            "uid": about["uid"],
            "created_at": time_of(about.get("creationTimestamp")) or LONG_AGO,
            "finished": _is_finished(job),
            "pods": tuple(pod_of(pod) for pod in own),
            "problem": problems(job),
        }
        component = labels_of(job).get(COMPONENT)
        if component == PREFLIGHT:
            answer = _last(read_preflight(text) for text in _messages(own))
            preflights.append(PreflightRun(revision=revision_of(job), answer=answer, **common))
        elif component == STORAGE:
            done = _last(read_storage(text) for text in _messages(own))
            storage_runs.append(StorageRun(answer=done, **common))
    return tuple(preflights), tuple(storage_runs)


def _messages(pods: Iterable[Object]) -> Iterable[str]:
    for pod in pods:
        for container in pod_of(pod).containers:
            if container.ended_message:
                yield container.ended_message


def _last(answers: Iterable[Any]) -> Any:
    found = [answer for answer in answers if answer is not None]
    return found[-1] if found else None


def _is_finished(job: Object) -> bool:
    return any(
        condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True"
        for condition in (job.get("status") or {}).get("conditions") or []
    )
