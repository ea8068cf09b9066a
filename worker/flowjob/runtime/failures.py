"""Exceptions across processes: to plain data in the worker, back to one exception in the client.

Nothing is unpickled. A user's traceback is shown with our own frames removed, so that the last line
a person reads is their code's. Which failure is the root cause is decided by core/job_machine.py,
not here."""

from __future__ import annotations

import traceback
from pathlib import Path

from flowjob import errors
from flowjob.core.failures import ErrorInfo, ErrorKind
from flowjob.core.job_events import Cancelled, Failed, Lost, Outcome, Succeeded

_PACKAGE = str(Path(errors.__file__).parent)
_MAX_TEXT = 20_000


def user_traceback(error: BaseException) -> str:
    """The traceback of `error` and its causes without frames of this package, formatted like
    Python's.

    Frames of libraries stay: a user may need to see where theirs called into them."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=False)
    part: traceback.TracebackException | None = shown
    seen: set[int] = set()
    while part is not None and id(part) not in seen:
        seen.add(id(part))
        kept = [f for f in part.stack if not f.filename.startswith(_PACKAGE)]
        if kept:
            part.stack = traceback.StackSummary.from_list(kept)
        part = part.__cause__ or part.__context__
    return _limited("".join(shown.format()))


def describe(error: BaseException) -> ErrorInfo:
    """`error`, raised in a slot, as data."""
    match error:
        case errors.UserCodeFailed():
            return ErrorInfo(
                kind=ErrorKind.USER,
                code=error.code,
                message=error.user_traceback.rstrip().rsplit("\n", 1)[-1],
                traceback=_limited(error.user_traceback),
                operator=error.operator,
                row=None if error.row is None else _limited(error.row),
                subtask=error.subtask,
            )
        case errors.MalformedInput():
            details = (error.reason, error.location, error.text[:500])
            return ErrorInfo(ErrorKind.ENGINE, error.code, str(error), details=details)
        case errors.PlanError():
            return ErrorInfo(ErrorKind.REFUSED, error.code, _limited(str(error)))
        case errors.ProtocolError():
            return ErrorInfo(ErrorKind.CONNECTION, error.code, _limited(str(error)))
        case errors.FlowjobError():
            return ErrorInfo(ErrorKind.ENGINE, error.code, _limited(str(error)))
    kind = ErrorKind.CONNECTION if isinstance(error, ConnectionError) else ErrorKind.ENGINE
    last = traceback.format_exception_only(error)[-1].strip()
    whole = _limited("".join(traceback.format_exception(error)))
    return ErrorInfo(kind, errors.JobFailed.code, last, traceback=whole)


def to_exception(outcome: Outcome, unstopped: tuple[str, ...] = ()) -> errors.JobFailed | None:
    """What the client raises for `outcome`; None for success."""
    note = f"\nstill alive after SIGKILL: {', '.join(unstopped)}" if unstopped else ""
    match outcome:
        case Succeeded():
            return None
        case Cancelled(reason):
            return errors.JobCancelled(f"the job was cancelled: {reason}{note}")
        case Lost(message):
            return errors.WorkerLost(message + note)
        case Failed(error, where):
            return _failed(error, where)


def _failed(error: ErrorInfo, where: str) -> errors.JobFailed:
    if error.kind is ErrorKind.USER:
        return errors.UserCodeFailed(
            user_traceback=error.traceback,
            operator=error.operator or "?",
            row=error.row,
            subtask=error.subtask or 0,
        )
    if error.kind is ErrorKind.CONNECTION:
        return errors.WorkerLost(
            f"{where} lost a connection and no process was seen to end: {error.message}"
            + (f"\n{error.traceback}" if error.traceback else "")
        )
    text = error.traceback.rstrip() or error.message
    failed = errors.JobFailed(f"{text}\nin {where}")
    if error.code == errors.MalformedInput.code and len(error.details) == 3:
        reason, location, row = error.details
        failed.__cause__ = errors.MalformedInput(reason, location=location, text=row)
    return failed


def _limited(text: str) -> str:
    """Both ends of a text that is too long to carry around."""
    if len(text) <= _MAX_TEXT:
        return text
    half = _MAX_TEXT // 2
    return f"{text[:half]}\n… {len(text) - _MAX_TEXT} characters …\n{text[-half:]}"
