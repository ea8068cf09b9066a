"""What can be computed over the rows of a window or key: built-in aggregates, the base of your own.

Declarations only: an aggregate names its inputs (columns or expressions), says what type it gives
and refuses wrong ones at plan time. How it is computed is runtime/accumulators/. As in SQL, nulls
are skipped by all but `count()`, and an aggregate over nothing is null (a count is 0)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, get_args, get_origin

import pyarrow as pa

from flowjob.errors import TypeMismatch

if TYPE_CHECKING:
    from flowjob.expressions import Expr

In = TypeVar("In")
Acc = TypeVar("Acc")
Out = TypeVar("Out")

MEAN_SCALE = 6
"""The mean of decimals has at least so many digits after the point, where 38 digits leave room."""


class Aggregation(ABC):
    """One aggregate over `inputs`: column names or expressions, as the user gave them."""

    name: ClassVar[str] = ""
    order_sensitive: ClassVar[bool] = False
    """The result depends on the order of rows: never pre-aggregated at the senders."""

    def __init__(self, *inputs: str | Expr) -> None:
        checked: tuple[Any, ...] = inputs
        for given in checked:
            # Expressions are told by what they are not: their module is not needed to declare.
            if isinstance(given, Aggregation):
                raise TypeError(
                    f"{type(self).__name__.lower()}({given}): aggregates do not nest. Name the inner one in one agg(), "
                    "and aggregate its result in the next"
                )
            if given is None or isinstance(given, int | float | bytes | list | tuple | dict | set):
                raise TypeError(
                    f"{type(self).__name__.lower()}({given!r}): an aggregate reads a column name "
                    "or an expression, such as fj.col('x') * 2"
                )
        self.inputs: tuple[str | Expr, ...] = inputs

    @property
    def mergeable(self) -> bool:
        """Two partial results can be made one: needed by session windows."""
        return True

    @property
    def two_phase(self) -> bool:
        """Senders may pre-aggregate."""
        return self.mergeable and not self.order_sensitive

    @abstractmethod
    def result_type(self, input_types: Sequence[pa.DataType]) -> pa.DataType:
        """The type of the result column; raises TypeMismatch for inputs it cannot take."""

    def __str__(self) -> str:
        return f"{self.name}({', '.join(str(given) for given in self.inputs)})"

    __repr__ = __str__

    def _refuse(self, got: pa.DataType, takes: str) -> TypeMismatch:
        return TypeMismatch(f"{self} takes {takes}. Its input is of type {got}")


class Count(Aggregation):
    name = "count"

    def result_type(self, input_types: Sequence[pa.DataType]) -> pa.DataType:
        return pa.int64()


class Sum(Aggregation):
    name = "sum"

    def result_type(self, input_types: Sequence[pa.DataType]) -> pa.DataType:
        (got,) = input_types
        if pa.types.is_integer(got):
            return pa.int64()
        if pa.types.is_floating(got):
            return pa.float64()
        if pa.types.is_decimal(got):
            return pa.decimal128(38, got.scale)
        if pa.types.is_duration(got):
            return got
        raise self._refuse(got, _NUMBERS)


class Mean(Aggregation):
    name = "mean"

    def result_type(self, input_types: Sequence[pa.DataType]) -> pa.DataType:
        (got,) = input_types
        if pa.types.is_integer(got) or pa.types.is_floating(got):
            return pa.float64()
        if pa.types.is_decimal(got):
            return pa.decimal128(38, _mean_scale(got))
        if pa.types.is_duration(got):
            return got
        raise self._refuse(got, _NUMBERS)


class _Extreme(Aggregation):
    def result_type(self, input_types: Sequence[pa.DataType]) -> pa.DataType:
        (got,) = input_types
        if not has_order(got):
            raise self._refuse(got, _ORDERED)
        return plain(got)


class Min(_Extreme):
    name = "min"


class Max(_Extreme):
    name = "max"


class First(Aggregation):
    name = "first"
    order_sensitive = True

    def result_type(self, input_types: Sequence[pa.DataType]) -> pa.DataType:
        return plain(input_types[0])


class Last(First):
    name = "last"


class CountDistinct(Aggregation):
    name = "count_distinct"

    @property
    def two_phase(self) -> bool:
        return False  # a partial would carry all its values

    def result_type(self, input_types: Sequence[pa.DataType]) -> pa.DataType:
        (got,) = input_types
        if pa.types.is_nested(got):
            raise self._refuse(got, "a scalar; take one field of it")
        return pa.int64()


class _ExtremeBy(Aggregation):
    @property
    def two_phase(self) -> bool:
        return False  # among equals the first row in order wins

    def result_type(self, input_types: Sequence[pa.DataType]) -> pa.DataType:
        value, by = input_types
        if not has_order(by):
            raise TypeMismatch(f"{self} orders by its second input: {_ORDERED}, but it is {by}")
        return plain(value)


class MinBy(_ExtremeBy):
    name = "min_by"


class MaxBy(_ExtremeBy):
    name = "max_by"


class Collect(Aggregation):
    name = "collect"
    order_sensitive = True

    def result_type(self, input_types: Sequence[pa.DataType]) -> pa.DataType:
        return pa.list_(plain(input_types[0]))


class Aggregate(Aggregation, Generic[In, Acc, Out]):
    """An aggregate of your own: `create`, `add`, `result`, and `merge` if it is to serve session
    windows.

    `Median("ms")` reads column `ms`; with several inputs `add` gets a tuple. Rows with a null input
    are skipped unless `skip_nulls = False`; without any row the result is null. An accumulator is
    any Python value; what `add` returns is kept. The result's type is the third type argument
    (`Aggregate[float, list[float], float]`), or the attribute `returns`, a Python or Arrow type."""

    skip_nulls: ClassVar[bool] = True
    returns: ClassVar[Any] = None

    def __init__(self, *inputs: str | Expr) -> None:
        if not inputs:
            raise TypeError(f"{type(self).__name__}() needs the column it reads, such as ('ms')")
        super().__init__(*inputs)

    @abstractmethod
    def create(self) -> Acc:
        """An empty accumulator."""

    @abstractmethod
    def add(self, acc: Acc, value: In) -> Acc:
        """The accumulator with one more value; may change `acc` in place and return it."""

    def merge(self, a: Acc, b: Acc) -> Acc:
        """One accumulator for the values of both; `a` came first."""
        raise NotImplementedError(f"{type(self).__name__} has no merge")

    @abstractmethod
    def result(self, acc: Acc) -> Out:
        """The aggregate's value; must leave `acc` usable."""

    @property
    def mergeable(self) -> bool:
        return type(self).merge is not Aggregate.merge

    @property
    def two_phase(self) -> bool:
        return False  # accumulators are arbitrary Python values: not shipped

    def result_type(self, input_types: Sequence[pa.DataType]) -> pa.DataType:
        declared = self.returns if self.returns is not None else _out_argument(type(self))
        if isinstance(declared, pa.DataType):
            return declared
        if declared is None or isinstance(declared, TypeVar):
            name = type(self).__name__
            raise TypeMismatch(
                f"{name} does not say what type it gives: declare "
                f"`class {name}(fj.Aggregate[In, Acc, Out])` with real types, or `returns = float`"
            )
        from flowjob.column_types import value_type

        return value_type(declared).arrow

    def __str__(self) -> str:
        return f"{type(self).__name__}({', '.join(str(given) for given in self.inputs)})"


# -- what users write -----------------------------------------------------------------------------


def count(column: str | Expr | None = None) -> Count:
    """The number of rows; with a column, of its values that are not null. int64."""
    return Count() if column is None else Count(column)


def sum(column: str | Expr) -> Sum:
    """int64 for integers (an overflow fails the job), float64 for floats, decimal for decimals."""
    return Sum(column)


def mean(column: str | Expr) -> Mean:
    """float64 for integers and floats; decimals stay decimal, rounded half up to at least 6
    digits."""
    return Mean(column)


def min(column: str | Expr) -> Min:
    """The smallest value; NaN counts as greater than every number. False < True."""
    return Min(column)


def max(column: str | Expr) -> Max:
    """The greatest value; NaN counts as greater than every number. Strings compare by UTF-8
    bytes."""
    return Max(column)


def first(column: str | Expr) -> First:
    """The first value that is not null, in order of arrival."""
    return First(column)


def last(column: str | Expr) -> Last:
    """The last value that is not null, in order of arrival."""
    return Last(column)


def count_distinct(column: str | Expr) -> CountDistinct:
    """How many different values there are, exactly; nulls not counted. NaN equals NaN, -0.0 equals
    0.0."""
    return CountDistinct(column)


def min_by(value: str | Expr, by: str | Expr) -> MinBy:
    """`value` of the row with the smallest `by` (the first such row); rows with null `by` are
    skipped."""
    return MinBy(value, by)


def max_by(value: str | Expr, by: str | Expr) -> MaxBy:
    """`value` of the row with the greatest `by` (the first such row); rows with null `by` are
    skipped."""
    return MaxBy(value, by)


def collect(column: str | Expr) -> Collect:
    """A list of all values that are not null, in order of arrival. State grows with the rows."""
    return Collect(column)


# -- types ----------------------------------------------------------------------------------------

_NUMBERS = "numbers, decimals or durations; cast others, as in fj.col('x').cast(float)"
_ORDERED = "a type with an order (numbers, decimals, bool, strings, bytes, dates, times)"


def plain(got: pa.DataType) -> pa.DataType:
    """The type a result has: the input's, without dictionary encoding; strings rather than views of
    them."""
    if pa.types.is_dictionary(got):
        got = got.value_type
    if pa.types.is_string_view(got):
        return pa.string()
    return pa.binary() if pa.types.is_binary_view(got) else got


def has_order(got: pa.DataType) -> bool:
    """Whether min, max and friends can compare values of this type."""
    got = plain(got)
    return bool(
        pa.types.is_integer(got)
        or pa.types.is_floating(got)
        or pa.types.is_boolean(got)
        or pa.types.is_decimal(got)
        or pa.types.is_temporal(got)
        or is_bytes_like(got)
    )


def fixed_order(got: pa.DataType) -> bool:
    """Whether an ordered type maps one to one to int64 in order: all but bytes and decimals."""
    return not (is_bytes_like(got) or pa.types.is_decimal(got))


def is_bytes_like(got: pa.DataType) -> bool:
    """Strings and binaries of any encoding: compared byte by byte."""
    return bool(
        pa.types.is_string(got)
        or pa.types.is_large_string(got)
        or pa.types.is_binary(got)
        or pa.types.is_large_binary(got)
        or pa.types.is_fixed_size_binary(got)
        or pa.types.is_string_view(got)
        or pa.types.is_binary_view(got)
    )


def _mean_scale(got: pa.DataType) -> int:
    room: int = 38 - (got.precision - got.scale)
    wanted = MEAN_SCALE if room > MEAN_SCALE else room
    return wanted if wanted > got.scale else int(got.scale)


def _out_argument(cls: type[Any]) -> Any:
    """The `Out` of the nearest `Aggregate[In, Acc, Out]` among the bases."""
    for base in cls.__mro__:
        for declared in getattr(base, "__orig_bases__", ()):
            if get_origin(declared) is Aggregate:
                return get_args(declared)[2]
    return None
