"""ExpressionFailed: a value that an expression cannot compute, at run time.

Apart from errors.py because it is an operator's failure, which the task turns into UserCodeFailed."""

from __future__ import annotations


class ExpressionFailed(Exception):
    """Names the smallest failing part. `row` is a printed form of the row, once it is known; see BoundExpression."""

    def __init__(self, expression: str, reason: str, row: str | None = None) -> None:
        super().__init__(f"`{expression}`: {reason}")
        self.expression = expression
        self.reason = reason
        self.row = row

    def __reduce__(self) -> tuple[type[ExpressionFailed], tuple[str, str, str | None]]:
        return ExpressionFailed, (self.expression, self.reason, self.row)
