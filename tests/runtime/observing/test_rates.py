"""Rates are smooth, right in the mean, and end when nothing flows; by a clock of numbers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.runtime.observing.graph_view import subtask_figures
from flowjob.runtime.observing.rates import Flow, look
from flowjob.runtime.observing.task_table import VertexTable
from tests.runtime.observing.graphs import report, two_vertices


def shown(every: float, rows: int, seconds: int, look_every: float = 1.0) -> Iterator[float]:
    """What is shown at each look, of batches of `rows` that come `every` seconds from 0 on."""
    flow, before, now = Flow(), 0.0, 0.0
    while now < seconds:
        now += look_every
        total = rows * (now // every)
        flow = look(flow, total - before, look_every)
        before = total
        yield flow.shown


@pytest.mark.parametrize("every", [0.1, 0.7, 1.0, 1.9, 3.0, 5.0, 8.0, 15.0, 30.0])
def test_batches_that_come_slowly_are_a_steady_flow(every: float) -> None:
    """From the third batch on: before, nobody can know that there is another one to come."""
    rates = list(shown(every, 1000, seconds=int(20 * every + 20)))[int(3 * every) + 5 :]
    assert min(rates) > 0.6 * 1000 / every
    assert max(rates) < 1.6 * 1000 / every


@given(st.floats(0.2, 10.0), st.floats(1.0, 2.0))
def test_it_is_right_in_the_mean_however_batches_and_looks_meet(
    every: float, look_every: float
) -> None:
    rates = list(shown(every, 1000, int(60 * every + 60), look_every))[int(6 * every) + 6 :]
    assert sum(rates) / len(rates) == pytest.approx(1000 / every, rel=0.2)


def test_what_stops_goes_down_at_once_where_it_flowed_fast_and_to_nothing_in_the_end() -> None:
    flow = Flow()
    for _ in range(1, 20):
        flow = look(flow, 500, 1.0)
    rates = []
    for _ in range(20, 120):
        flow = look(flow, 0, 1.0)
        rates.append(flow.shown)
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[4] <= 250
    assert rates[60] == 0.0


def test_what_begins_is_seen_at_once_however_long_nothing_was() -> None:
    flow = Flow()
    for _ in range(600):
        flow = look(flow, 0, 1.0)
    assert look(flow, 2000, 1.0).shown == 2000


def test_a_change_of_pace_is_seen_within_seconds() -> None:
    flow = Flow()
    for _ in range(1, 30):
        flow = look(flow, 100, 1.0)
    for _ in range(30, 42):
        flow = look(flow, 1000, 1.0)
    assert flow.shown > 900


def test_a_counter_that_was_put_back_begins_anew() -> None:
    flow = look(look(Flow(), 100, 1.0), -100, 1.0)
    assert flow == Flow()


def test_a_vertex_whose_batches_are_slow_never_shows_nothing() -> None:
    table = VertexTable(two_vertices(1).vertices[-1])
    seen = []
    for half in range(1, 120):  # reports twice a second, a batch of 3,000 rows every 3 s
        now = half / 2
        busy = int(now * 1e6)
        table.report(0, report(rows_in=3000 * int(now // 3), busy_us=busy), now)
        if now >= 20:  # the first one alone says nothing of how often they come
            seen.append(subtask_figures(table, 0).rows_in_per_second)
    assert 700 <= min(seen) <= max(seen) <= 1300


def test_shares_of_time_are_smooth_and_add_up() -> None:
    table = VertexTable(two_vertices(1).vertices[-1])
    busy = idle = 0
    for second in range(1, 40):  # works for a second, rests for a second
        busy, idle = (busy + 10**6, idle) if second % 2 else (busy, idle + 10**6)
        table.report(0, report(busy_us=busy, idle_us=idle), float(second))
    figures = subtask_figures(table, 0)
    assert figures.busy == pytest.approx(0.5, abs=0.1)
    assert figures.busy + figures.idle == pytest.approx(1.0, abs=1e-3)
