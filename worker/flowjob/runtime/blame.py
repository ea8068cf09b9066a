"""Finds whose fault a failure in a chain is, and makes it an error that says so.

The operator nearest to the exception marks it as it passes; the task turns it into `UserCodeFailed` with the user's own
traceback, the operator's name and, where the operator knows it, the row."""

from __future__ import annotations

from flowjob.errors import FlowjobError, UserCodeFailed
from flowjob.runtime.failures import user_traceback
from flowjob.runtime.operators.base import OperatorContext
from flowjob.runtime.operators.failures import WrongResult, name_of
from flowjob.runtime.rows import RowTypeError

_MARK = "__flowjob_operator__"


def blame(error: Exception, context: OperatorContext, function: object = None) -> None:
    """Marks `error` with the operator it came from and its function, unless one nearer to it has."""
    if not hasattr(error, _MARK):
        setattr(error, _MARK, (context.name, context.subtask, function and name_of(function)))


def as_failure(error: Exception) -> Exception:
    """What to report for `error`: our own errors as they are, anything an operator raised as UserCodeFailed.

    An operator that knows the row raises an exception with `row` (its printed form) and `__cause__`, the user's."""
    if isinstance(error, FlowjobError) or not hasattr(error, _MARK):
        return error
    operator, subtask, function = getattr(error, _MARK)
    row = getattr(error, "row", None)
    cause = error.__cause__ if row is not None and error.__cause__ is not None else error
    if isinstance(cause, RowTypeError | WrongResult):
        # Nothing of the user's is on the stack: the function has returned. Say which one it was.
        text = f"{function}: {cause}" if function else str(cause)
    else:
        text = user_traceback(cause)
    return UserCodeFailed(
        user_traceback=text,
        operator=operator,
        row=None if row is None else str(row),
        subtask=subtask,
    )
