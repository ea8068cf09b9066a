"""What the parts of a JobManager that take snapshots ask of the rest of it.

Here, because several of them do, and none has to know another. It must not know who fulfils it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flowjob.core import job_events
from flowjob.runtime import messages
from flowjob.runtime.jobmanager.request import JobEvent


@dataclass(frozen=True, slots=True)
class Shell:
    """What the service asks of the JobManager.

    send      a message to a slot, by number; nothing where there is none
    slots     numbers of the slots there are
    happened  an event for the job machine
    tell      something a person should know
    broken    this JobManager has to end: it leads no more
    """

    send: Callable[[int, messages.ToSlotBody], None]
    slots: Callable[[], Iterable[int]]
    happened: Callable[[job_events.Event], None]
    tell: Callable[[JobEvent], None]
    broken: Callable[[Exception], None]
