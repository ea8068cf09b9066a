"""The text of an expression: what errors and explain show, and part of a plan's digest.

Equal expressions have equal text in every process: no ids, no hash order."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import pyarrow as pa

INFIX = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "truediv": "/",
    "floordiv": "//",
    "mod": "%",
    "pow": "**",
    "and": "&",
    "or": "|",
    "xor": "^",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
}
PREFIX = {"neg": "-", "invert": "~"}
FREE = frozenset({"coalesce", "least", "greatest"})


def expression_text(operation: str, arguments: tuple[Any, ...], parameters: tuple[Any, ...]) -> str:
    """Python-like text; operands that are operators themselves stand in parentheses."""
    if operation == "col":
        return column_text(parameters[0])
    if operation == "lit":
        return value_text(parameters[0])
    if operation == "alias":
        return str(arguments[0])
    if operation in INFIX:
        left, right = map(_operand, arguments)
        return f"{left} {INFIX[operation]} {right}"
    if operation in PREFIX:
        return PREFIX[operation] + _operand(arguments[0])
    if operation == "when":
        return _when_text(arguments)
    if operation == "struct":
        fields = ", ".join(f"{n}={a}" for n, a in zip(parameters, arguments))
        return f"struct({fields})"
    if operation in FREE:
        return f"{operation}({', '.join(map(str, arguments))})"
    if operation == "is_in":
        rest = [f"[{', '.join(map(value_text, parameters))}]"]
    else:  # a parameter left out is None
        given = [value_text(p) for p in parameters if p is not None]
        rest = [*map(str, arguments[1:]), *given]
    return f"{_operand(arguments[0])}.{operation}({', '.join(rest)})"


def column_text(name: str) -> str:
    """A column name, in backticks when it is no identifier."""
    return name if name.isidentifier() else f"`{name}`"


def _operand(expression: Any) -> str:
    while expression._operation == "alias":
        expression = expression._arguments[0]
    text = str(expression)
    compound = expression._operation in INFIX or expression._operation in PREFIX
    negative = expression._operation == "lit" and text.startswith("-")
    return f"({text})" if compound or negative else text


def _when_text(arguments: tuple[Any, ...]) -> str:
    pairs = zip(arguments[0::2], arguments[1::2])
    text = ".".join(f"when({condition}).then({value})" for condition, value in pairs)
    return f"{text}.otherwise({arguments[-1]})" if len(arguments) % 2 else text


def value_text(value: Any) -> str:
    """A constant as a person would write it."""
    if isinstance(value, Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if isinstance(value, datetime | date | time):
        return f"{type(value).__name__}({value.isoformat()})"
    if isinstance(value, timedelta):
        return f"timedelta({value})"
    if isinstance(value, Decimal):
        return f"Decimal({value})"
    if isinstance(value, pa.DataType):
        return str(value)
    return repr(value)
