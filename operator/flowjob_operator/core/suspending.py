"""Suspend and cancel: the job is stopped, and its pods go. And what remains of jobs that have ended.

The state is kept in either case. Services, certificates and revisions stay: they cost nothing, and resuming is faster.
Pure."""

from __future__ import annotations

from flowjob_operator.core.actions import EventType
from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.removal import remove_job_managers, remove_task_managers
from flowjob_operator.core.replacing import keep_savepoint
from flowjob_operator.core.steps import Step
from flowjob_operator.core.stopping import manner, stopped
from flowjob_operator.core.turn import Turn
from flowjob_operator.resources.flowjob_status import JobState, OperationType

LEAVING = frozenset({OperationType.SUSPEND, OperationType.CANCEL})
JOB_MANAGER_STAYS = 3600.0
"""Seconds after the end of a job: it can be asked, and its log read."""


def advance_leaving(turn: Turn) -> None:
    """One step, if it is due."""
    operation = turn.doing
    if operation.step == Step.STOPPING.value:
        if stopped(turn, manner(turn, operation)):
            turn.step(Step.REMOVING)
        return
    keep_savepoint(turn, operation)
    gone = remove_task_managers(turn)
    gone = remove_job_managers(turn, None) and gone
    if not gone:
        suspends = operation.type is OperationType.SUSPEND
        reason = Reason.SUSPENDING if suspends else Reason.CANCELLING
        turn.wait(reason, "pods go", 2.0)
        return
    _rest(turn, operation.type)


def _rest(turn: Turn, kind: OperationType) -> None:
    refused = turn.status.refused
    repeats = refused is not None and refused.reason == Reason.ROLLBACK_WOULD_REPEAT.value
    if kind is OperationType.SUSPEND:
        state = JobState.SUSPENDED
    elif repeats and refused is not None:
        state = JobState.FAILED
        turn.set_job(error=refused.message)
    else:
        state = JobState.CANCELLED
    turn.set_job(state=state, ended_at=turn.job.ended_at or turn.now)
    turn.tell(Reason(state.value), f"the job is {state.value}", EventType.NORMAL)
    turn.end()


def wind_down(turn: Turn) -> None:
    """Of a job that has ended by itself, or is at rest: TaskManagers go at once, the JobManager after a while."""
    remove_task_managers(turn)
    ended = turn.job.ended_at or turn.now
    left = JOB_MANAGER_STAYS - (turn.now - ended).total_seconds()
    by_itself = turn.job.state in (JobState.FINISHED, JobState.FAILED)
    if by_itself and left > 0:
        turn.look_again(left)
        return
    remove_job_managers(turn, None)
