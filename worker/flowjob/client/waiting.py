"""Waiting for an operation to be over, and saying on the way how far it is.

The same for both kinds of client. It must not know how operations are looked up."""

from __future__ import annotations

from collections.abc import Callable

from flowjob.client.clock import Clock
from flowjob.client.models import Operation
from flowjob.errors import DeadlinePassed, OperationFailed

FIRST_LOOK = 0.2
LONGEST_PAUSE = 2.0
"""Seconds between two looks; they grow by half each time."""

OnProgress = Callable[[Operation], None]


def wait_for(
    begun: Operation,
    look: Callable[[str], Operation],
    clock: Clock,
    timeout: float | None,
    on_progress: OnProgress | None = None,
) -> Operation:
    """The operation when it is done. `timeout`: seconds; None: as long as it takes.

    Raises OperationFailed with its reason, and DeadlinePassed: the operation goes on then."""
    until = None if timeout is None else clock.now() + timeout
    operation, pause = begun, FIRST_LOOK
    while True:
        if on_progress is not None:
            on_progress(operation)
        if operation.is_over:
            return _checked(operation)
        if until is not None and clock.now() >= until:
            raise DeadlinePassed(
                f"{operation.kind} of {operation.job} is still under way: {operation.progress.step or operation.state}",
                next_step=f"It goes on. `flowjob status {operation.job.name}` shows it; --timeout gives it longer",
            )
        clock.sleep(pause if until is None else max(0.0, min(pause, until - clock.now())))
        pause = min(pause * 1.5, LONGEST_PAUSE)
        operation = look(operation.id)


def _checked(operation: Operation) -> Operation:
    if operation.state != "Failed":
        return operation
    error = operation.error
    raise OperationFailed(
        f"{operation.kind} of {operation.job} failed: {error.message if error else 'it did not say why'}",
        reason=error.code if error else "",
    )
