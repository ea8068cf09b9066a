"""How a job ends, and what is told of it on the way: the words that people get to hear, as plain data.

Words of the job machine, like core/job_events.py, which gives them too."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowjob.core.failures import ErrorInfo


@dataclass(frozen=True, slots=True)
class Succeeded:
    """All tasks have finished."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A slot or an enumerator reported an error."""

    error: ErrorInfo
    where: str


@dataclass(frozen=True, slots=True)
class Lost:
    """A process went away, or did not do in time what it had to: `message` is the whole story, `short` its first
    words, if it has more."""

    message: str
    short: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Cancelled:
    reason: str


Outcome = Succeeded | Failed | Lost | Cancelled


@dataclass(frozen=True, slots=True)
class Restarting:
    """Slots are being replaced because of `cause`; the new ones start in `after` seconds."""

    slots: tuple[int, ...]
    attempt: int
    cause: Outcome
    after: float


@dataclass(frozen=True, slots=True)
class Restarted:
    """They run again."""

    slots: tuple[int, ...]
    attempt: int
    cause: Outcome


@dataclass(frozen=True, slots=True)
class GaveUp:
    """What happened last could have been restarted, but the restart strategy says no; the job ends."""

    cause: Outcome
    reason: str


Notice = Restarting | Restarted | GaveUp
