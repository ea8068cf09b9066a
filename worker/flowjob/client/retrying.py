"""Which failures of a request are tried again, and after what pause. Pure.

Every request may be sent again: reads by their nature, writes because each carries a key that the service knows it by.
It must not wait, send, or know what was asked."""

from __future__ import annotations

from dataclasses import dataclass

PASSING = frozenset({408, 425, 429, 502, 503, 504})
"""Statuses that say: not now."""


@dataclass(frozen=True, slots=True)
class Retries:
    """Pauses double from `first` to `longest` seconds, each cut short by chance so that clients do not come together.
    `attempts`: in all, the first one included."""

    attempts: int = 6
    first: float = 0.2
    longest: float = 5.0

    def pause(self, attempt: int, chance: float, said: str | None = None) -> float | None:
        """Seconds after the failed `attempt` (the first is 1); None: no other. `said`: the server's Retry-After."""
        if attempt >= self.attempts:
            return None
        own: float = min(self.longest, self.first * 2.0 ** (attempt - 1)) * (0.5 + chance / 2)
        return max(own, retry_after(said))


def retry_after(said: str | None) -> float:
    """Seconds of the header, if it is a number of them; 0 otherwise: a date is not worth its trouble."""
    try:
        seconds = float(said or 0)
    except ValueError:
        return 0.0
    return seconds if 0 <= seconds <= 3600 else 0.0
