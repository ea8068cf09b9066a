"""Columnar expressions: written like Python, checked when the plan is made, run by Arrow over whole batches."""

from flowjob.expressions.bind import BoundExpression
from flowjob.expressions.expr import (
    Case,
    Expr,
    When,
    coalesce,
    col,
    greatest,
    least,
    lit,
    struct,
    when,
)
from flowjob.expressions.failures import ExpressionFailed

__all__ = [
    "BoundExpression",
    "Case",
    "Expr",
    "ExpressionFailed",
    "When",
    "coalesce",
    "col",
    "greatest",
    "least",
    "lit",
    "struct",
    "when",
]
