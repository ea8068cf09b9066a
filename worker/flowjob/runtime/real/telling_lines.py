"""Brings what a TaskManager's process logs into the log of its job: warnings and worse of this package.

Beside where records go else, and in any thread. It must not know messages."""

from __future__ import annotations

import logging

from flowjob.runtime.said_lines import SaidLines
from flowjob.runtime.wire import SaidLine

_OURS = "flowjob"


class TellingHandler(logging.Handler):
    """Lists are safe to add to from any thread."""

    def __init__(self, said: SaidLines) -> None:
        super().__init__(logging.WARNING)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
            if record.exc_info:
                text = f"{text}\n{logging.Formatter().formatException(record.exc_info)}"
            level = "WARNING" if record.levelno < logging.ERROR else "ERROR"
            self._said.add(SaidLine(int(record.created * 1e6), level, record.name, text))
        except Exception:  # noqa: BLE001 - as all handlers do
            self.handleError(record)


def tell(said: SaidLines) -> None:
    """From now on, for as long as the process lives."""
    logging.getLogger(_OURS).addHandler(TellingHandler(said))
