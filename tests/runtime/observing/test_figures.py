"""What is made of the reports of tasks: rates, shares, series; and what memory it takes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flowjob.core.elements import MAX_TIME
from flowjob.runtime.observing.graph_view import held_by, skew_of, subtask_figures, vertex_figures
from flowjob.runtime.observing.task_table import TOTALS, VertexTable
from flowjob.runtime.observing.time_series import (
    NAMES,
    WHOLE_JOB,
    TimeSeries,
    figures_of,
    whole_job,
)
from tests.runtime.observing.graphs import report, two_vertices, wide

SECOND = 1_000_000


def table(parallelism: int = 2) -> VertexTable:
    return VertexTable(two_vertices(parallelism).vertices[-1])


def test_rates_are_what_has_come_since_the_last_look_and_shares_how_time_was_spent() -> None:
    found = table(1)
    found.report(0, report(), 10.0)
    found.report(
        0,
        report(
            rows_in=400,
            bytes_in=8000,
            busy_us=SECOND,
            idle_us=SECOND,
            backpressured_us=2 * SECOND,
        ),
        14.0,
    )
    figures = subtask_figures(found, 0)
    assert (figures.rows_in, figures.rows_in_per_second, figures.bytes_in_per_second) == (
        400,
        100,
        2000,
    )
    assert (figures.busy, figures.idle, figures.backpressured) == (0.25, 0.25, 0.5)


def test_the_first_report_says_how_it_was_since_the_task_began() -> None:
    found = table(1)
    found.report(0, report(rows_in=300, busy_us=SECOND, idle_us=2 * SECOND), 50.0)
    assert subtask_figures(found, 0).rows_in_per_second == 100


def test_reports_that_come_fast_are_left_aside() -> None:
    found = table(1)
    found.report(0, report(rows_in=100, busy_us=SECOND), 10.0)
    found.report(0, report(rows_in=101, busy_us=SECOND), 10.5)
    assert subtask_figures(found, 0).rows_in == 100


def test_the_last_report_of_a_task_counts_at_once_and_nothing_flows_behind_it() -> None:
    found = table(1)
    found.report(0, report(rows_in=100, busy_us=SECOND), 10.0)
    found.report(0, report(rows_in=120, busy_us=SECOND, ended=True), 10.1)
    figures = subtask_figures(found, 0)
    assert (figures.rows_in, figures.rows_in_per_second, figures.busy) == (120, 0, 0)


def test_a_task_that_was_started_again_counts_from_the_beginning() -> None:
    found = table(1)
    found.report(0, report(rows_in=100, busy_us=SECOND), 10.0)
    found.forget(0)
    assert subtask_figures(found, 0).rows_in == 0
    found.report(0, report(rows_in=4, busy_us=SECOND), 10.1)
    assert subtask_figures(found, 0).rows_in_per_second == 4


def test_a_report_that_counts_less_than_before_gives_no_negative_rate() -> None:
    found = table(1)
    found.report(0, report(rows_in=100, busy_us=SECOND), 10.0)
    found.report(0, report(rows_in=5, busy_us=2 * SECOND), 12.0)
    assert subtask_figures(found, 0).rows_in_per_second == 0


def test_a_vertex_is_as_far_as_the_last_of_its_subtasks() -> None:
    found = table()
    found.report(0, report(watermark=7_000_000, watermark_lag_us=1_000_000, busy_us=1), 10.0)
    assert vertex_figures(found).watermark_ms is None  # the other one has said nothing
    found.report(1, report(watermark=5_000_000, watermark_lag_us=3_000_000, busy_us=1), 10.0)
    figures = vertex_figures(found)
    assert (figures.watermark_ms, figures.lag_seconds) == (5000, 3.0)


def test_a_time_that_has_come_to_its_end_is_not_shown() -> None:
    found = table(1)
    found.report(0, report(watermark=MAX_TIME, busy_us=1), 10.0)
    assert subtask_figures(found, 0).watermark_ms is None


@pytest.mark.parametrize(
    ("rates", "skew"),
    [([], (1.0, None)), ([0, 0], (1.0, None)), ([5, 5], (1.0, None)), ([1, 3], (1.5, 1))],
)
def test_skew_is_the_largest_share_over_the_mean(
    rates: list[float], skew: tuple[float, int | None]
) -> None:
    assert skew_of(np.array(rates, np.float32)) == skew


def test_the_input_that_holds_time_back_is_the_one_with_the_lowest_watermark() -> None:
    graph = two_vertices()
    found = VertexTable(graph.vertices[-1])
    edge = graph.edges[0].id
    found.report(0, report(inputs=[(edge, 9_000_000, 1)], busy_us=1), 10.0)
    found.report(1, report(inputs=[(edge, 4_000_000, 0)], busy_us=1), 10.0)
    held = held_by(graph, found)
    assert held is not None
    assert (held.edge, held.subtask, held.watermark_ms, held.ahead_seconds) == (edge, 0, 4000, None)
    assert held.name == graph.vertices[0].name
    found.report(1, report(inputs=[(edge, None, 1)], busy_us=1), 20.0)
    held = held_by(graph, found)
    assert held is not None
    assert (held.subtask, held.watermark_ms) == (1, None)  # that has not sent one
    for subtask in range(2):
        found.report(subtask, report(inputs=[(edge, MAX_TIME, -1)], busy_us=1), 30.0)
    assert held_by(graph, found) is None


def test_series_have_a_step_every_five_seconds_and_means_of_a_minute() -> None:
    series = TimeSeries([0])
    assert not series.due(100.0)
    now = 100.0
    for step in range(24):
        now += 5.0
        assert series.due(now)
        series.add(now, int(now * 1000), {0: np.full(len(NAMES), step, np.float32)})
        assert not series.due(now + 4.9)
    fine, coarse = series.steps(0, fine=True), series.steps(0, fine=False)
    assert fine is not None
    assert coarse is not None
    assert list(fine.row(0)) == list(range(24))
    assert list(coarse.row(0)) == [5.5, 17.5]
    whole = series.steps(WHOLE_JOB, fine=True)
    assert whole is not None
    assert np.isnan(whole.row(0)).all()
    assert series.steps(9, fine=True) is None


def test_the_whole_job_reads_what_its_sources_make_and_writes_what_its_sinks_take() -> None:
    graph = two_vertices(1)
    source, sink = (VertexTable(vertex) for vertex in graph.vertices)
    operators = [{"rows_in": 0, "rows_out": 30}] + [{"rows_in": 1, "rows_out": 1}] * 9
    source.report(0, report(operators=operators, busy_us=SECOND), 10.0)
    operators = [{"rows_in": 8, "rows_out": 5} for _ in graph.vertices[-1].nodes]
    sink.report(0, report(rows_in=8, operators=operators, busy_us=SECOND), 10.0)
    whole = dict(zip(NAMES, whole_job([source, sink], 2.5)))
    assert (whole["rowsIn"], whole["rowsOut"], whole["checkpointSeconds"]) == (30, 8, 2.5)
    assert dict(zip(NAMES, figures_of(sink)))["rowsIn"] == 8
    assert math.isnan(figures_of(table())[0])  # nobody has reported


def test_a_job_of_200_vertices_with_128_subtasks_takes_two_megabytes_of_series_and_eight_of_figures() -> (
    None
):
    graph = wide(200, 128)
    series = TimeSeries([vertex.id for vertex in graph.vertices])
    tables = [VertexTable(vertex) for vertex in graph.vertices]
    for found in tables[:2]:
        for subtask in range(128):
            found.report(subtask, report(inputs=[(0, 1, 0), (1, 1, 0)], busy_us=1), 1.0)
    per_vertex = series.nbytes / (len(graph.vertices) + 1)
    assert per_vertex <= 9_500
    assert series.nbytes <= 2_000_000
    per_subtask = tables[0].nbytes / 128
    assert per_subtask <= 300
    before = series.nbytes, tables[0].nbytes
    for step in range(1, 300):
        series.add(
            5.0 * step, step, {v.id: figures_of(t) for v, t in zip(graph.vertices[:2], tables)}
        )
        tables[0].report(0, report(inputs=[(0, 1, 0), (1, 1, 0)]), 5.0 * step)
    assert (series.nbytes, tables[0].nbytes) == before


def test_totals_and_rates_name_the_same_things() -> None:
    assert len(set(TOTALS)) == len(TOTALS) == table().rates.shape[1]


def test_what_a_source_has_left_is_known_when_all_its_subtasks_have_told() -> None:
    found = VertexTable(two_vertices().vertices[0])
    count = len(found.at)
    for subtask in range(count):
        assert np.isnan(found.left.sum(axis=0)).all()
        found.report(subtask, report(left_rows=5, left_bytes=None, busy_us=1), 10.0)
    rows, size = found.left.sum(axis=0)
    assert rows == 5 * count
    assert np.isnan(size)
    found.forget(0)
    assert np.isnan(found.left.sum(axis=0)).all()
