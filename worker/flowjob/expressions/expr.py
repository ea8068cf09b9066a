"""Expressions over columns: what `col("delay") < 0` makes.

An `Expr` is a small immutable tree that knows its text and which columns it reads; it computes nothing. `bind`
(bind.py) turns it into something that does, for one schema. What each operation means stands in numeric.py,
logical.py, textual.py and temporal.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import pyarrow as pa

from flowjob.column_types import value_type
from flowjob.errors import SchemaError, TypeMismatch
from flowjob.expressions.text import expression_text
from flowjob.plan.where import caller

if TYPE_CHECKING:
    from flowjob.expressions.bind import BoundExpression
    from flowjob.expressions.namespaces import (
        DateTimes,
        Lists,
        Maps,
        MathFunctions,
        Strings,
    )


class Expr:
    """A computation over the columns of a row. Made by `col`, `lit`, operators and methods; never by hand.

    Two are never "equal": `==` makes an expression. Nulls make results null unless a method says otherwise."""

    __slots__ = ("_arguments", "_operation", "_parameters")

    def __init__(
        self, operation: str, arguments: tuple[Expr, ...] = (), parameters: tuple[Any, ...] = ()
    ) -> None:
        self._operation = operation
        self._arguments = arguments
        self._parameters = parameters

    # -- what it is

    @property
    def name(self) -> str | None:
        """The column name it gives: its alias, or the column it is; None when it has none."""
        if self._operation in ("col", "alias"):
            return str(self._parameters[0])
        return None

    @property
    def column_name(self) -> str | None:
        """The column that it passes through unchanged; None when it computes something."""
        if self._operation == "alias":
            return self._arguments[0].column_name
        return str(self._parameters[0]) if self._operation == "col" else None

    def columns(self) -> frozenset[str]:
        """All columns it reads."""
        return frozenset(str(e._parameters[0]) for e in self._walk() if e._operation == "col")

    def substitute(self, columns: Mapping[str, Expr]) -> Expr:
        """The same computation with expressions in place of columns: what it means before they were computed."""
        if self._operation == "col":
            return columns.get(str(self._parameters[0]), self)
        arguments = tuple(a.substitute(columns) for a in self._arguments)
        return Expr(self._operation, arguments, self._parameters)

    def _walk(self) -> Iterator[Expr]:
        yield self
        for argument in self._arguments:
            yield from argument._walk()

    def bind(self, schema: pa.Schema, *, where: str | None = None) -> BoundExpression:
        """Checks it against a schema and makes it ready to run; `where` goes into errors.

        Raises UnknownColumn or TypeMismatch."""
        from flowjob.expressions.bind import bind

        return bind(self, schema, where=where)

    def __str__(self) -> str:
        return expression_text(self._operation, self._arguments, self._parameters)

    def __repr__(self) -> str:
        return f"<Expr {self}>"

    def __getstate__(self) -> tuple[Any, ...]:
        return (self._operation, self._arguments, self._parameters)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._operation, self._arguments, self._parameters = state

    __hash__ = object.__hash__

    def __bool__(self) -> NoReturn:
        raise TypeMismatch(
            f"`{self}` is computed for each row later, so it is neither true nor false here. Write & | ~ for "
            "and, or, not, with parentheses around comparisons: (col('a') > 1) & (col('b') < 2); "
            "and fj.when(…).then(…).otherwise(…) for if",
            where=caller(),
        )

    def __iter__(self) -> NoReturn:
        raise TypeMismatch(f"`{self}` is one column and cannot be iterated over")

    # -- operators

    def __add__(self, other: Any) -> Expr:
        """Sum; for two strings their concatenation."""
        return Expr("add", (self, lit(other)))

    def __radd__(self, other: Any) -> Expr:
        return Expr("add", (lit(other), self))

    def __sub__(self, other: Any) -> Expr:
        return Expr("sub", (self, lit(other)))

    def __rsub__(self, other: Any) -> Expr:
        return Expr("sub", (lit(other), self))

    def __mul__(self, other: Any) -> Expr:
        return Expr("mul", (self, lit(other)))

    def __rmul__(self, other: Any) -> Expr:
        return Expr("mul", (lit(other), self))

    def __truediv__(self, other: Any) -> Expr:
        """True division: of two ints a float, and a failure for a zero divisor; of floats as IEEE 754 has it."""
        return Expr("truediv", (self, lit(other)))

    def __rtruediv__(self, other: Any) -> Expr:
        return Expr("truediv", (lit(other), self))

    def __floordiv__(self, other: Any) -> Expr:
        """Division rounded down, as in Python. A zero divisor fails for ints and gives inf or nan for floats."""
        return Expr("floordiv", (self, lit(other)))

    def __rfloordiv__(self, other: Any) -> Expr:
        return Expr("floordiv", (lit(other), self))

    def __mod__(self, other: Any) -> Expr:
        """Remainder with the sign of the divisor, as in Python."""
        return Expr("mod", (self, lit(other)))

    def __rmod__(self, other: Any) -> Expr:
        return Expr("mod", (lit(other), self))

    def __pow__(self, other: Any) -> Expr:
        return Expr("pow", (self, lit(other)))

    def __rpow__(self, other: Any) -> Expr:
        return Expr("pow", (lit(other), self))

    def __neg__(self) -> Expr:
        return Expr("neg", (self,))

    def __abs__(self) -> Expr:
        return Expr("math.abs", (self,))

    def __and__(self, other: Any) -> Expr:
        """And: false wins over null. Of two ints: bitwise."""
        return Expr("and", (self, lit(other)))

    def __rand__(self, other: Any) -> Expr:
        return Expr("and", (lit(other), self))

    def __or__(self, other: Any) -> Expr:
        """Or: true wins over null. Of two ints: bitwise."""
        return Expr("or", (self, lit(other)))

    def __ror__(self, other: Any) -> Expr:
        return Expr("or", (lit(other), self))

    def __xor__(self, other: Any) -> Expr:
        return Expr("xor", (self, lit(other)))

    def __rxor__(self, other: Any) -> Expr:
        return Expr("xor", (lit(other), self))

    def __invert__(self) -> Expr:
        return Expr("invert", (self,))

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]
        return Expr("eq", (self, lit(other)))

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]
        return Expr("ne", (self, lit(other)))

    def __lt__(self, other: Any) -> Expr:
        return Expr("lt", (self, lit(other)))

    def __le__(self, other: Any) -> Expr:
        return Expr("le", (self, lit(other)))

    def __gt__(self, other: Any) -> Expr:
        return Expr("gt", (self, lit(other)))

    def __ge__(self, other: Any) -> Expr:
        return Expr("ge", (self, lit(other)))

    # -- methods

    def alias(self, name: str) -> Expr:
        """The same under a column name."""
        return Expr("alias", (self,), (name,))

    def named(self, name: str) -> Expr:
        """`alias` under its other name."""
        return self.alias(name)

    def cast(self, type: Any) -> Expr:
        """As another type: a Python or fj type, or a pyarrow one. A value that does not fit exactly fails.

        Strings are parsed, datetimes without offset as UTC; the date of a datetime is that of its zone."""
        try:
            target = value_type(type).arrow
        except SchemaError as error:
            raise TypeMismatch(f"`{self}.cast({type})`: {error}") from error
        return Expr("cast", (self,), (target,))

    def is_null(self) -> Expr:
        """True where the value is missing; never null."""
        return Expr("is_null", (self,))

    def is_not_null(self) -> Expr:
        """True where there is a value; never null."""
        return Expr("is_not_null", (self,))

    def fill_null(self, value: Any) -> Expr:
        """`value` (a literal or an expression) where it is null."""
        return Expr("fill_null", (self, lit(value)))

    def is_in(self, values: Iterable[Any]) -> Expr:
        """Whether it is one of `values`, which are literals. Null for null, unless None is one of them."""
        if isinstance(values, set | frozenset):
            values = sorted(
                values, key=repr
            )  # the text of an expression must not depend on a hash seed
        return Expr("is_in", (self,), tuple(values))

    def between(self, low: Any, high: Any) -> Expr:
        """low <= it <= high."""
        return Expr("between", (self, lit(low), lit(high)))

    def field(self, name: str) -> Expr:
        """A field of a nested Schema (a struct)."""
        return Expr("field", (self,), (name,))

    @property
    def str(self) -> Strings:
        """Functions of strings."""
        from flowjob.expressions.namespaces import Strings

        return Strings(self)

    @property
    def dt(self) -> DateTimes:
        """Functions of datetimes, dates and timedeltas."""
        from flowjob.expressions.namespaces import DateTimes

        return DateTimes(self)

    @property
    def math(self) -> MathFunctions:
        """Functions of numbers."""
        from flowjob.expressions.namespaces import MathFunctions

        return MathFunctions(self)

    @property
    def list(self) -> Lists:
        """Functions of lists."""
        from flowjob.expressions.namespaces import Lists

        return Lists(self)

    @property
    def map(self) -> Maps:
        """Functions of dicts."""
        from flowjob.expressions.namespaces import Maps

        return Maps(self)


def col(name: str) -> Expr:
    """The column of this name."""
    if not isinstance(name, str):
        raise TypeMismatch(f"col takes a column name, got {name!r}; lit makes a constant")
    return Expr("col", (), (name,))


def lit(value: Any, type: Any = None) -> Expr:
    """A constant; None is null. An expression is given back as it is. Naive datetimes are UTC."""
    if isinstance(value, Expr):
        return value
    try:
        target = None if type is None else value_type(type).arrow
    except SchemaError as error:
        raise TypeMismatch(f"lit({value!r}, {type}): {error}") from error
    return Expr("lit", (), (value, target))


def coalesce(*values: Any) -> Expr:
    """The first of the values that is not null. Strings are literals: write col("name") for a column."""
    if not values:
        raise TypeMismatch("coalesce needs at least one value")
    return Expr("coalesce", tuple(map(lit, values)))


def least(*values: Any) -> Expr:
    """The smallest of the values; null when one is null."""
    return Expr("least", tuple(map(lit, values)))


def greatest(*values: Any) -> Expr:
    """The largest of the values; null when one is null."""
    return Expr("greatest", tuple(map(lit, values)))


def struct(**fields: Any) -> Expr:
    """A nested row of named values: struct(at=col("at"), where=col("origin"))."""
    if not fields:
        raise TypeMismatch("struct needs at least one field: struct(name=col(…))")
    return Expr("struct", tuple(map(lit, fields.values())), tuple(fields))


class When:
    """`when(…)` waiting for its `then`."""

    __slots__ = ("_arguments",)

    def __init__(self, arguments: tuple[Expr, ...]) -> None:
        self._arguments = arguments

    def then(self, value: Any) -> Case:
        """The value where the condition is true."""
        return Case("when", (*self._arguments, lit(value)))


class Case(Expr):
    """A chain of when … then; null where no condition is true, unless `otherwise` says what else."""

    __slots__ = ()

    def when(self, condition: Any) -> When:
        """Another condition, tried where those before are not true."""
        return When((*self._arguments, lit(condition)))

    def otherwise(self, value: Any) -> Expr:
        """The value where no condition is true."""
        return Expr("when", (*self._arguments, lit(value)))


def when(condition: Any) -> When:
    """when(a).then(x).when(b).then(y).otherwise(z): the value of the first true condition.

    A branch is only computed for the rows that take it, so it may be guarded: when(b != 0).then(a // b)."""
    return When((lit(condition),))
