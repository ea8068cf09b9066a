"""How values and tables read in a terminal: numbers with thousands, times without noise, the rest shortened.

Shared by the result tables and the progress view. Knows values and rich tables, not jobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

MAX_CELL = 60
"""Characters shown of one value."""


def format_value(value: Any) -> str:
    """One value as a person reads it: null as `–`, floats to four significant digits, times in UTC."""
    match value:
        case None:
            return "–"
        case bool():
            return "true" if value else "false"
        case int():
            return f"{value:,}"
        case float():
            return format_float(value)
        case datetime():
            return format_time(value)
        case date() | timedelta() | Decimal():
            return str(value)
        case bytes():
            return _shortened("0x" + value.hex())
        case str():
            return _shortened(value)
        case dict():
            return _shortened(", ".join(f"{k}: {format_value(v)}" for k, v in value.items()))
        case list() | tuple():
            return _shortened("[" + ", ".join(format_value(v) for v in value) + "]")
        case _:
            return _shortened(repr(value))


def format_float(value: float) -> str:
    """Two decimals where they say something, else four significant digits."""
    if value != value or value in (float("inf"), float("-inf")):
        return str(value)
    return f"{value:,.2f}" if value == 0 or 0.1 <= abs(value) < 1e9 else f"{value:.4g}"


def format_time(at: datetime) -> str:
    """`2013-01-31 18:00` in UTC, with seconds and fractions only where there are some."""
    if at.tzinfo is not None:
        at = at.astimezone(UTC).replace(tzinfo=None)
    if at.microsecond:
        return at.isoformat(" ")
    return at.isoformat(" ", "seconds" if at.second else "minutes")


def format_count(count: float) -> str:
    """`950`, `12,345`, `1.23 M`, `4.5 G`: at most six characters or so, for rates and large totals."""
    for limit, unit in ((1e9, "G"), (1e6, "M")):
        if count >= limit:
            return f"{count / limit:.3g} {unit}"
    return f"{count:,.0f}"


def format_share(share: float | None) -> str:
    """A share of the time as per cent."""
    return "" if share is None else f"{share:.0%}"


def is_number(value: Any) -> bool:
    """Whether it is set flush right."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def rows_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A table of values; a column whose values are numbers is set flush right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    held = [list(row) for row in rows]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        values = [row[index] for row in held if row[index] is not None]
        right = bool(values) and all(is_number(v) for v in values)
        table.add_column(Text(name), justify="right" if right else "left", no_wrap=True)
    for row in held:
        table.add_row(*(Text(format_value(value)) for value in row))
    return table


def _shortened(text: str) -> str:
    text = text.replace("\n", "⏎")
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…"
