"""How the command ends: one status per kind of end, and the last words of an error.

A user's error shows the user's lines only: no traceback of ours ever. Knows errors and text streams, not jobs."""

from __future__ import annotations

from typing import TextIO

from flowjob.errors import (
    FlowjobError,
    JobCancelled,
    JobFailed,
    LostLeadership,
    NotDone,
    StoodDown,
    UserCodeFailed,
)

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_LEFT = 3  # the job goes on, under another JobManager
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
        case _:
            return EXIT_USAGE


def exit_with(error: FlowjobError, out: TextIO) -> int:
    """Says what happened and returns the status."""
    if isinstance(error, JobCancelled):
        print("cancelled", file=out, flush=True)
        return EXIT_CANCELLED
    if isinstance(error, UserCodeFailed):
        # The user's own traceback first, as Python would have shown it.
        print(error, file=out)
        print(f"error[{error.code}]: the job failed in code of yours, see above", file=out)
    else:
        print(f"error[{error.code}]: {error}", file=out)
    out.flush()
    return exit_status(error)
