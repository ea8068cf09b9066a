"""The end of a job: the first outcome stands, and every slot is stopped before it is told.

A part of core/job_machine.py. It must not know why the job ends."""

from __future__ import annotations

from collections.abc import Sequence

from flowjob.core.job_deadlines import Deadlines
from flowjob.core.job_events import (
    Finish,
    Instruction,
    Outcome,
    StopSlot,
    Succeeded,
    Timeouts,
    Wait,
)
from flowjob.core.region import Region


class Ending:
    """`outcome` is set as soon as it is clear, `ended` when nothing lives any more, or is waited for."""

    def __init__(self, regions: Sequence[Region], timeouts: Timeouts, deadlines: Deadlines) -> None:
        self._regions = regions
        self._timeouts = timeouts
        self._deadlines = deadlines
        self.outcome: Outcome | None = None
        self.ended = False

    def end(self, outcome: Outcome) -> list[Instruction]:
        """Asks all slots to stop; later outcomes do not count."""
        if self.outcome is not None:
            return []
        self.outcome = outcome
        cleared = self._deadlines.clear_all()
        reason = "the job has finished" if isinstance(outcome, Succeeded) else "the job has ended"
        stops = self._stop_all(reason, kill=False)
        if not stops:
            return [*cleared, *self.finish()]
        return [*cleared, *stops, self._deadlines.set(Wait.STOP, self._timeouts.stop)]

    def kill_slots(self) -> list[Instruction]:
        """They did not stop in time, or somebody is in a hurry."""
        return [
            *self._deadlines.clear(Wait.STOP),
            *self._stop_all("it did not stop in time", kill=True),
            self._deadlines.set(Wait.KILL, self._timeouts.kill),
        ]

    def finish_if_stopped(self) -> list[Instruction]:
        if self.outcome is None or self.ended or any(r.living for r in self._regions):
            return []
        return self.finish()

    def finish(self) -> list[Instruction]:
        """Whatever still lives is named."""
        assert self.outcome is not None
        self.ended = True
        unstopped = tuple(s.label for r in self._regions for s in r.living)
        return [*self._deadlines.clear_all(), Finish(self.outcome, unstopped)]

    def _stop_all(self, reason: str, *, kill: bool) -> list[Instruction]:
        return [i for r in self._regions for i in stop_slots(reason, r, kill=kill)]


def stop_slots(reason: str, region: Region, *, kill: bool) -> list[Instruction]:
    """For every living slot of `region`."""
    return [StopSlot(s.taskmanager, s.number, region.attempt, reason, kill) for s in region.living]
