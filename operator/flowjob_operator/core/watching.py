"""What was seen becomes status: the job's state, its checkpoints, its pods.

Facts that change all the time are written every 30 s at most, or when a condition changes: hundreds of jobs with a
checkpoint every few seconds must not be hundreds of writes. Decides nothing. Pure."""

from __future__ import annotations

from datetime import datetime

from flowjob.cluster.control_api import JobManagerView
from flowjob_operator.core.beginnings import fact
from flowjob_operator.core.observed import JOB_MANAGER, TASK_MANAGER
from flowjob_operator.core.repairing import wanted_task_managers
from flowjob_operator.core.settings import time_of
from flowjob_operator.core.turn import ENDED, SOON, Turn
from flowjob_operator.rendering.naming import CONTAINER
from flowjob_operator.resources.fields import OFF
from flowjob_operator.resources.flowjob_status import (
    Checkpoints,
    FlowJobStatus,
    JobState,
    OperatorStatus,
    Pods,
)
from flowjob_operator.resources.snapshot_facts import SnapshotFact, SnapshotType

WRITE_EVERY = 30.0
"""Seconds."""
_HELD_BACK = ("checkpoints", "last_checkpoint_time", "expected", "state_bytes")


def watch(turn: Turn) -> None:
    """First of all: decisions read status."""
    metadata = turn.seen.job.metadata
    turn.set(
        observed_generation=metadata.generation,
        operator=OperatorStatus(
            owner=turn.seen.operator.owner, version=turn.seen.operator.version or None
        ),
        selector=f"flowjob.dev/job={metadata.name},app.kubernetes.io/component={TASK_MANAGER}",
    )
    view = turn.view
    if view is not None:
        _watch_job(turn, view)
        _watch_checkpoints(turn, view)
    elif turn.revisions.current is not None and turn.job.state not in ENDED:
        turn.set_job(state=JobState.UNKNOWN)
    _watch_images(turn)


def count_pods(turn: Turn) -> None:
    """Last of all: it depends on what was decided."""
    if turn.revisions.current is None:
        return
    ready = {JOB_MANAGER: 0, TASK_MANAGER: 0}
    for pod in turn.seen.pods:
        if pod.component in ready and pod.ready and pod.deleting_since is None:
            ready[pod.component] += 1
    runs = turn.job.state not in ENDED
    deployed = turn.deployed
    replicas = 1 if deployed is None else deployed.revision.spec.job_manager.replicas or 1
    turn.set(
        job_managers=Pods(wanted=replicas if runs else 0, ready=ready[JOB_MANAGER]),
        task_managers=Pods(
            wanted=wanted_task_managers(turn) if runs else 0, ready=ready[TASK_MANAGER]
        ),
    )


def _watch_job(turn: Turn, view: JobManagerView) -> None:
    """A job that has ended stays ended, whatever a JobManager says that comes up again."""
    old = turn.job
    if old.state in ENDED and JobState(view.state) not in ENDED:
        return
    more = view.restarts > (old.restarts or 0)
    turn.set_job(
        state=JobState(view.state),
        attempt=view.attempt,
        restarts=view.restarts,
        restarted_at=turn.now if more else old.restarted_at,
        started_at=_time(view.started_at) or old.started_at,
        ended_at=_time(view.ended_at) or old.ended_at,
        leader=view.leader,
        error=view.error,
    )
    if view.state == "Running":
        turn.set(parallelism=view.parallelism or turn.status.parallelism)
    if view.max_parallelism and turn.status.max_parallelism is None:
        turn.set(max_parallelism=view.max_parallelism)


def _watch_checkpoints(turn: Turn, view: JobManagerView) -> None:
    seen, known = view.checkpoints, turn.status.expected
    latest = turn.status.checkpoints and turn.status.checkpoints.latest
    newest = None if seen.latest is None else fact(seen.latest)
    if view.final is not None:
        newest = fact(view.final)
    turn.set(
        checkpoints=Checkpoints(
            latest=newest,
            completed=seen.completed,
            failed_in_a_row=seen.failed_in_a_row,
            error=seen.error,
        )
    )
    if newest is None:
        return
    completed = newest.completed_at
    if completed is not None and newest != latest:
        # By a clock that is ahead, too: nothing was completed later than now.
        turn.set(last_checkpoint_time=min(completed, turn.now))
    turn.set(state_bytes=newest.size)
    if known is None or _is_newer(newest, known):
        turn.set(expected=newest)


def _is_newer(new: SnapshotFact, old: SnapshotFact) -> bool:
    if new.id is not None and old.id is not None:
        return new.id > old.id
    return new.path != old.path


def hold_back(turn: Turn, old: FlowJobStatus) -> None:
    """Leave out what is new, when nothing else has changed and what is written is younger than WRITE_EVERY by our own
    clock: nothing waits for longer, whatever a JobManager's clock says. A savepoint waits for nothing: what is not
    known to be needed may be deleted."""
    new = turn.status
    if old.last_checkpoint_time is None or new.last_checkpoint_time is None:
        return
    same = {name: getattr(old, name) for name in _HELD_BACK}
    if new.model_copy(update=same) != old:
        return
    age = (turn.now - old.last_checkpoint_time).total_seconds()
    interval = turn.spec.checkpoints.interval
    if new == old:
        if turn.active and interval != OFF:
            turn.look_again_about(max(WRITE_EVERY + time_of(interval, 10.0) - age, SOON))
        return
    is_savepoint = new.expected is not None and new.expected.type is SnapshotType.SAVEPOINT
    if 0 <= age < WRITE_EVERY and not (is_savepoint and new.expected != old.expected):
        turn.set(**same)
        look = turn.look_again if interval == OFF else turn.look_again_about
        look(WRITE_EVERY - age)


def _watch_images(turn: Turn) -> None:
    """What nodes have made of the image's name, the first time."""
    code = turn.status.code
    if code is None or code.image_id is not None:
        return
    for pod in turn.seen.pods:
        for container in pod.containers:
            ours = pod.component == JOB_MANAGER and container.name == CONTAINER
            ours = ours and container.ready and container.image_id != ""
            if ours and (turn.deployed and pod.revision == turn.deployed.revision.base):
                turn.set(code=code.model_copy(update={"image_id": container.image_id}))
                return


def _time(text: str | None) -> datetime | None:
    return None if not text else datetime.fromisoformat(text)
