"""What a TaskManager says of itself until its JobManager hears it: with the next beat, so it costs no message.

Bounded: where more is said than can be told, the oldest lines tell why, and the others are counted. It must not know
logging, nor who asks."""

from __future__ import annotations

from flowjob.runtime.wire import SaidLine

MOST_LINES = 200
LONGEST = 4_000
"""Characters of a line; the rest is cut off."""


class SaidLines:
    """`dropped`: lines that were too many, since the beginning."""

    def __init__(self) -> None:
        self.dropped = 0
        self._lines: list[SaidLine] = []

    def add(self, line: SaidLine) -> None:
        if len(self._lines) >= MOST_LINES:
            self.dropped += 1
            return
        text = line.text if len(line.text) <= LONGEST else f"{line.text[:LONGEST]}…"
        self._lines.append(
            SaidLine(line.at, line.level, line.logger[:200], text, line.slot, line.attempt)
        )

    def take(self) -> list[SaidLine]:
        """Those since the last call."""
        lines, self._lines = self._lines, []
        return lines
