"""Windows that fire before they end: in columns as row by row."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowjob import aggregates as agg
from flowjob import triggers
from flowjob.core.elements import MAX_TIME
from flowjob.plan.specs import WindowApplySpec
from flowjob.plan.types import StreamType
from flowjob.runtime.operators.row_wise_windows import RowWiseWindows
from flowjob.runtime.operators.timed_windows import TimedWindows
from flowjob.runtime.operators.window_aggregate import window_aggregate, window_parts
from flowjob.runtime.operators.window_apply import window_apply
from flowjob.triggers import default_trigger
from flowjob.windows import Window, global_window, session, sliding, tumbling
from tests.reference_model import canonical, run_windows
from tests.runtime.operators.harness import START, OperatorHarness
from tests.runtime.operators.windowing import MICRO, event_lists, fired, run, spec

SECOND = timedelta(seconds=1)
ASSIGNERS = {
    "tumbling": tumbling(MICRO * 25, MICRO * 3),
    "sliding": sliding(MICRO * 40, MICRO * 15),
    "sliding with gaps": sliding(MICRO * 10, MICRO * 25),
    "session": session(gap=MICRO * 10),
    "global": global_window(),
    "tumbling, wall clock": tumbling(SECOND * 3, time="processing"),
    "sliding, wall clock": sliding(SECOND * 3, SECOND * 2, time="processing"),
    "session, wall clock": session(gap=SECOND, time="processing"),
}
TRIGGERS = {
    "early": triggers.early(every=SECOND),
    "continuous": triggers.continuous(MICRO * 7),
    "continuous, wall clock": triggers.continuous(SECOND * 0.8, time="processing"),
}
COLUMNAR = [
    (name, trigger)
    for name in ASSIGNERS
    for trigger in TRIGGERS
    if not (name.startswith("session") and trigger != "early")
    and not ("wall clock" in name and trigger == "continuous")
]


class Spread(agg.Aggregate[int, tuple[int, int], int]):
    """Has no merge."""

    def create(self) -> tuple[int, int]:
        return (99, -99)

    def add(self, acc: tuple[int, int], value: int) -> tuple[int, int]:
        return (min(acc[0], value), max(acc[1], value))

    def result(self, acc: tuple[int, int]) -> int:
        return acc[1] - acc[0]


AGGREGATES = {"n": agg.count(), "s": agg.sum("v"), "l": agg.last("v"), "all": agg.collect("v")}


def row_wise(declared: Any) -> OperatorHarness:
    trigger = declared.trigger or default_trigger(declared.assigner)
    operator = RowWiseWindows(window_parts(declared), declared.assigner, trigger, declared.input)
    return OperatorHarness(operator)


@pytest.mark.parametrize(("name", "trigger"), COLUMNAR)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_results_equal_the_trigger_run_row_by_row_for_any_batch_split(
    name: str, trigger: str, data: Any
) -> None:
    events = data.draw(event_lists([1, 2, None], st.integers(-9, 9)))
    lateness = 0 if "wall clock" in name else data.draw(st.sampled_from([0, 12]))
    declared = spec(ASSIGNERS[name], AGGREGATES, lateness=lateness, trigger=TRIGGERS[trigger])
    want = row_wise(declared)
    steps = [data.draw(st.sampled_from([0, 0, 400_000, 1_700_000])) for _ in events]
    harnesses = {1: OperatorHarness(window_aggregate(declared))}
    harnesses |= {size: OperatorHarness(window_aggregate(declared)) for size in (2, None)}
    assert type(harnesses[1].operator) is not RowWiseWindows

    def compare() -> None:
        for harness in harnesses.values():
            assert fired(harness, *AGGREGATES) == fired(want, *AGGREGATES)
            assert harness.timestamps == want.timestamps
            assert harness.side("late") == want.side("late")

    pending: list[Any] = []
    for event, step in zip([*events, ("watermark", 131)], [*steps, 1]):
        pending.append(event)
        if not step and event[0] == "row":
            continue  # further rows may share a batch
        for size, harness in [(1, want), *harnesses.items()]:
            run(declared, pending, batch_size=size, harness=harness)
            harness.advance(harness.clock.wall() + step)
        pending.clear()
    compare()
    for harness in (want, *harnesses.values()):
        harness.end()
    compare()


@pytest.mark.parametrize("name", ["tumbling", "sliding", "sliding with gaps"])
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_an_aggregate_without_merge_gives_the_models_results(name: str, data: Any) -> None:
    events = data.draw(event_lists([1, 2, None], st.integers(-9, 9)))
    events = [*events, ("watermark", MAX_TIME)]
    lateness = data.draw(st.sampled_from([0, 12]))
    want, late = run_windows(
        events, ASSIGNERS[name], lambda vs: (len(vs), max(vs) - min(vs)), lateness
    )
    declared = spec(ASSIGNERS[name], {"n": agg.count(), "u": Spread("v")}, lateness=lateness)
    for size in (1, 7, None):
        harness = run(declared, events, batch_size=size)
        assert fired(harness, "n", "u") == [(canonical(k), s, e, r) for k, s, e, r in want]
        assert [r["v"] for r in harness.side("late")] == [r[3] for r in late]


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_a_window_function_gets_the_rows_as_of_the_firing(trigger: str) -> None:
    def values(window: Window, rows: list[Any]) -> list[Any]:
        return [(window.key, [row.v for row in rows])]

    declared = spec(
        ASSIGNERS["sliding"], {"all": agg.collect("v")}, trigger=TRIGGERS[trigger], lateness=20
    )
    apply = WindowApplySpec(
        input=declared.input,
        output=StreamType(None),
        keys=declared.keys,
        assigner=declared.assigner,
        trigger=declared.trigger,
        allowed_lateness=declared.allowed_lateness,
        function=values,
    )
    want = row_wise(declared)
    for size in (1, None):
        got = OperatorHarness(window_apply(apply))
        assert type(got.operator.kept) is TimedWindows
        for harness in (got,) if want.rows else (got, want):
            for start in range(0, 100, 10):
                rows = [("row", t % 2, t, t) for t in range(start, start + 10)]
                late = [("row", 5, start - 15, 0), ("row", 5, start - 14, 1)]
                events = [*rows, ("watermark", start + 8), *late]
                run(declared, events, batch_size=size, harness=harness)
                harness.advance(START + start * 100_000)
        assert got.rows == [(row["k"], row["all"]) for row in want.rows]
        assert len(got.rows) > 10


def test_a_multiple_that_passed_before_its_window_opened_fires_with_the_row_that_opens_it() -> None:
    declared = spec(tumbling(MICRO * 100), AGGREGATES, trigger=triggers.continuous(MICRO * 10))
    events = [("watermark", 35), ("row", 1, 12, 1), ("row", 1, 13, 2), ("watermark", 40)]
    for size in (1, None):
        harness = run(declared, events, batch_size=size)
        assert [row["n"] for row in harness.rows] == [1, 1, 2]
