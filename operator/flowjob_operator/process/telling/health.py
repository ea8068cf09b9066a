"""Whether the operator makes progress, which is more than that its process is there.

Two questions. Alive: is it better to be killed? Ready: can it do its work, if it leads? A standby is both. Facts are
put in by the others; serving.py asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from flowjob_operator.process.clock import Clock

STUCK_SECONDS: Final = 180.0
"""Work takes its deadline at most, and a queue with anything due ends some work far more often."""
BLIND_SECONDS: Final = 240.0
"""Watches that miss what was surely there are begun anew long before."""
SILENT_SECONDS: Final = 30.0
"""A loop that is blocked for so long serves nobody."""


@dataclass(slots=True)
class Health:
    """`stuck`: seconds for which the queue is stuck. `blind`: seconds since a watch should have told something."""

    clock: Clock
    stuck: Callable[[], float] = lambda: 0.0
    blind: Callable[[], float] = lambda: 0.0
    surveyed: bool = False
    """What there is has been listed once, or this is a standby"""
    reached: bool = False
    """The API server has answered once"""
    beat: float = field(default=0.0)

    def alive(self) -> list[str]:
        """Reasons why not."""
        found = []
        if (seconds := self.stuck()) > STUCK_SECONDS:
            found.append(f"the queue has been stuck for {seconds:.0f} s")
        if (seconds := self.blind()) > BLIND_SECONDS:
            found.append(f"watches have told nothing of a change {seconds:.0f} s ago")
        if self.beat and (seconds := self.clock.monotonic() - self.beat) > SILENT_SECONDS:
            found.append(f"the loop has been blocked for {seconds:.0f} s")
        return found

    def ready(self) -> list[str]:
        """Reasons why not."""
        found = self.alive()
        if not self.reached:
            found.append("the API server has not answered yet")
        if not self.surveyed:
            found.append("what there is has not been listed yet")
        return found
