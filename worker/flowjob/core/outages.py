"""What is said of checkpoints that fail one after the other: the first one, and that it is over.

Pure: texts and seconds in, texts out. A store that is away for an hour is one piece of news, not three hundred."""

from __future__ import annotations


class Outage:
    """Of one job's checkpoints."""

    def __init__(self) -> None:
        self._failed = 0
        self._since = 0.0

    def begins(self, now: float) -> bool:
        """One has failed: whether that is news. `now` in seconds of a clock that never goes back."""
        self._failed += 1
        if self._failed == 1:
            self._since = now
        return self._failed == 1

    def ends(self, now: float) -> str | None:
        """One has come through: what to say, if anything."""
        failed, self._failed = self._failed, 0
        if failed < 2:
            return None
        return f"checkpoints are complete again; {failed} failed one after the other, within {now - self._since:.0f} s"
