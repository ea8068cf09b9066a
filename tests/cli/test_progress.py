"""The progress view: rates, shares and watermarks from totals, and how they are drawn."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from flowjob.cli.progress import RATE_SECONDS, Line, ProgressModel, TaskTotals, VertexInfo
from flowjob.cli.progress_view import (
    PLAIN_EVERY,
    LiveView,
    PlainView,
    format_elapsed,
    format_watermark,
    notes,
    plain_line,
    progress_table,
)
from flowjob.core.elements import MAX_TIME

SOURCE = VertexInfo(0, "csv → filter", 2, ("csv", "filter"))
WINDOW = VertexInfo(1, "hourly", 1, ("hourly",))
SECOND = 1_000_000


def totals(vertex: int, subtask: int, **values: Any) -> TaskTotals:
    return TaskTotals(vertex, subtask, values)


@pytest.fixture
def model() -> ProgressModel:
    return ProgressModel([SOURCE, WINDOW])


def test_before_the_first_totals_there_is_a_line_for_each_operator(model: ProgressModel) -> None:
    assert [(n.name, n.depth, n.rate) for n in model.lines()] == [
        ("csv", 0, None),
        ("filter", 1, None),
        ("hourly", 0, None),
    ]


def test_totals_of_subtasks_are_summed_by_operator(model: ProgressModel) -> None:
    for subtask in (0, 1):
        operators = [
            {"name": "csv", "rows_in": 0, "rows_out": 100, "late_rows": 0, "bad_rows": 2},
            {"name": "filter", "rows_in": 100, "rows_out": 40, "late_rows": 0, "bad_rows": 0},
        ]
        model.update([totals(0, subtask, rows_out=40, operators=operators)], 1.0)
    source, filtered, _ = model.lines()
    assert (source.rows_in, source.rows_out, source.bad) == (0, 200, 4)
    assert (filtered.rows_in, filtered.rows_out) == (200, 80)


@pytest.mark.parametrize(
    ("updates", "rate"),
    [
        ([(1.0, 100)], 100.0),
        ([(1.0, 100), (2.0, 400)], 300.0),
        ([(1.0, 100), (2.0, 100)], 0.0),
        # only the last RATE_SECONDS count
        ([(1.0, 1_000_000), (2.0, 1_000_000), (2.0 + RATE_SECONDS, 1_000_000)], 0.0),
    ],
)
def test_a_rate_is_that_of_the_last_seconds(
    model: ProgressModel, updates: list[tuple[float, int]], rate: float
) -> None:
    for now, rows in updates:
        model.update([totals(1, 0, rows_in=rows, idle_us=int(now * SECOND))], now)
    assert model.lines()[-1].rate == pytest.approx(rate)


def test_the_summary_gives_the_rate_over_the_time_that_tasks_ran(model: ProgressModel) -> None:
    model.update([totals(1, 0, rows_in=1000, idle_us=SECOND)], 6.0)
    model.update([totals(1, 0, rows_in=1000, idle_us=4 * SECOND)], 9.0)
    assert model.summary()[-1].rate == pytest.approx(250.0)


def test_shares_divide_the_time_between_two_updates(model: ProgressModel) -> None:
    model.update([totals(1, 0, busy_us=SECOND, idle_us=0, backpressured_us=0)], 1.0)
    model.update(
        [totals(1, 0, busy_us=SECOND, idle_us=SECOND // 4, backpressured_us=3 * SECOND // 4)], 2.0
    )
    line = model.lines()[-1]
    assert (line.busy, line.idle, line.blocked) == (0.0, 0.25, 0.75)


def test_a_watermark_is_the_least_of_all_subtasks(model: ProgressModel) -> None:
    model.update([totals(0, 0, watermark=50)], 1.0)
    assert model.lines()[0].watermark is None, "subtask 1 has not said anything"
    model.update([totals(0, 1, watermark=None)], 1.0)
    assert model.lines()[0].watermark is None, "subtask 1 has none yet"
    model.update([totals(0, 1, watermark=20)], 2.0)
    assert model.lines()[0].watermark == 20


def test_an_operator_has_ended_when_all_its_subtasks_have(model: ProgressModel) -> None:
    model.update([totals(0, 0, ended=True)], 1.0)
    assert not model.lines()[0].ended
    model.update([totals(0, 1, ended=True)], 1.0)
    assert model.lines()[0].ended


def test_totals_of_an_unknown_vertex_are_ignored(model: ProgressModel) -> None:
    model.update([totals(9, 0, rows_in=1)], 1.0)
    assert len(model.lines()) == 3


LINES = [
    Line("csv", 0, 2, 0, 336_776, rate=1_234_567.0, watermark=1_356_998_400_000_000, busy=0.5),
    Line("filter", 1, 2, 336_776, 328_521),
    Line("hourly", 0, 1, 328_521, 19_486, rate=10.0, watermark=MAX_TIME, late=3, ended=True),
]


def test_the_table_shows_rows_rates_watermarks_and_shares() -> None:
    out = io.StringIO()
    Console(file=out, width=120).print(progress_table(LINES, 65.0))
    text = out.getvalue()
    assert "1:05" in text
    csv, filtered, hourly = (
        line for line in text.splitlines() if "336,776" in line or "3 late" in line
    )
    assert csv.split() == ["csv", "2", "336,776", "1.23", "M", "2013-01-01", "00:00", "50%"]
    assert filtered.split() == ["└", "filter", "336,776", "328,521"]
    assert hourly.split() == ["hourly", "1", "328,521", "19,486", "10", "end", "3", "late"]


def test_without_a_terminal_a_line_is_printed_now_and_then() -> None:
    out = io.StringIO()
    view = PlainView(out)
    for elapsed in (1.0, PLAIN_EVERY, PLAIN_EVERY + 1, 2 * PLAIN_EVERY):
        view.show(LINES, elapsed)
    assert out.getvalue().splitlines() == [plain_line(LINES, e) for e in (5.0, 10.0)]


def test_a_plain_line_has_the_heads_of_chains_and_the_least_watermark() -> None:
    assert plain_line(LINES, 5.0) == (
        "[5.0 s] csv 336,776 rows (1.23 M/s) | hourly 328,521 rows | watermark 2013-01-01 00:00"
    )


def test_the_live_table_stays_after_the_end() -> None:
    out = io.StringIO()
    view = LiveView(Console(file=out, width=120, force_terminal=True), shares_stdout=False)
    view.show(LINES, 1.0)
    view.finish(LINES, 2.0)
    assert "2.0 s" in out.getvalue().rsplit("1.0 s", 1)[-1]
    assert out.getvalue().endswith("\x1b[?25h"), "the cursor is shown again"


def test_a_job_that_never_started_leaves_no_table() -> None:
    out = io.StringIO()
    LiveView(Console(file=out, force_terminal=True), shares_stdout=False).finish([], 0.1)
    PlainView(out).finish([], 0.1)
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (65, "1:05"), (7389, "2:03:09")]
)
def test_elapsed_time_is_read_at_a_glance(seconds: float, text: str) -> None:
    assert format_elapsed(seconds) == text


@pytest.mark.parametrize(
    ("watermark", "text"),
    [
        (None, ""),
        (MAX_TIME, "end"),
        (0, "1970-01-01 00:00"),
        (1_356_998_461_999_999, "2013-01-01 00:01:01"),
        (-(2**62), "-4,611,686,018,427,387,904 µs"),
    ],
)
def test_a_watermark_is_a_time_or_the_end(watermark: int | None, text: str) -> None:
    assert format_watermark(watermark) == text


def test_late_and_bad_rows_are_noted() -> None:
    assert notes(Line("a", 0, 1, 0, 0, late=1000, bad=2)) == "1,000 late, 2 bad"
