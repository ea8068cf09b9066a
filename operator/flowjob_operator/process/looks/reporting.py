"""What the queue does, for logs and metrics.

A failure is one line with its cause; the trace of what nobody expected comes with it."""

from __future__ import annotations

from typing import Final

import structlog

from flowjob_operator.process.asking.jobmanagers import Refused
from flowjob_operator.process.cluster.api import ApiError, Unreachable
from flowjob_operator.process.looks.reconciling import Key
from flowjob_operator.process.queue import Slow
from flowjob_operator.process.telling.metrics import Metrics

log: Final = structlog.get_logger("flowjob_operator.queue")


class Reporting:
    """A queue's Listener."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def started(self, key: Key, waited: float) -> None:
        self._metrics.wait_seconds.labels(key.kind).observe(waited)

    def succeeded(self, key: Key, took: float) -> None:
        self._metrics.reconcile_seconds.labels(key.kind, "ok").observe(took)

    def failed(self, key: Key, took: float, error: Exception, attempts: int) -> None:
        cause = cause_of(error)
        self._metrics.reconcile_seconds.labels(key.kind, "failed").observe(took)
        self._metrics.errors.labels(key.kind, cause).inc()
        log.warning(
            "failed",
            kind=key.kind,
            namespace=key.namespace,
            name=key.name,
            cause=cause,
            error=str(error) or type(error).__name__,
            attempts=attempts,
            exc_info=error if cause == "Defect" else None,
        )


def cause_of(error: Exception) -> str:
    """A bounded set of words."""
    match error:
        case ApiError():
            return f"Api{error.status}"
        case Unreachable():
            return "ApiUnreachable"
        case Slow():
            return "ApiBusy"
        case Refused():
            return "JobManagerRefused"
        case TimeoutError():
            return "Late"
    return "Defect"
