"""Whether a task's state is described where it is, while the stream waits, or in a frozen copy of the process.

A copy costs the machine more than it saves as long as the state is described in a few milliseconds: page tables, and
every page that the stream then writes to. How long that takes depends on what the state is, so it is measured. Pure."""

from __future__ import annotations

from math import inf

IN_LINE = 0.035
"""Seconds of CPU that the stream may wait for it."""

TRIED = 0.15
"""A copy that needed no more has done all that would be needed in line, and much that would not: then that is tried."""

WORDS = 0.5e-9
"""Seconds of CPU per byte of columns of fixed width: what is supposed of them until it is measured. Python objects take
a hundred times as long."""


class SnapshotPace:
    """Of one task. Seconds are those of a CPU, and the best ones count: a busy machine changes little."""

    def __init__(self) -> None:
        self._in_line = inf
        """Seconds per byte."""
        self._in_copy = inf

    def in_line(self, size: int, *, words: bool = False) -> bool:
        """Whether state of so many bytes should be described in line. `words`: it is columns of fixed width."""
        if self._in_line < inf:
            return self._in_line * size <= IN_LINE
        if words and WORDS * size <= IN_LINE:
            return True
        return self._in_copy * size <= TRIED

    def took(self, seconds: float, size: int, *, in_line: bool) -> None:
        """What it has cost."""
        rate = seconds / max(size, 1)
        if in_line:
            self._in_line = min(self._in_line, rate)
        else:
            self._in_copy = min(self._in_copy, rate)
