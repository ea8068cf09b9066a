"""What a JobManager lets one follow closely: every event of the job machine, every message of a slot.

A watcher sees them in the JobManager's loop, before anything is decided about them, so it must be quick and must not
raise. Listeners (runtime/jobmanager/request.py) carry it; this one does nothing. It must not know who watches."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowjob.core.job_events import Event, Finish, Notice, TaskId
    from flowjob.core.job_machine import JobState
    from flowjob.runtime.jobmanager.conducting import Conductor
    from flowjob.runtime.jobmanager.request import JobEvent, JobRequest
    from flowjob.runtime.messages import FromSlotBody, SlotOutput, TaskManagerAlive

_log = logging.getLogger("flowjob.jobmanager")


class Watcher:
    """Methods in the order in which they may come first."""

    def began(self, conductor: Conductor, request: JobRequest) -> None:
        """From here on this one has the job; what the one before had is over."""

    def changed(self, state: JobState) -> None:
        """The job's state is another one now."""

    def happened(self, event: Event) -> None:
        """To the job; nothing is decided about it yet."""

    def heard(self, slot: int, message: FromSlotBody | SlotOutput) -> None:
        """From a slot of the current attempt."""

    def said(self, taskmanager: str, message: TaskManagerAlive) -> None:
        """By a TaskManager of itself."""

    def noticed(self, notice: Notice) -> None:
        """A restart begins, has succeeded, or is given up."""

    def told(self, event: JobEvent) -> None:
        """Whoever watches the job."""

    def reset(self, tasks: tuple[TaskId, ...]) -> None:
        """These are gone, and will be started again."""

    def finished(self, finish: Finish) -> None:
        """The last thing."""


class Guarded(Watcher):
    """`watcher`, whose defects are logged, and go no further: a job must not fail because somebody looks at it."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def began(self, conductor: Conductor, request: JobRequest) -> None:
        self._tell(self._watcher.began, conductor, request)

    def changed(self, state: JobState) -> None:
        self._tell(self._watcher.changed, state)

    def happened(self, event: Event) -> None:
        self._tell(self._watcher.happened, event)

    def heard(self, slot: int, message: FromSlotBody | SlotOutput) -> None:
        self._tell(self._watcher.heard, slot, message)

    def said(self, taskmanager: str, message: TaskManagerAlive) -> None:
        self._tell(self._watcher.said, taskmanager, message)

    def noticed(self, notice: Notice) -> None:
        self._tell(self._watcher.noticed, notice)

    def told(self, event: JobEvent) -> None:
        self._tell(self._watcher.told, event)

    def reset(self, tasks: tuple[TaskId, ...]) -> None:
        self._tell(self._watcher.reset, tasks)

    def finished(self, finish: Finish) -> None:
        self._tell(self._watcher.finished, finish)

    def _tell(self, method: Callable[..., None], *arguments: object) -> None:
        try:
            method(*arguments)
        except Exception:  # noqa: BLE001 - see the class
            _log.exception("what happens to the job is not remembered as it should be")
