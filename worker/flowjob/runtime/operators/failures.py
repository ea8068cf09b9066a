"""RowFailed: a user's function failed at a row, and which one.

Operators run functions in tight loops without a `try` per row; the row is found afterwards, here. The task turns
a RowFailed into errors.UserCodeFailed, to which it adds the operator's name and subtask."""

from __future__ import annotations

from operator import length_hint
from typing import Any

from flowjob.runtime.printing import shown
from flowjob.schema import class_text


class RowFailed(Exception):
    """`__cause__` is what the user's function raised, or the complaint about what it returned.

    `row` is a printed form of the offending row (or timer), None when there is none."""

    def __init__(self, function: str, row: str | None, cause: BaseException) -> None:
        # Without its text, which may not be printable.
        super().__init__(f"{function} failed: {type(cause).__name__}")
        self.function = function
        self.row = row
        self.__cause__ = cause


class WrongResult(TypeError):
    """A function returned or emitted what it did not declare."""


def name_of(function: object) -> str:
    """How messages call a function: `slug`, or `slug (jobs.py:12)` when it has no name of its own."""
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    code = getattr(function, "__code__", None)
    if name.endswith("<lambda>") and code is not None:
        return f"the lambda at {code.co_filename}:{code.co_firstlineno}"
    return f"`{name.replace('<locals>.', '')}`"


def row_reached(rows: list[Any], iterator: object) -> str | None:
    """The row that was taken last from an iterator over `rows`, printed."""
    taken = len(rows) - length_hint(iterator)
    return shown(rows[taken - 1]) if taken else None


def first_of_other_type(values: list[Any], wanted: type[Any]) -> int | None:
    """Index of the first value that is no `wanted`; None when all are. ~11 ns per value when they are."""
    if list(map(type, values)).count(wanted) == len(values):
        return None
    return next((i for i, v in enumerate(values) if not isinstance(v, wanted)), None)


def wrong_type(function: str, verb: str, value: object, wanted: type[Any]) -> WrongResult:
    """The complaint about a value of another type than declared; `verb` is e.g. "returned"."""
    return WrongResult(
        f"{function} declares {class_text(wanted)} but {verb} {class_text(type(value))}: {shown(value)}. "
        f"Give it a {wanted.__name__}, or declare what it gives with `returns=…`"
    )
