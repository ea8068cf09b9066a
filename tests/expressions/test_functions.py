"""Times, casts, nested values, patterns; and branches that guard what would fail."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowjob.column_types import decimal, timezone
from flowjob.expressions import Expr, ExpressionFailed, col, lit, struct, when
from tests.expressions.test_against_python import evaluate

NEW_YORK = ZoneInfo("America/New_York")
ZONED = pa.timestamp("us", "America/New_York")
MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))
"""Arrow has no daylight saving after 2037 (docs/expressions.md)."""


TWICE = datetime(2028, 11, 5, 5, 0, tzinfo=UTC)
"""One o'clock in New York, which comes again an hour later."""


@settings(max_examples=60)
@given(st.lists(st.none() | MOMENTS, max_size=4))
@example([TWICE, TWICE + timedelta(hours=1, microseconds=1)])
def test_parts_of_a_datetime_are_those_of_its_zone(moments: list[datetime | None]) -> None:
    dt = col("a").dt
    parts: dict[Expr, Any] = {
        dt.date(): lambda t: t.date(),
        dt.time(): lambda t: t.time(),
        dt.year(): lambda t: t.year,
        dt.quarter(): lambda t: (t.month + 2) // 3,
        dt.month(): lambda t: t.month,
        dt.week(): lambda t: t.isocalendar().week,
        dt.day(): lambda t: t.day,
        dt.day_of_year(): lambda t: t.timetuple().tm_yday,
        dt.day_of_week(): lambda t: t.weekday(),
        dt.hour(): lambda t: t.hour,
        dt.minute(): lambda t: t.minute,
        dt.second(): lambda t: t.second,
        dt.microsecond(): lambda t: t.microsecond,
        dt.strftime("%Y-%m-%d %H:%M:%S"): lambda t: t.strftime("%Y-%m-%d %H:%M:%S"),
        dt.epoch_micros(): lambda t: (t - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(0, 0, 1),
        dt.epoch_seconds(): lambda t: (t - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(0, 1),
        col("a").cast(date): lambda t: t.date(),
    }
    local = [None if m is None else m.astimezone(NEW_YORK) for m in moments]
    for part, function in parts.items():
        expected = [None if t is None else function(t) for t in local]
        assert evaluate(part, ZONED, moments) == expected, str(part)


@settings(max_examples=40)
@given(st.lists(MOMENTS, max_size=4), st.sampled_from([1, 7, 60, 900, 3600, 7200, 86400]))
def test_truncating_utc_is_rounding_down_from_the_epoch(
    moments: list[datetime], seconds: int
) -> None:
    step = timedelta(seconds=seconds)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    got = evaluate(col("a").dt.truncate(step), pa.timestamp("us", "UTC"), moments)
    assert got == [epoch + (m - epoch) // step * step for m in moments]


def test_a_day_is_truncated_to_local_midnight() -> None:
    moment = datetime(2026, 7, 1, 3, tzinfo=UTC)
    (got,) = evaluate(col("a").dt.truncate("day"), ZONED, [moment])
    assert got == datetime(2026, 6, 30, tzinfo=NEW_YORK)


def test_dates_and_durations_calculate_as_in_python() -> None:
    days = [date(2026, 1, 1), date(1960, 2, 29), None]
    assert evaluate(col("a") + timedelta(days=2), pa.date32(), days) == [
        date(2026, 1, 3),
        date(1960, 3, 2),
        None,
    ]
    assert evaluate((col("a") - date(2025, 1, 1)).dt.total_seconds(), pa.date32(), days[:1]) == [
        365 * 86400.0
    ]


def test_a_naive_datetime_meets_an_aware_one_as_utc() -> None:
    moment = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert evaluate(col("a") == datetime(2026, 1, 1, 12), ZONED, [moment]) == [True]
    naive = [moment.replace(tzinfo=None)]
    assert evaluate(col("a") == lit(moment), pa.timestamp("us"), naive) == [True]


def test_a_zone_changes_how_an_instant_is_shown() -> None:
    moment = datetime(2026, 1, 1, 3, tzinfo=UTC)
    utc = pa.timestamp("us", "UTC")
    for shown in (
        col("a").dt.to_zone("Asia/Tokyo"),
        col("a").cast(timezone("Asia/Tokyo")),
    ):
        assert evaluate(shown, utc, [moment]) == [moment]
        assert evaluate(shown.dt.hour(), utc, [moment]) == [12]


CASTS: list[tuple[Any, pa.DataType, Any, Any]] = [
    (1, pa.int64(), float, 1.0),
    (2.0, pa.float64(), int, 2),
    ("17", pa.string(), int, 17),
    ("1.5", pa.string(), decimal(5, 2), Decimal("1.50")),
    (17, pa.int64(), str, "17"),
    (True, pa.bool_(), int, 1),
    ("2026-01-02T03:04:05", pa.string(), datetime, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ("2026-01-02T03:04:05+02:00", pa.string(), datetime, datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
    ("2026-01-02", pa.string(), date, date(2026, 1, 2)),
    (date(2026, 1, 2), pa.date32(), datetime, datetime(2026, 1, 2, tzinfo=UTC)),
    (datetime(2026, 1, 2, 3), pa.timestamp("us"), time, time(3)),
]


@pytest.mark.parametrize(("value", "source", "target", "expected"), CASTS)
def test_casts_keep_the_value(value: Any, source: Any, target: Any, expected: Any) -> None:
    assert evaluate(col("a").cast(target), source, [value, None]) == [expected, None]


@pytest.mark.parametrize(
    ("value", "source", "target"),
    [(1.5, pa.float64(), int), ("x", pa.string(), int), (300, pa.int64(), pa.int8())],
)
def test_a_cast_that_would_change_the_value_fails_with_the_row(
    value: Any, source: Any, target: Any
) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        evaluate(col("a").cast(target), source, [None, value])
    assert caught.value.row == f"a={value!r}"


def test_text_is_parsed_by_a_format() -> None:
    parse = col("a").str.to_datetime("%d.%m.%Y %H:%M")
    assert evaluate(parse, pa.string(), ["02.01.2026 03:04"]) == [
        datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    ]


@pytest.mark.parametrize(
    ("pattern", "group", "expected"),
    [
        (r"(\d+)-(\w+)", 1, "12"),
        (r"(\d+)-(\w+)", 2, "ab"),
        (r"(\d+)-(\w+)", 0, "12-ab"),
        (r"[(](\d)", 1, None),
        (r"(?:\d)(\d)", 1, "2"),
        (r"(?P<n>\d+)-(?P<w>\w)", 2, "a"),
        (r"\d+", 0, "12"),
    ],
)
def test_a_group_of_a_regular_expression_is_extracted(
    pattern: str, group: int, expected: str | None
) -> None:
    assert evaluate(col("a").str.extract(pattern, group), pa.string(), ["12-ab", None]) == [
        expected,
        None,
    ]


def test_patterns_match() -> None:
    values = ["abc", "xbz", None]
    assert evaluate(col("a").str.like("a%"), pa.string(), values) == [True, False, None]
    assert evaluate(col("a").str.matches("b.$"), pa.string(), values) == [True, True, None]
    assert evaluate(col("a").str.replace_regex(r"(b)(.)", r"\2\1"), pa.string(), values) == [
        "acb",
        "xzb",
        None,
    ]


@given(
    st.lists(st.none() | st.lists(st.none() | st.integers(0, 9), max_size=3), max_size=4),
    st.integers(-3, 3),
)
def test_an_element_of_a_list_is_null_where_there_is_none(values: list[Any], index: int) -> None:
    def element(value: Any) -> Any:
        within = value is not None and -len(value) <= index < len(value)
        return value[index] if within else None

    lists = pa.list_(pa.int64())
    assert evaluate(col("a").list.get(index), lists, values) == [element(v) for v in values]
    assert evaluate(col("a").list.length(), lists, values) == [
        None if v is None else len(v) for v in values
    ]


def test_nested_values_are_made_and_taken_apart() -> None:
    nested = struct(x=col("a"), y=col("a") * 2)
    assert evaluate(nested, pa.int64(), [1]) == [{"x": 1, "y": 2}]
    assert evaluate(nested.field("y"), pa.int64(), [1, None]) == [2, None]
    maps = pa.map_(pa.string(), pa.int64())
    assert evaluate(col("a").map.get("k"), maps, [[("k", 1)], [], None]) == [1, None, None]


def test_a_dictionary_column_is_text_to_functions_and_stays_encoded_when_passed_on() -> None:
    type = pa.dictionary(pa.int32(), pa.string())
    assert evaluate(col("a").str.upper(), type, ["x", None]) == ["X", None]
    assert col("a").bind(pa.schema({"a": type})).type == type


def test_a_branch_guards_what_would_fail_elsewhere() -> None:
    a, b = [6, 7, None, 8], [2, 0, 1, None]
    guarded = when(col("b") != 0).then(col("a") // col("b")).otherwise(-1)
    assert evaluate(guarded, pa.int64(), a, b) == [3, -1, None, -1]
    nested = when(col("b") == 0).then(0).when(col("a") % col("b") == 0).then(1)
    assert evaluate(nested, pa.int64(), a, b) == [1, 0, None, None]


def test_and_and_or_guard_their_right_side() -> None:
    a, b = [6, 7, None], [2, 0, 1]
    assert evaluate((col("b") != 0) & (col("a") // col("b") == 3), pa.int64(), a, b) == [
        True,
        False,
        None,
    ]
    assert evaluate((col("b") == 0) | (col("a") // col("b") == 3), pa.int64(), a, b) == [
        True,
        True,
        None,
    ]


def test_a_branch_that_is_reached_still_fails_with_its_row() -> None:
    with pytest.raises(ExpressionFailed, match="divide by zero") as caught:
        evaluate(when(col("a") > 1).then(col("a") // col("b")), pa.int64(), [1, 2], [0, 0])
    assert caught.value.row == "a=2, b=0"


def test_large_unsigned_values_compare_with_constants() -> None:
    assert evaluate(col("a") > 5, pa.uint64(), [2**64 - 1, 3]) == [True, False]


def test_decimals_stay_exact() -> None:
    values = [Decimal("0.10"), Decimal("99999999.99")]
    type = pa.decimal128(10, 2)
    assert evaluate(col("a") + Decimal("0.01"), type, values) == [
        Decimal("0.11"),
        Decimal("100000000.00"),
    ]
    assert evaluate(col("a") * 3, type, values[:1]) == [Decimal("0.30")]


def test_constants_are_computed_once_and_repeated_for_each_row() -> None:
    bound = (lit(1) + 2).bind(pa.schema({"a": pa.int64()}))
    batch = pa.RecordBatch.from_pydict({"a": [1, 2]})
    assert bound.value(batch) is bound.value(batch)
    assert bound.evaluate(batch).to_pylist() == [3, 3]
