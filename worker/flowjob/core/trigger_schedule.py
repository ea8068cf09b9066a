"""When the next snapshot that nobody asked for is due: arithmetic on intervals and pauses.

Whether there may be one at all (room, phase of the job) is the coordinator's decision."""

from __future__ import annotations

from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob.core.coordinator_events import Kind

RETRY = 1.0
"""Seconds before a checkpoint that is wanted at once is tried again, at least."""


class TriggerSchedule:
    """All times are seconds of the coordinator's clock.

    soon  for a final checkpoint, or one that somebody waits for: no pause but that after a failure
    """

    def __init__(self, settings: CheckpointSettings) -> None:
        self._interval = settings.interval
        self._pause = settings.min_pause
        self._due = 0.0
        self._not_before = 0.0
        self.soon = 0.0

    def due(self, kind: Kind) -> float | None:
        """When a checkpoint that nobody asked for may be triggered, None for never."""
        if kind is Kind.FINAL:
            return self.soon
        return None if self._interval is None else max(self._due, self._not_before)

    def started(self, now: float) -> None:
        """Tasks run: the first checkpoint comes an interval later."""
        self._not_before = self.soon = now
        self.triggered(now)

    def triggered(self, now: float) -> None:
        """A checkpoint, periodic or asked for."""
        self._due = now + (self._interval or 0.0)

    def ended(self, now: float) -> None:
        """A snapshot of any kind is over, well or not."""
        self._not_before = now + self._pause

    def failed(self, now: float) -> None:
        self.soon = now + max(self._pause, RETRY)
