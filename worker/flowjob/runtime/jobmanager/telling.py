"""Says in a line what happened to a job, for the people who watch it.

It turns notices of the job machine into JobEvents; it decides nothing."""

from __future__ import annotations

from collections.abc import Callable

from flowjob.core.failures import ErrorKind
from flowjob.core.job_events import (
    Cancelled,
    Failed,
    GaveUp,
    Lost,
    Notice,
    Outcome,
    Restarted,
    Restarting,
    Succeeded,
)
from flowjob.runtime.env import Clock
from flowjob.runtime.jobmanager.request import (
    JobEvent,
    RestartsExhausted,
    WorkersLost,
    WorkersRestarted,
)

LONG_PAUSE = 1.0
"""Seconds. A pause before a restart that is shorter is not worth a line of its own."""


class Telling:
    """`tell` gets each event.

    source           where the tasks continue: `checkpoint 7`
    attempts_before  attempts are counted from there, for people
    """

    def __init__(self, clock: Clock, tell: Callable[[JobEvent], object]) -> None:
        self._clock = clock
        self._tell = tell
        self._lost_at: dict[tuple[int, ...], float] = {}
        self._last: Outcome | None = None
        self.source = "the beginning"
        self.attempts_before = 0

    def notice(self, notice: Notice) -> None:
        """At the time at which it happens."""
        now = self._clock.monotonic()
        match notice:
            case Restarting(slots, attempt, cause, after):
                self._lost_at[slots] = now
                when = f" in {after:.1f} s" if after >= LONG_PAUSE else ""
                number = attempt - self.attempts_before
                text = f"{cause_of(cause)}; restarting{when} (attempt {number})"
                counts = cause is not self._last and not isinstance(cause, Cancelled)
                self._last = cause
                self._tell(WorkersLost(text, slow=bool(when), counts=counts))
            case Restarted(slots, attempt, cause):
                seconds = now - self._lost_at.pop(slots, now)
                self._tell(
                    WorkersRestarted(
                        f"{cause_of(cause)}; restarted from {self.source} in {seconds:.1f} s "
                        f"(attempt {attempt - self.attempts_before})"
                    )
                )
            case GaveUp(cause, reason):
                self._tell(RestartsExhausted(f"{cause_of(cause)}; not restarted: {reason}"))


def cause_of(outcome: Outcome) -> str:
    """A failure in a line."""
    match outcome:
        case Lost(message, short):
            return short or message.splitlines()[0]
        case Failed(error, where) if error.kind is ErrorKind.USER:
            subtask = "" if error.subtask is None else f" (subtask {error.subtask})"
            return f"{error.message} in {error.operator or where}{subtask}"
        case Failed(error, where):
            return f"{_headline(error.message)} in {where}"
        case Cancelled(reason):
            return reason
        case Succeeded():
            return "the job has finished"


def _headline(message: str) -> str:
    """The line of a message that says what happened: of a traceback the last one, not what says where."""
    lines = message.splitlines()
    if not lines[0].startswith("Traceback "):
        return lines[0]
    said = [line for line in lines if not line.startswith((" ", "in operator: "))]
    return said[-1]
