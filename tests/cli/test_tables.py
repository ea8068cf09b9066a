"""Values and tables as a person reads them."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from flowjob.cli.tables import MAX_CELL, format_count, format_share, format_value, rows_table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "true"),
        (1234567, "1,234,567"),
        (0.0, "0.00"),
        (12.3456, "12.35"),
        (0.000123456, "0.0001235"),
        (1.5e12, "1.5e+12"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (datetime(2013, 1, 31, 18, tzinfo=UTC), "2013-01-31 18:00"),
        (datetime(2013, 1, 31, 18, tzinfo=timezone(timedelta(hours=1))), "2013-01-31 17:00"),
        (datetime(2013, 1, 31, 18, 0, 5), "2013-01-31 18:00:05"),
        (datetime(2013, 1, 31, 18, 0, 5, 20), "2013-01-31 18:00:05.000020"),
        (date(2013, 1, 31), "2013-01-31"),
        (timedelta(hours=1), "1:00:00"),
        (Decimal("1.10"), "1.10"),
        (b"\x00\xff", "0x00ff"),
        ("a\nb", "a⏎b"),
        ([1, None], "[1, –]"),
        ({"a": 1000}, "a: 1,000"),
        ("x" * 100, "x" * (MAX_CELL - 1) + "…"),
    ],
)
def test_a_value_reads_well(value: Any, text: str) -> None:
    assert format_value(value) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999.6, "1,000"), (12_345, "12,345"), (1_234_567, "1.23 M"), (4.5e9, "4.5 G")],
)
def test_a_count_is_short(count: float, text: str) -> None:
    assert format_count(count) == text


def test_an_unknown_share_is_blank() -> None:
    assert (format_share(None), format_share(0.256)) == ("", "26%")


def test_numbers_stand_flush_right_and_text_flush_left() -> None:
    out = io.StringIO()
    table = rows_table(["origin", "flights"], [("JFK", 5), ("LGA", 12345), ("EWR", None)])
    Console(file=out, width=60).print(table)
    lines = [line.strip() for line in out.getvalue().splitlines() if line.strip()]
    assert lines[0] == "origin   flights"
    assert lines[2:] == ["JFK            5", "LGA       12,345", "EWR            –"]


def test_markup_in_values_is_shown_as_it_is() -> None:
    out = io.StringIO()
    Console(file=out, width=60).print(rows_table(["[b]"], [("[red]x[/red]",)]))
    assert "[red]x[/red]" in out.getvalue()
    assert "[b]" in out.getvalue()
