"""Finds whose fault a failure in a chain is, and makes it an error that says so.

The operator nearest to the exception wraps it as it passes; the task turns that into `UserCodeFailed` with the user's
own traceback, the operator's name and, where the operator knows it, the row. It must not know tasks or slots."""

from __future__ import annotations

from typing import NoReturn

from flowjob.errors import FlowjobError, JobFailed, UserCodeFailed
from flowjob.expressions.failures import ExpressionFailed
from flowjob.runtime.failures import one_line, user_traceback, users_frames
from flowjob.runtime.operators.base import OperatorContext
from flowjob.runtime.operators.failures import RowFailed, WrongResult, name_of
from flowjob.runtime.rows import RowTypeError

EXITS = (Exception, SystemExit, KeyboardInterrupt)
"""What a user's function may raise and no event loop of ours: `sys.exit()` in a function is a failure like another."""


class Blamed(Exception):
    """`__cause__` came out of an operator. A wrapper, since not every exception lets itself be marked."""

    def __init__(self, operator: str, subtask: int, function: str | None) -> None:
        super().__init__(operator)
        self.operator = operator
        self.subtask = subtask
        self.function = function


def blame(error: BaseException, context: OperatorContext, function: object = None) -> NoReturn:
    """Raises `error` as that of an operator and its function, unless one nearer to it has."""
    if isinstance(error, Blamed | GeneratorExit):
        raise error
    name = None if function is None else name_of(function)
    raise Blamed(context.name, context.subtask, name) from error


def as_failure(error: Exception) -> BaseException:
    """What to report for `error`: our own errors as they are, what a user's code raised as UserCodeFailed, and what
    code of ours raised (a file that cannot be written) as JobFailed.

    An operator that knows the row raises an exception with `row` (its printed form) and `__cause__`, the user's."""
    if not isinstance(error, Blamed):
        return error
    cause = error.__cause__
    assert cause is not None
    if isinstance(cause, FlowjobError):
        return cause
    row = getattr(cause, "row", None)
    by_function = isinstance(cause, RowFailed)
    if by_function and cause.__cause__ is not None:
        cause = cause.__cause__
    prefix = f"{error.function}: " if error.function else ""
    if isinstance(cause, RowTypeError | WrongResult | ExpressionFailed):
        # Nothing of the user's is on the stack: the function has returned. Say which one it was.
        text = f"{prefix}{cause}"
    elif users_frames(cause):
        text = user_traceback(cause)
    elif by_function:  # `map(int)`: a function without frames
        text = f"{prefix}{one_line(cause)}"
    else:
        return _ours(cause, error)
    return UserCodeFailed(
        user_traceback=text,
        operator=error.operator,
        row=None if row is None else str(row),
        subtask=error.subtask,
    )


def _ours(cause: BaseException, blamed: Blamed) -> JobFailed:
    """The machine's fault is told in a line; anything else is a defect, told with all there is."""
    text = one_line(cause) if isinstance(cause, OSError) else user_traceback(cause)
    where = f"in operator: {blamed.operator} (subtask {blamed.subtask})"
    return JobFailed(f"{text.rstrip()}\n{where}")
