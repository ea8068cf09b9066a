"""The general operator: the same results as the model by default, and what each trigger means."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowjob import aggregates as agg
from flowjob import triggers
from flowjob.core.elements import MAX_TIME
from flowjob.runtime.operators.base import Operator
from flowjob.runtime.operators.row_wise_windows import RowWiseWindows
from flowjob.runtime.operators.timed_windows import TimedWindows
from flowjob.runtime.operators.window_aggregate import window_aggregate, window_parts
from flowjob.triggers import CONTINUE, FIRE, FIRE_AND_PURGE, Trigger, TriggerResult
from flowjob.windows import global_window, session, sliding, tumbling
from tests.reference_model import canonical, run_windows
from tests.runtime.operators.harness import START, OperatorHarness
from tests.runtime.operators.windowing import MICRO, event_lists, fired, run, spec

ASSIGNERS = {
    "tumbling": tumbling(MICRO * 10),
    "sliding": sliding(MICRO * 20, MICRO * 5),
    "session": session(gap=MICRO * 10),
}
COUNT = {"n": agg.count(), "s": agg.sum("v")}
SECOND = timedelta(seconds=1)


def row_wise(declared: Any) -> Operator:
    trigger = declared.trigger or triggers.event_time()
    return RowWiseWindows(window_parts(declared), declared.assigner, trigger, declared.input)


def expected(values: list[Any]) -> tuple[Any, ...]:
    held = [v for v in values if v is not None]
    return (len(values), sum(held) if held else None)


@pytest.mark.parametrize("name", ASSIGNERS)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_the_default_trigger_gives_the_models_results_row_by_row_too(name: str, data: Any) -> None:
    events = data.draw(event_lists([1, 2, None], st.one_of(st.none(), st.integers(-9, 9))))
    events = [*events, ("watermark", MAX_TIME)]
    lateness = data.draw(st.sampled_from([0, 7]))
    want, late = run_windows(events, ASSIGNERS[name], expected, lateness)
    declared = spec(ASSIGNERS[name], COUNT, lateness=lateness)
    for size in (1, 7, None):
        harness = run(
            declared, events, batch_size=size, harness=OperatorHarness(row_wise(declared))
        )
        assert fired(harness, *COUNT) == [(canonical(k), s, e, r) for k, s, e, r in want]
        assert [r["v"] for r in harness.side("late")] == [r[3] for r in late]
        assert harness.operator.windows == {}


def rows(*times: int, key: int = 1) -> list[Any]:
    return [("row", key, t, t) for t in times]


def counts(harness: OperatorHarness) -> list[int]:
    return [row["n"] for row in harness.rows]


@pytest.mark.parametrize("size", [1, 7, None])
def test_a_count_trigger_fires_at_each_nth_row_with_the_aggregate_as_of_that_row(size: Any) -> None:
    declared = spec(tumbling(MICRO * 100), COUNT, trigger=triggers.count(2))
    harness = run(declared, rows(1, 2, 3, 4, 5), batch_size=size)
    assert [(r["n"], r["s"]) for r in harness.rows] == [(2, 3), (4, 10)]


@pytest.mark.parametrize("size", [1, 7, None])
def test_a_purging_trigger_forgets_the_rows_it_has_fired(size: Any) -> None:
    trigger = triggers.purging(triggers.count(2))
    declared = spec(tumbling(MICRO * 100), COUNT, trigger=trigger)
    harness = run(declared, [*rows(1, 2, 3, 4, 5), ("watermark", MAX_TIME)], batch_size=size)
    assert [(r["n"], r["s"]) for r in harness.rows] == [(2, 3), (2, 7)]


def test_early_firing_shows_what_there_is_each_interval_and_then_the_final_result() -> None:
    declared = spec(tumbling(MICRO * 100), COUNT, trigger=triggers.early(every=SECOND))
    harness = run(declared, rows(1, 2), batch_size=None)
    assert harness.operator.next_timer() == START + 1_000_000
    harness.advance(START + 2_500_000)
    assert counts(harness) == [2]  # not again without new rows
    run(declared, rows(3), batch_size=None, harness=harness)
    harness.advance(START + 3_000_000)
    assert counts(harness) == [2, 3]
    harness.watermark(99)
    assert counts(harness) == [2, 3, 3]


def test_early_firing_follows_a_session_that_grows() -> None:
    declared = spec(session(gap=MICRO * 10), COUNT, trigger=triggers.early(every=SECOND))
    harness = run(declared, rows(1, 20, 10), batch_size=None)
    harness.advance(START + 1_000_000)
    assert [(s, e, r) for _, s, e, r in fired(harness, "n")] == [(1, 30, (3,))]


def test_a_continuous_event_time_trigger_fires_at_each_multiple_and_at_the_end() -> None:
    trigger = triggers.continuous(MICRO * 10)
    declared = spec(tumbling(MICRO * 25), COUNT, trigger=trigger)
    events = [*rows(3), ("watermark", 12), *rows(14), ("watermark", 30)]
    harness = run(declared, events, batch_size=None)
    assert counts(harness) == [1, 2, 2]


def test_a_continuous_processing_time_trigger_fires_a_global_window_for_ever() -> None:
    trigger = triggers.continuous(SECOND, time="processing")
    declared = spec(global_window(), COUNT, trigger=trigger)
    harness = run(declared, rows(1, 2), batch_size=None)
    harness.advance(START + 2_000_000)
    assert counts(harness) == [2, 2]
    assert harness.rows[0]["window_start"] is None
    assert harness.timestamps == [2, 2]
    harness.end()


def test_a_continuous_event_time_trigger_on_a_global_window_ends_with_the_input() -> None:
    declared = spec(global_window(), COUNT, trigger=triggers.continuous(MICRO * 10))
    harness = run(declared, [*rows(1, 2), ("watermark", MAX_TIME)], batch_size=None)
    assert counts(harness) == [2]


class Alarm(Trigger):
    """Fires at once for a high value, else 5 µs of event time after the first row."""

    def on_row(self, row: Any, at: int, ctx: Any) -> TriggerResult:
        if row.v is not None and row.v >= 100:
            return FIRE_AND_PURGE
        if "set" not in ctx.state:
            ctx.state["set"] = ctx.window.key
            ctx.set_event_timer(at + 5)
        return CONTINUE

    def on_event_time(self, at: int, ctx: Any) -> TriggerResult:
        return FIRE


@pytest.mark.parametrize("size", [1, 7, None])
def test_a_custom_trigger_sees_every_row(size: Any) -> None:
    assert Alarm().row_wise
    declared = spec(global_window(), COUNT, trigger=Alarm())
    events = [("row", 1, 0, 1), ("row", 2, 1, 1), ("row", 1, 1, 100), ("row", 1, 2, 7)]
    events += [("watermark", 5), ("watermark", 6)]
    harness = run(declared, events, batch_size=size)
    assert [(r["k"], r["n"], r["s"]) for r in harness.rows] == [(1, 2, 101), (1, 1, 7), (2, 1, 1)]


def test_processing_time_windows_close_by_the_wall_clock_or_at_the_end_of_input() -> None:
    for trigger in (None, triggers.processing_time(), triggers.purging(triggers.processing_time())):
        declared = spec(tumbling(SECOND, time="processing"), COUNT, trigger=trigger)
        harness = OperatorHarness(window_aggregate(declared))
        run(declared, rows(1, 2), batch_size=None, harness=harness)
        assert harness.operator.next_timer() == START + 1_000_000
        harness.advance(START + 1_000_000)
        assert counts(harness) == [2]
        assert harness.timestamps == [START + 999_999]
        run(declared, rows(3), batch_size=None, harness=harness)
        harness.end()
        assert counts(harness) == [2, 1]


@pytest.mark.parametrize(
    "assigner",
    [
        tumbling(SECOND, time="processing"),
        sliding(4 * SECOND, SECOND, time="processing"),
        session(gap=SECOND, time="processing"),
    ],
    ids=["tumbling", "sliding", "session"],
)
@pytest.mark.parametrize(
    "trigger",
    [
        None,
        triggers.early(every=SECOND / 2),
        triggers.continuous(SECOND * 5, time="processing"),
        triggers.purging(triggers.processing_time()),
    ],
    ids=str,
)
def test_windows_of_the_wall_clock_that_are_open_when_the_input_ends_are_given(
    assigner: Any, trigger: Any
) -> None:
    declared = spec(assigner, COUNT, trigger=trigger)
    harness = run(declared, [*rows(1, 2), *rows(5, key=2)], batch_size=None)
    assert counts(harness) == []
    harness.end()
    windows = 4 if assigner == sliding(4 * SECOND, SECOND, time="processing") else 1
    assert counts(harness) == [2, 1] * windows


class Unmergeable(agg.Aggregate[int, int, int]):
    def create(self) -> int:
        return 0

    def add(self, acc: int, value: int) -> int:
        return acc + value

    def result(self, acc: int) -> int:
        return acc


def test_an_aggregate_without_merge_slides_in_windows_of_its_own() -> None:
    aggregates = {"u": Unmergeable("v")}
    declared = spec(sliding(MICRO * 4, MICRO * 2), aggregates)
    harness = run(declared, [*rows(1, 2), ("watermark", MAX_TIME)], batch_size=None)
    assert type(harness.operator.kept) is TimedWindows
    assert [r["u"] for r in harness.rows] == [1, 3, 2]
