"""The methods behind `.str`, `.dt`, `.math`, `.list` and `.map`: names and documentation only.

What they do stands in textual.py, temporal.py and numeric.py."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flowjob.expressions.expr import Expr, lit


class _Namespace:
    __slots__ = ("_expression",)
    _prefix = ""

    def __init__(self, expression: Expr) -> None:
        self._expression = expression

    def _call(self, name: str, *parameters: Any) -> Expr:
        return Expr(f"{self._prefix}.{name}", (self._expression,), parameters)

    def _call_with(self, name: str, *others: Any) -> Expr:
        arguments = (self._expression, *map(lit, others))
        return Expr(f"{self._prefix}.{name}", arguments)


class Strings(_Namespace):
    """Functions of strings; positions and lengths count characters."""

    __slots__ = ()
    _prefix = "str"

    def lower(self) -> Expr:
        """In lower case."""
        return self._call("lower")

    def upper(self) -> Expr:
        """In upper case."""
        return self._call("upper")

    def title(self) -> Expr:
        """Each Word Capitalised."""
        return self._call("title")

    def reverse(self) -> Expr:
        """From the last character to the first."""
        return self._call("reverse")

    def strip(self, characters: str | None = None) -> Expr:
        """Without these characters (white space) at both ends."""
        return self._call("strip", characters)

    def lstrip(self, characters: str | None = None) -> Expr:
        """Without these characters (white space) at the start."""
        return self._call("lstrip", characters)

    def rstrip(self, characters: str | None = None) -> Expr:
        """Without these characters (white space) at the end."""
        return self._call("rstrip", characters)

    def length(self) -> Expr:
        """The number of characters."""
        return self._call("length")

    def contains(self, text: str) -> Expr:
        """Whether `text` occurs in it."""
        return self._call("contains", text)

    def starts_with(self, text: str) -> Expr:
        """Whether it begins with `text`."""
        return self._call("starts_with", text)

    def ends_with(self, text: str) -> Expr:
        """Whether it ends with `text`."""
        return self._call("ends_with", text)

    def matches(self, pattern: str) -> Expr:
        """Whether the regular expression (RE2) is found anywhere in it."""
        return self._call("matches", pattern)

    def like(self, pattern: str) -> Expr:
        """SQL's LIKE: % is any text, _ any character."""
        return self._call("like", pattern)

    def find(self, text: str) -> Expr:
        """Position of the first `text`, in bytes; -1 when there is none."""
        return self._call("find", text)

    def count(self, text: str) -> Expr:
        """How often `text` occurs."""
        return self._call("count", text)

    def replace(self, old: str, new: str) -> Expr:
        """Every `old` replaced."""
        return self._call("replace", old, new)

    def replace_regex(self, pattern: str, new: str) -> Expr:
        r"""Every match of the regular expression (RE2) replaced; \1 in `new` is a group."""
        return self._call("replace_regex", pattern, new)

    def extract(self, pattern: str, group: int = 1) -> Expr:
        """What a group of the regular expression (RE2) found first; null when nothing was found. 0: the whole match."""
        return self._call("extract", pattern, group)

    def slice(self, start: int, stop: int | None = None) -> Expr:
        """Like text[start:stop]."""
        return self._call("slice", start, stop)

    def split(self, separator: str) -> Expr:
        """The list of parts between separators."""
        return self._call("split", separator)

    def pad_start(self, width: int, fill: str = " ") -> Expr:
        """Filled up at the start to `width` characters."""
        return self._call("pad_start", width, fill)

    def pad_end(self, width: int, fill: str = " ") -> Expr:
        """Filled up at the end to `width` characters."""
        return self._call("pad_end", width, fill)

    def to_datetime(self, format: str) -> Expr:
        """Parsed by strptime's format; without %z it is UTC. Text that does not fit fails."""
        return self._call("to_datetime", format)


class DateTimes(_Namespace):
    """Functions of datetimes (in the zone of their column), dates and timedeltas."""

    __slots__ = ()
    _prefix = "dt"

    def date(self) -> Expr:
        """The calendar date."""
        return self._call("date")

    def time(self) -> Expr:
        """The time of day."""
        return self._call("time")

    def year(self) -> Expr:
        """The year."""
        return self._call("year")

    def quarter(self) -> Expr:
        """1 to 4."""
        return self._call("quarter")

    def month(self) -> Expr:
        """1 to 12."""
        return self._call("month")

    def week(self) -> Expr:
        """The ISO 8601 week, 1 to 53."""
        return self._call("week")

    def day(self) -> Expr:
        """Day of the month, from 1."""
        return self._call("day")

    def day_of_year(self) -> Expr:
        """From 1."""
        return self._call("day_of_year")

    def day_of_week(self) -> Expr:
        """Monday is 0, Sunday 6, as in Python's weekday()."""
        return self._call("day_of_week")

    def hour(self) -> Expr:
        """0 to 23."""
        return self._call("hour")

    def minute(self) -> Expr:
        """0 to 59."""
        return self._call("minute")

    def second(self) -> Expr:
        """0 to 59."""
        return self._call("second")

    def microsecond(self) -> Expr:
        """0 to 999999."""
        return self._call("microsecond")

    def truncate(self, to: timedelta | str) -> Expr:
        """Rounded down to a multiple of a duration, or to "year", "quarter", "month", "week", "day", "hour", …

        Multiples of days and less count from local midnight of 1970-01-01 in the column's zone."""
        return self._call("truncate", to)

    def floor(self, to: timedelta | str) -> Expr:
        """`truncate` under its other name."""
        return self.truncate(to)

    def strftime(self, format: str) -> Expr:
        """As text by strftime's format (whole seconds)."""
        return self._call("strftime", format)

    def to_zone(self, zone: str) -> Expr:
        """The same instant, shown in another zone."""
        return self._call("to_zone", zone)

    def epoch_seconds(self) -> Expr:
        """Whole seconds since 1970-01-01 UTC, rounded down."""
        return self._call("epoch_seconds")

    def epoch_micros(self) -> Expr:
        """Microseconds since 1970-01-01 UTC."""
        return self._call("epoch_micros")

    def total_seconds(self) -> Expr:
        """A timedelta in seconds, as a float."""
        return self._call("total_seconds")


class MathFunctions(_Namespace):
    """Functions of numbers. Those of floats follow IEEE 754: sqrt(-1) is nan, log(0) is -inf."""

    __slots__ = ()
    _prefix = "math"

    def abs(self) -> Expr:
        """Without sign."""
        return self._call("abs")

    def sign(self) -> Expr:
        """-1, 0 or 1."""
        return self._call("sign")

    def round(self, digits: int = 0) -> Expr:
        """To `digits` after the point; halves to the even neighbour, as in Python."""
        return self._call("round", digits)

    def floor(self) -> Expr:
        """The next whole number below, as a float."""
        return self._call("floor")

    def ceil(self) -> Expr:
        """The next whole number above, as a float."""
        return self._call("ceil")

    def trunc(self) -> Expr:
        """Without the part after the point, as a float."""
        return self._call("trunc")

    def sqrt(self) -> Expr:
        """Square root."""
        return self._call("sqrt")

    def exp(self) -> Expr:
        """e to the power of it."""
        return self._call("exp")

    def log(self) -> Expr:
        """Natural logarithm."""
        return self._call("log")

    def log2(self) -> Expr:
        """Logarithm to base 2."""
        return self._call("log2")

    def log10(self) -> Expr:
        """Logarithm to base 10."""
        return self._call("log10")

    def sin(self) -> Expr:
        """Sine of radians."""
        return self._call("sin")

    def cos(self) -> Expr:
        """Cosine of radians."""
        return self._call("cos")

    def tan(self) -> Expr:
        """Tangent of radians."""
        return self._call("tan")

    def is_nan(self) -> Expr:
        """Whether it is a float's not-a-number."""
        return self._call("is_nan")

    def min(self, other: Any) -> Expr:
        """The smaller of the two; null when one is."""
        return Expr("least", (self._expression, lit(other)))

    def max(self, other: Any) -> Expr:
        """The larger of the two; null when one is."""
        return Expr("greatest", (self._expression, lit(other)))


class Lists(_Namespace):
    """Functions of lists."""

    __slots__ = ()
    _prefix = "list"

    def length(self) -> Expr:
        """The number of elements."""
        return self._call("length")

    def get(self, index: int) -> Expr:
        """The element at `index`, from the end when negative; null when there is none."""
        return self._call("get", index)


class Maps(_Namespace):
    """Functions of dicts."""

    __slots__ = ()
    _prefix = "map"

    def get(self, key: Any) -> Expr:
        """The value of a constant key; null when there is none."""
        return self._call("get", key)
