"""One sentence for people: what is wrong, with the thing to look at. The closest cause comes first.

Reads what pods, controllers and the JobManager say. Pure; absent when nothing is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable

from flowjob_operator.core.observed import Container, Observed, Pod, Unreachable

_IMAGE = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"})
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_NO_CAUSE = frozenset({None, "Completed", "ContainerStatusUnknown"})
"""The last is what a kubelet says of a container that never began, when its pod is ended."""
_REMOVABLE = re.compile(r"\s+")
_LONGEST = 600
_DENIED = re.compile(r"\b(403|AccessDenied|Forbidden|SignatureDoesNotMatch|InvalidAccessKeyId)\b")
_NO_BUCKET = re.compile(r"\bNoSuchBucket\b")


def diagnosis(seen: Observed, error: str | None, *, wants_to_run: bool) -> str | None:
    """`error`: why the job failed or restarts, as the JobManager says it; None: it does neither."""
    trouble = of_pods(seen.pods) if wants_to_run else None
    if trouble is not None:
        return trouble
    problem = next((c.problem for c in seen.children if c.problem), None) if wants_to_run else None
    if problem is not None:
        return f"pods cannot be made: {_short(problem)}"
    if error:
        return _explained(error)
    view = seen.jobmanager
    if not wants_to_run:
        return None
    if isinstance(view, Unreachable):
        return (
            f"the JobManager cannot be followed: {_short(view.reason)}" if view.unreadable else None
        )
    checkpoints = view.checkpoints
    if checkpoints.failed_in_a_row and checkpoints.error:
        return f"checkpoints fail: {_explained(checkpoints.error)}"
    return None


def of_pods(pods: Iterable[Pod]) -> str | None:
    """What keeps pods from running; None: nothing that they show."""
    found = [(rank, text) for pod in pods for rank, text in _of_pod(pod)]
    return min(found)[1] if found else None


def _of_pod(pod: Pod) -> Iterable[tuple[int, str]]:
    if pod.deleting_since is not None and pod.node_ready is False:
        yield 5, f"node {pod.node} of pod {pod.name} is not ready"
        return
    if pod.reason == "Evicted":
        yield 4, f"pod {pod.name} was evicted: {_short(pod.message)}"
    if pod.unschedulable:
        yield 3, f"pod {pod.name} fits on no node: {_short(pod.unschedulable)}"
    for container in pod.containers:
        yield from _of_container(pod, container)


def _of_container(pod: Pod, container: Container) -> Iterable[tuple[int, str]]:
    waiting = container.waiting or ""
    if waiting in _IMAGE:
        yield 1, f"image {container.image} cannot be pulled: {_short(container.waiting_message)}"
    elif waiting in _CONFIG:
        yield 1, f"pod {pod.name} cannot start: {_short(container.waiting_message)}"
    elif container.ended == "OOMKilled" and not container.ready:
        limit = container.memory_limit or "no limit of its own"
        yield 2, f"pod {pod.name} ran out of memory (limit {limit}): raise resources.limits.memory"
    elif container.ended not in _NO_CAUSE and not container.ready:
        last = _last_line(container.ended_message)
        code = "" if container.exit_code is None else f" with status {container.exit_code}"
        yield 6, f"pod {pod.name} ended{code}" + (f": {_explained(last)}" if last else "")


def _explained(text: str) -> str:
    """With what to do, where the text shows it."""
    short = _short(text)
    if _DENIED.search(text):
        return f"the storage refuses access: {short}. Check checkpoints.secretRef and the rights of the bucket"
    if _NO_BUCKET.search(text):
        return f"there is no such bucket: {short}. Check checkpoints.storage and endpoint"
    return short


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _short(text: str) -> str:
    text = _REMOVABLE.sub(" ", text).strip().rstrip(".")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
