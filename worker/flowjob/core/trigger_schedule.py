"""When the next snapshot that nobody asked for is due: arithmetic on intervals and pauses.

Whether there may be one at all (room, phase of the job) is the coordinator's decision."""

from __future__ import annotations

from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob.core.coordinator_events import Kind

RETRY = 1.0
"""Seconds before a checkpoint that is wanted at once is tried again, at least."""


class TriggerSchedule:
    """All times are seconds of the coordinator's clock. `settings` may change at any time.

    soon  for a final checkpoint, or one that somebody waits for: no pause but that after a failure
    """

    def __init__(self, settings: CheckpointSettings) -> None:
        self.settings = settings
        self._triggered = 0.0
        self._ended = 0.0
        self._started = 0.0
        self.soon = 0.0

    def due(self, kind: Kind) -> float | None:
        """When a checkpoint that nobody asked for may be triggered, None for never."""
        if kind is Kind.FINAL:
            return self.soon
        interval, pause = self.settings.interval, self.settings.min_pause
        if interval is None:
            return None
        return max(self._triggered + interval, self._ended + pause, self._started)

    def started(self, now: float, since: float = 0.0) -> None:
        """Tasks run: the first checkpoint comes an interval later; `since`: seconds of it that have passed, where they
        have run before, so that nobody waits longer for results because a JobManager was replaced."""
        self._started = self.soon = now
        self._ended = now - self.settings.min_pause  # what was before the start needs no pause
        self.triggered(now - since)

    def triggered(self, now: float) -> None:
        """A checkpoint, periodic or asked for."""
        self._triggered = now

    def ended(self, now: float) -> None:
        """A snapshot of any kind is over, well or not."""
        self._ended = now

    def failed(self, now: float) -> None:
        self.soon = now + max(self.settings.min_pause, RETRY)
