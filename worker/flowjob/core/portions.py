"""In what portions a task takes its batches right behind a copy of its process (a fork).

The first write to each page of memory copies the page, so that the first batches take ten times as long as others: in
portions, the slot's other tasks do not wait for them. Results do not depend on where batches are cut. Pure."""

from __future__ import annotations

WHOLE = 1 << 62
"""Rows of a portion that no batch is larger than."""

LEAST = 512
"""Rows of the first portion."""

CALM = 0.003
"""Seconds within which a portion is done when pages are not copied any more, or few: the next may be larger."""

LONGEST = 0.5
"""Seconds in portions behind a copy. Work that takes long by itself is not cut for longer."""


class Portions:
    """Of one task. `rows` is how many it should take at once."""

    def __init__(self) -> None:
        self.rows = WHOLE
        self._left = 0.0

    def begin(self) -> None:
        """A copy has been made."""
        self.rows = LEAST
        self._left = LONGEST

    def took(self, seconds: float) -> None:
        """A portion is done."""
        self._left -= seconds
        if self._left <= 0:
            self.rows = WHOLE
        elif seconds < CALM:
            self.rows = self.rows * 2 if self.rows < LEAST << 8 else WHOLE
