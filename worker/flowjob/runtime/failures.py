"""Exceptions across processes: to plain data in the worker, back to one exception in the client.

Nothing is unpickled. A user's traceback is shown with our own frames removed, so that the last line
a person reads is their code's. Which failure is the root cause is decided by core/job_machine.py,
not here."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

from flowjob import errors
from flowjob.core.failures import ErrorInfo, ErrorKind
from flowjob.core.job_events import Cancelled, Failed, Lost, Outcome, Succeeded

_PACKAGE = str(Path(errors.__file__).parent)
_OURS = (_PACKAGE, "<frozen importlib")
_STANDARD_LIBRARY = sysconfig.get_path("stdlib")
_LIBRARIES = ("pyarrow", "numpy", "numba", "msgspec", "uvloop")
_MAX_TEXT = 20_000
_SLACK = 100


def user_traceback(error: BaseException) -> str:
    """The traceback of `error` and its causes without frames of this package, formatted like
    Python's.

    Frames of libraries stay: a user may need to see where theirs called into them."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=False)
    part: traceback.TracebackException | None = shown
    seen: set[int] = set()
    while part is not None and id(part) not in seen:
        seen.add(id(part))
        kept = [f for f in part.stack if not f.filename.startswith(_OURS)]
        if kept or part.exc_type is SyntaxError:
            part.stack = traceback.StackSummary.from_list(kept)
        part = part.__cause__ or part.__context__
    return _limited("".join(shown.format()))


def users_frames(error: BaseException) -> bool:
    """Whether anything but this package, Python and the libraries under us was running when `error` was raised."""
    frames = (f.f_code.co_filename for f, _ in traceback.walk_tb(error.__traceback__))
    return any(not _is_engines(Path(name)) for name in frames)


def _is_engines(file: Path) -> bool:
    if file.is_relative_to(_PACKAGE) or str(file).startswith("<frozen "):
        return True
    parts = file.parts
    for packages in ("site-packages", "dist-packages"):
        if packages in parts:
            after = parts[parts.index(packages) + 1 :]
            return bool(after) and after[0] in _LIBRARIES
    return file.is_relative_to(_STANDARD_LIBRARY)


def one_line(error: BaseException) -> str:
    """The last line of its traceback: type and message."""
    return traceback.format_exception_only(error)[-1].strip()


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
    last = _limited(one_line(error))
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
    failed.code = error.code
    if error.code == errors.MalformedInput.code and len(error.details) == 3:
        reason, location, row = error.details
        failed.__cause__ = errors.MalformedInput(reason, location=location, text=row)
    return failed


def _limited(text: str) -> str:
    """Both ends of a text that is too long to carry around."""
    if len(text) <= _MAX_TEXT + _SLACK:  # what has been limited once stays as it is
        return text
    half = _MAX_TEXT // 2
    return f"{text[:half]}\n… {len(text) - _MAX_TEXT} characters …\n{text[-half:]}"
