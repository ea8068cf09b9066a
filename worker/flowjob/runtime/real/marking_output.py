"""Marks what tasks print and log in a slot process (runtime/speaking.py), on its way to standard output and error.

Lines of different tasks do not mix: each is written whole. Code that is of no task writes as ever. What formats log
records is left to the program; only records that nobody else handles are marked with their level."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from flowjob.runtime.speaking import SPEAKER, Mark, marked

_LONGEST = 1 << 20
"""Characters without an end of line that are kept; then they are written as they are."""

_NO_TASK = (-1, -1)


class MarkingStream:
    """In place of `sys.stdout` or `sys.stderr`; all but writing is the real one's."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begun: dict[tuple[int, int], str] = {}

    def write(self, text: str) -> int:
        speaker = SPEAKER.get()
        if speaker is None:
            return self._stream.write(text)
        whole = self._begun.pop(speaker, "") + text
        *lines, rest = whole.split("\n")
        if rest and len(rest) < _LONGEST:
            self._begun[speaker] = rest
        elif rest:
            lines.append(rest)
        if lines:
            mark = Mark(*speaker)
            self._stream.write("".join(f"{marked(line, mark)}\n" for line in lines))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def finish(self) -> None:
        """Writes lines that were begun and never ended."""
        begun, self._begun = self._begun, {}
        for speaker, rest in begun.items():
            self._stream.write(f"{marked(rest, Mark(*speaker))}\n")
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class MarkingHandler(logging.Handler):
    """In place of logging's last resort: for records that no handler of the program takes."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(logging.WARNING)
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        try:
            mark = Mark(*(SPEAKER.get() or _NO_TASK), record.levelname, record.name)
            lines = self.format(record).split("\n")
            self._stream.write("".join(f"{marked(line, mark)}\n" for line in lines))
            self._stream.flush()
        except Exception:  # noqa: BLE001 - as all handlers do
            self.handleError(record)


def mark_output() -> tuple[MarkingStream, MarkingStream]:
    """From here on. Call `finish` of both at the end."""
    real = sys.stderr
    out, err = MarkingStream(sys.stdout), MarkingStream(real)
    sys.stdout, sys.stderr = out, err
    logging.lastResort = MarkingHandler(real)
    return out, err
