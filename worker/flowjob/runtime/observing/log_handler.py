"""Brings what a JobManager's process logs into its job's ring of lines.

Warnings and worse: what is told of the job comes there by itself. It takes nothing away from where records go else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Literal

from flowjob.cluster.job_history import LogLine
from flowjob.runtime.observing.configuration import without_secrets
from flowjob.runtime.observing.observer import Observer

_LEVELS: dict[int, Literal["WARNING", "ERROR", "CRITICAL"]] = {
    logging.WARNING: "WARNING", logging.ERROR: "ERROR", logging.CRITICAL: "CRITICAL",
}  # fmt: skip


_OURS = "flowjob"


def is_taken(record: logging.LogRecord) -> bool:
    """Whether it comes into the ring: who writes down the ring's lines need not write that record."""
    ours = record.name == _OURS or record.name.startswith(f"{_OURS}.")
    return ours and record.levelno >= logging.WARNING


class RingHandler(logging.Handler):
    """In any thread. Records that nobody else takes go where they went without it, too."""

    def __init__(self, observer: Observer, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(logging.WARNING)
        self._observer = observer
        self._loop = loop

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if not logging.getLogger().handlers and logging.lastResort is not None:
                logging.lastResort.handle(record)
            line = LogLine(
                sequence=0,
                at=self._observer.now,
                level=_LEVELS.get(record.levelno, "WARNING"),
                logger=record.name,
                message=without_secrets(record.getMessage()),
                traceback=without_secrets(_traceback(record)),
            )
            self._loop.call_soon_threadsafe(self._add, line)
        except RuntimeError:
            pass  # the loop has ended
        except Exception:  # noqa: BLE001 - as all handlers do
            self.handleError(record)

    def _add(self, line: LogLine) -> None:
        self._observer.logs.add("JobManager", [line], self._observer.clock.monotonic())


def _traceback(record: logging.LogRecord) -> str:
    return "" if not record.exc_info else logging.Formatter().formatException(record.exc_info)


@contextlib.contextmanager
def logging_into(observer: Observer) -> Iterator[None]:
    """In the JobManager's loop: from here to the end of the block."""
    logger = logging.getLogger(_OURS)
    handler = RingHandler(observer, asyncio.get_running_loop())
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
