"""How the command ends: one status per kind of end, and the last words of an error.

A user's error shows the user's lines only: no traceback of ours ever. Knows errors and text streams, not jobs."""

from __future__ import annotations

from typing import TextIO

from flowjob.cli.terminal_text import harmless
from flowjob.errors import (
    BadRequest,
    Conflict,
    DeadlinePassed,
    FlowjobError,
    JobCancelled,
    JobFailed,
    LostLeadership,
    NotAllowed,
    NotDone,
    NotFound,
    ServiceError,
    ServiceUnreachable,
    StoodDown,
    UserCodeFailed,
)

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_LEFT = 3  # the job goes on, under another JobManager
EXIT_NOT_FOUND = 4
EXIT_NOT_ALLOWED = 5
EXIT_CONFLICT = 6
EXIT_UNREACHABLE = 7  # a script may try again
EXIT_DEADLINE = 8  # it goes on, and nobody waits for it
EXIT_CANCELLED = 130  # as a shell says of a program that Ctrl-C ended


def exit_status(error: FlowjobError) -> int:
    """The status for an error: the job ran and failed or did not do as asked, was cancelled, or nothing was started."""
    match error:
        case JobCancelled():
            return EXIT_CANCELLED
        case StoodDown():
            return EXIT_LEFT
        case JobFailed() | NotDone() | LostLeadership():
            return EXIT_FAILED
        case ServiceError():
            return _of_service(error)
        case _:
            return EXIT_USAGE


def _of_service(error: ServiceError) -> int:
    match error:
        case BadRequest():
            return EXIT_USAGE
        case NotFound():
            return EXIT_NOT_FOUND
        case NotAllowed():
            return EXIT_NOT_ALLOWED
        case Conflict():
            return EXIT_CONFLICT
        case ServiceUnreachable():
            return EXIT_UNREACHABLE
        case DeadlinePassed():
            return EXIT_DEADLINE
        case _:
            return EXIT_FAILED


def exit_with(error: FlowjobError, out: TextIO, *, as_json: bool = False) -> int:
    """Says what happened and returns the status. `as_json`: to a program, as one object."""
    if as_json:
        print(_json(error), file=out, flush=True)
        return exit_status(error)
    if isinstance(error, JobCancelled):
        print("cancelled", file=out, flush=True)
        return EXIT_CANCELLED
    if isinstance(error, UserCodeFailed):
        # The user's own traceback first, as Python would have shown it.
        print(error, file=out)
        print(f"error[{error.code}]: the job failed in code of yours, see above", file=out)
    elif isinstance(error, ServiceError):
        print(f"error[{error.code}]: {harmless(error.message)}", file=out)
        if error.next_step:
            print(f"next: {harmless(error.next_step)}", file=out)
    else:
        print(f"error[{error.code}]: {error}", file=out)
    out.flush()
    return exit_status(error)


def _json(error: FlowjobError) -> str:
    import json

    said = {"code": error.code, "message": str(error), "exitStatus": exit_status(error)}
    if isinstance(error, ServiceError):
        said |= {
            "message": error.message,
            "reason": error.reason,
            "status": error.status,
            "nextStep": error.next_step,
        }
    return json.dumps({"error": said}, ensure_ascii=False)
