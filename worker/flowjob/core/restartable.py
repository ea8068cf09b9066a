"""Which failures starting again may help with: those of processes, machines and the world outside.

A program, a plan, a setting or a row that is wrong is wrong again. Pure; whether and when to start again is the restart
strategy's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from flowjob.core.failures import ErrorKind
from flowjob.core.job_events import Failed, Outcome


@dataclass(frozen=True, slots=True)
class Restart:
    """Start again, `after` seconds."""

    after: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """`reason` for a person: what has been tried."""

    reason: str


class RestartStrategy(Protocol):
    def next(self, time: float, chance: float) -> Restart | GiveUp:
        """What to do about a failure at `time` (seconds); `chance` in [0, 1) spreads delays."""
        ...


FINAL_CODES = frozenset(
    {
        "PLAN",  # found only where it runs: a connection that cannot be used so
        "MALFORMED_INPUT",  # the row is still there
        "SCHEMA",
        "STATE",  # a function that uses state wrongly
        "SNAPSHOT",  # a snapshot that cannot be used stays as it is
        "SNAPSHOT_DAMAGED",
        "STATE_MISMATCH",
        "LOST_LEADERSHIP",
        "LOST_DATA",  # starting again would hide it
    }
)


def can_help(outcome: Outcome, *, saved: bool) -> bool:
    """Whether a restart may lead to another outcome than this one, and is worth it.

    saved  there is progress to restart from. A function that fails before there is any most likely has a mistake in
           it: whoever is just writing it wants to hear that at once, and nothing is lost"""
    if not isinstance(outcome, Failed):
        return True
    error = outcome.error
    if error.kind is ErrorKind.REFUSED or error.code in FINAL_CODES:
        return False
    return saved or error.kind is not ErrorKind.USER
