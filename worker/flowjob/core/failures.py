"""What went wrong in a worker, as plain data that crosses processes without pickling.

Here because both the job machine (which finds the root cause) and the wire carry it. How an
exception becomes one, and one an exception again, is runtime/failures.py."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ErrorKind(Enum):
    """What a failure says about its cause."""

    USER = "user"  # a user function raised
    CONNECTION = "connection"  # a peer went away: hardly ever the root cause
    REFUSED = "refused"  # the worker's plan differs, or its job cannot be loaded
    ENGINE = "engine"  # one of our own errors, or a defect


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """A failure reported by a slot.

    code       `FlowjobError.code` of its class
    message    for a person; for USER the exception's own last line
    traceback  formatted text; for USER the user's frames only
    row        a printed form of the offending row
    details    what the class needs to be rebuilt
    """

    kind: ErrorKind
    code: str
    message: str
    traceback: str = ""
    operator: str | None = None
    row: str | None = None
    subtask: int | None = None
    details: tuple[str, ...] = ()
