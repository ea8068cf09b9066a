"""When the next snapshot that nobody asked for is due: arithmetic on intervals and pauses.

Whether there may be one at all (room, phase of the job) is the coordinator's decision."""

from __future__ import annotations

from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob.core.coordinator_events import Kind

FINAL_RETRY = 1.0
"""Seconds before a final checkpoint that failed is tried again, at least."""


class TriggerSchedule:
    """All times are seconds of the coordinator's clock."""

    def __init__(self, settings: CheckpointSettings) -> None:
        self._interval = settings.interval
        self._pause = settings.min_pause
        self._due = 0.0
        self._not_before = 0.0
        self._final_at = 0.0

    def due(self, kind: Kind) -> float | None:
        """When a checkpoint that nobody asked for may be triggered, None for never. A final one waits for nothing but
        its own last failure."""
        if kind is Kind.FINAL:
            return self._final_at
        return None if self._interval is None else max(self._due, self._not_before)

    def started(self, now: float) -> None:
        """Tasks run: the first checkpoint comes an interval later."""
        self._not_before = self._final_at = now
        self.triggered(now)

    def triggered(self, now: float) -> None:
        """A checkpoint, periodic or asked for."""
        self._due = now + (self._interval or 0.0)

    def ended(self, now: float) -> None:
        """A snapshot of any kind is over, well or not."""
        self._not_before = now + self._pause

    def failed(self, now: float) -> None:
        self._final_at = now + max(self._pause, FINAL_RETRY)
