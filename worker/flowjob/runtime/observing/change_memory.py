"""What has happened to a job, in a line each, for those who follow it.

It must not decide what is worth a line: observer.py does."""

from __future__ import annotations

from typing import Literal

from flowjob.cluster.job_history import Change, Changes
from flowjob.runtime.observing.bell import Bell
from flowjob.runtime.observing.rings import Ring

KEPT = 500

Topic = Literal["state", "restart", "checkpoint", "snapshot", "exception", "scale", "note"]


class ChangeMemory:
    """`bell` rings when there is a new one."""

    def __init__(self) -> None:
        self.bell = Bell()
        self._ring: Ring[Change] = Ring(KEPT)

    def add(
        self, at: str, topic: Topic, text: str, *, state: str = "", checkpoint: int | None = None
    ) -> None:
        """`at`: RFC 3339."""
        number = self._ring.last + 1
        change = Change(
            sequence=number, at=at, topic=topic, text=text, state=state, checkpoint=checkpoint
        )
        self._ring.add(change)
        self.bell.ring()

    def answer(self, after: int | None) -> Changes:
        """All that are remembered behind `after`."""
        known = min(after or 0, self._ring.last)
        changes = [change for _, change in self._ring.behind(known)]
        missed = after is not None and after < self._ring.first - 1
        return Changes(changes=changes, next=self._ring.last, missed=missed)
