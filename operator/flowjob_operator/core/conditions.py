"""Conditions and the phase: for `kubectl wait`, for GitOps tools after kstatus, and for people.

Computed anew in each pass from status and what was seen; only a flip of the status moves the time. A job that runs
while its new spec is refused is Ready and Stalled. Pure."""

from __future__ import annotations

from flowjob.cluster.control_api import JobManagerView
from flowjob_operator.core.diagnosis import diagnosis
from flowjob_operator.core.observed import JOB_MANAGER, TASK_MANAGER
from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.settings import time_of
from flowjob_operator.core.stamping import Said, stamped
from flowjob_operator.core.steps import Step
from flowjob_operator.core.turn import ENDED, Turn
from flowjob_operator.rendering.naming import CONTAINER
from flowjob_operator.resources.conditions import ConditionType, Truth
from flowjob_operator.resources.fields import OFF, seconds
from flowjob_operator.resources.flowjob_status import JobState, OperationType, Phase

_PHASE_OF_OPERATION = {
    OperationType.START: Phase.STARTING,
    OperationType.RESUME: Phase.STARTING,
    OperationType.UPGRADE: Phase.UPGRADING,
    OperationType.MOVE: Phase.UPGRADING,
    OperationType.RESTART: Phase.UPGRADING,
    OperationType.RESTORE: Phase.UPGRADING,
    OperationType.ROLL_TASK_MANAGERS: Phase.UPGRADING,
    OperationType.SETTINGS: Phase.RUNNING,
    OperationType.RESCALE: Phase.RESCALING,
    OperationType.ROLLBACK: Phase.ROLLING_BACK,
    OperationType.SUSPEND: Phase.SUSPENDING,
    OperationType.CANCEL: Phase.SUSPENDING,
    OperationType.DELETE: Phase.DELETING,
}
_REASON_OF_OPERATION = {
    OperationType.START: Reason.STARTING,
    OperationType.RESUME: Reason.RESUMING,
    OperationType.UPGRADE: Reason.UPGRADING,
    OperationType.MOVE: Reason.MOVING,
    OperationType.RESTART: Reason.RESTARTING,
    OperationType.RESTORE: Reason.RESTORING,
    OperationType.ROLL_TASK_MANAGERS: Reason.ROLLING_TASK_MANAGERS,
    OperationType.SETTINGS: Reason.CHANGING_SETTINGS,
    OperationType.RESCALE: Reason.RESCALING,
    OperationType.ROLLBACK: Reason.ROLLING_BACK,
    OperationType.SUSPEND: Reason.SUSPENDING,
    OperationType.CANCEL: Reason.CANCELLING,
    OperationType.DELETE: Reason.DELETING,
}
_AT_REST = {
    JobState.SUSPENDED: (Phase.SUSPENDED, Reason.SUSPENDED),
    JobState.FINISHED: (Phase.FINISHED, Reason.FINISHED),
    JobState.CANCELLED: (Phase.CANCELLED, Reason.CANCELLED),
    JobState.FAILED: (Phase.FAILED, Reason.FAILED),
}
CRASHES = 3
"""Restarts that make a crash loop, when the last one was within CRASH_WINDOW seconds."""
CRASH_WINDOW = 120.0
_STALE_AFTER = 3.0
"""Intervals and timeouts without a checkpoint."""


def phase(turn: Turn) -> Phase:
    operation, state = turn.operation, turn.job.state
    if operation is not None:
        starts = operation.type in (OperationType.START, OperationType.RESUME)
        if starts and operation.step == Step.PREFLIGHT.value:
            return Phase.PREFLIGHT
        if operation.type is OperationType.START and operation.step == Step.CHECKING.value:
            return Phase.PENDING
        return _PHASE_OF_OPERATION[operation.type]
    if state in _AT_REST:
        return _AT_REST[state][0]
    if turn.revisions.current is None:
        return Phase.PENDING
    return Phase.RUNNING if turn.job.started_at is not None else Phase.STARTING


def crash_loops(turn: Turn) -> bool:
    """It restarts again and again, and did so a moment ago."""
    job = turn.job
    if (job.restarts or 0) < CRASHES or job.restarted_at is None or job.state in ENDED:
        return False
    left = CRASH_WINDOW - (turn.now - job.restarted_at).total_seconds()
    if left > 0:
        turn.look_again(left)
    return left > 0


def conclude(turn: Turn) -> None:
    """Phase, diagnosis and conditions, from all that this pass has decided."""
    turn.set(phase=phase(turn))
    runs = turn.active or (turn.operation is not None and turn.revisions.current is None)
    view = turn.view
    in_trouble = turn.job.state in (JobState.RESTARTING, JobState.FAILED) or crash_loops(turn)
    error = turn.job.error if in_trouble else None
    if error is None and view is not None and view.state not in ("Running", "Finished"):
        error = view.error
    found = diagnosis(turn.seen, error, wants_to_run=runs)
    if turn.seen.refusal:
        found = _refusal(turn)
    if found is None and turn.is_refused and turn.status.refused is not None:
        found = turn.status.refused.message
    if found is None and turn.note is not None and turn.note[0] in _WORTH_SAYING:
        found = turn.note[1]
    turn.set(diagnosis=found or turn.bad_schedule)
    said: dict[ConditionType, Said] = {
        ConditionType.READY: _ready(turn, found),
        ConditionType.PROGRESSING: _progressing(turn),
        ConditionType.DEGRADED: _degraded(turn, found),
        ConditionType.CHECKPOINT_FRESH: _fresh(turn, view),
    }
    said[ConditionType.RECONCILING] = _reconciling(said[ConditionType.PROGRESSING])
    said[ConditionType.STALLED] = _stalled(turn, found)
    before = turn.seen.job.status.conditions
    turn.set(conditions=stamped(said, before, turn.now, turn.generation))


_NEEDS_SOMEBODY = frozenset(
    {Reason.PAUSED, Reason.SPEC_REFUSED, Reason.OBJECTS_REFUSED, Reason.REVISION_MISSING}
)
_WORTH_SAYING = frozenset(
    {
        Reason.OBJECTS_REFUSED,
        Reason.SPEC_REFUSED,
        Reason.PREFLIGHT_FAILED,
        Reason.WAITING_FOR_SNAPSHOT,
        Reason.SAVEPOINT_FAILED,
        Reason.REVISION_MISSING,
    }
)


def _refusal(turn: Turn) -> str:
    return f"the API server refuses: {turn.seen.refusal}"


def _ready(turn: Turn, trouble: str | None) -> Said:
    state, operation = turn.job.state, turn.operation
    if operation is None and state in _AT_REST:
        reason = _AT_REST[state][1]
        ready = state is not JobState.FAILED
        return (Truth.TRUE if ready else Truth.FALSE), reason, "" if ready else trouble or ""
    if crash_loops(turn):
        return Truth.FALSE, Reason.CRASH_LOOP, trouble or "the job restarts again and again"
    if turn.active and state is JobState.RUNNING and not _is_stopping(turn):
        return Truth.TRUE, Reason.RUNNING, ""
    if operation is not None:
        return Truth.FALSE, _REASON_OF_OPERATION[operation.type], trouble or ""
    if state is JobState.UNKNOWN:
        reachable = "the JobManager does not answer"
        return Truth.FALSE, Reason.JOB_MANAGER_UNREACHABLE, trouble or reachable
    if state is JobState.RESTARTING:
        return Truth.FALSE, Reason.RESTARTING, trouble or ""
    return Truth.FALSE, Reason.STARTING if turn.active else Reason.PENDING, trouble or ""


def _is_stopping(turn: Turn) -> bool:
    operation = turn.operation
    steps = (Step.STOPPING.value, Step.REMOVING.value, Step.DEPLOYING.value)
    return operation is not None and operation.step in steps and turn.note is None


def _progressing(turn: Turn) -> Said:
    operation, refused = turn.operation, turn.status.refused
    if turn.note is not None and turn.note[0] is Reason.PAUSED:
        return Truth.FALSE, Reason.PAUSED, turn.note[1]
    if turn.seen.refusal:
        return Truth.FALSE, Reason.OBJECTS_REFUSED, _refusal(turn)
    if operation is not None:
        reason, message = turn.note or (_REASON_OF_OPERATION[operation.type], "")
        if reason in (Reason.PREFLIGHT_FAILED, Reason.OBJECTS_REFUSED):
            return Truth.FALSE, reason, message
        return Truth.TRUE, reason, message
    if turn.is_refused and refused is not None:
        return Truth.FALSE, Reason(refused.reason), refused.message
    if turn.note is not None:
        return Truth.FALSE, turn.note[0], turn.note[1]
    return Truth.FALSE, Reason.UP_TO_DATE, ""


def _degraded(turn: Turn, trouble: str | None) -> Said:
    if turn.job.state is JobState.FAILED:
        return Truth.TRUE, Reason.FAILED, trouble or ""
    if crash_loops(turn):
        return Truth.TRUE, Reason.CRASH_LOOP, trouble or ""
    if turn.seen.refusal:
        return Truth.TRUE, Reason.OBJECTS_REFUSED, _refusal(turn)
    view = turn.view
    if view is not None and view.checkpoints.failed_in_a_row >= CRASHES:
        return Truth.TRUE, Reason.FAILING, view.checkpoints.error or ""
    drift = drifted(turn)
    if drift is not None:
        return Truth.TRUE, Reason.IMAGE_DRIFT, drift
    if turn.operation is None and turn.active:
        if turn.job.state is JobState.UNKNOWN:
            return Truth.TRUE, Reason.JOB_MANAGER_UNREACHABLE, trouble or ""
        if trouble is not None and not turn.is_refused:
            return Truth.TRUE, Reason.PODS_NOT_READY, trouble
    if turn.bad_schedule is not None:
        return Truth.TRUE, Reason.SCHEDULE_INVALID, turn.bad_schedule
    return Truth.FALSE, Reason.HEALTHY, ""


def drifted(turn: Turn) -> str | None:
    """A tag has been moved: pods of one revision run different images."""
    code, deployed = turn.status.code, turn.deployed
    if code is None or code.image_id is None or deployed is None:
        return None
    ours = {(JOB_MANAGER, deployed.revision.base), (TASK_MANAGER, deployed.revision.template)}
    for pod in turn.seen.pods:
        for container in pod.containers:
            known = (pod.component, pod.revision) in ours and container.name == CONTAINER
            if known and container.ready and container.image_id not in ("", code.image_id):
                return (
                    f"pod {pod.name} runs {container.image_id}, others {code.image_id}: {code.image} was moved. "
                    "Give a digest or another tag, or a new restartNonce"
                )
    return None


def _fresh(turn: Turn, view: JobManagerView | None) -> Said:
    """Whether losing everything now would lose little."""
    deployed = turn.deployed
    spec = turn.spec if deployed is None else deployed.revision.spec
    if spec.checkpoints.storage is None or spec.checkpoints.interval == OFF:
        return Truth.UNKNOWN, Reason.OFF, ""
    if not turn.active:
        return Truth.UNKNOWN, Reason.NOT_RUNNING, ""
    since = turn.status.last_checkpoint_time or turn.revisions.current_since
    if since is None:
        return Truth.UNKNOWN, Reason.NONE_YET, ""
    interval = seconds(spec.checkpoints.interval or "10s")
    bound = max(60.0, _STALE_AFTER * interval)
    if view is not None and view.checkpoints.under_way:
        bound += time_of(spec.checkpoints.timeout, 600.0)
    left = bound - (turn.now - since).total_seconds()
    if left > 0:
        turn.look_again_about(left)
        if turn.status.last_checkpoint_time is None:
            return Truth.UNKNOWN, Reason.NONE_YET, ""
        return Truth.TRUE, Reason.FRESH, ""
    return Truth.FALSE, Reason.STALE, f"none within {bound:g} s"


def _reconciling(progressing: Said) -> Said:
    return progressing[0], progressing[1], progressing[2]


def _stalled(turn: Turn, trouble: str | None) -> Said:
    """Nothing will happen until somebody does something."""
    if turn.seen.refusal:
        return Truth.TRUE, Reason.OBJECTS_REFUSED, _refusal(turn)
    refused = turn.status.refused
    if turn.is_refused and refused is not None:
        return Truth.TRUE, Reason(refused.reason), refused.message
    if turn.operation is None and turn.job.state is JobState.FAILED:
        return Truth.TRUE, Reason.FAILED, trouble or ""
    note = turn.note
    if note is not None and note[0] in _NEEDS_SOMEBODY:
        return Truth.TRUE, note[0], note[1]
    return Truth.FALSE, Reason.HEALTHY, ""
