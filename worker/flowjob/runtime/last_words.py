"""What a slot said before it died, as far as it tells why.

A crash in native code (a segmentation fault, an abort) prints the stack of every thread, the innermost call first and
that of our own loop last: the beginning is what helps. In any other case it is the end. It must not know processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

LAST_LINES = 20
"""How many lines go into the report of an exit."""

CRASH = "Fatal Python error: "


class LastWords:
    """Lines in, those worth telling out."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._crash: list[str] | None = None

    def add(self, lines: Iterable[str]) -> None:
        for line in lines:
            if line.startswith(CRASH):
                self._crash = []
            if self._crash is not None and len(self._crash) < LAST_LINES:
                self._crash.append(line)
            self._lines.append(line)

    def lines(self) -> list[str]:
        """At most LAST_LINES."""
        return list(self._lines if self._crash is None else self._crash)
