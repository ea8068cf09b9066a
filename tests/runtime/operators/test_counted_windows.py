"""Windows with a count trigger: in columns as row by row."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowjob import aggregates as agg
from flowjob import triggers
from flowjob.plan.specs import WindowApplySpec
from flowjob.plan.types import StreamType
from flowjob.runtime.operators.counted_windows import CountedWindows
from flowjob.runtime.operators.row_wise_windows import RowWiseWindows
from flowjob.runtime.operators.window_aggregate import window_aggregate, window_parts
from flowjob.runtime.operators.window_apply import window_apply
from flowjob.windows import Window, global_window, sliding, tumbling
from tests.runtime.operators.harness import START, OperatorHarness, batch
from tests.runtime.operators.windowing import MICRO, SECOND, event_lists, fired, run, spec

ASSIGNERS = {
    "tumbling": tumbling(MICRO * 25, MICRO * 3),
    "sliding": sliding(MICRO * 40, MICRO * 15),
    "sliding with gaps": sliding(MICRO * 10, MICRO * 25),
    "global": global_window(),
}
TRIGGERS = {
    "count": lambda n: triggers.count(n),
    "purging": lambda n: triggers.purging(triggers.count(n)),
}


class Spread(agg.Aggregate[int, tuple[int, int], int]):
    """Has no merge."""

    def create(self) -> tuple[int, int]:
        return (99, -99)

    def add(self, acc: tuple[int, int], value: int) -> tuple[int, int]:
        return (min(acc[0], value), max(acc[1], value))

    def result(self, acc: tuple[int, int]) -> int:
        return acc[1] - acc[0]


AGGREGATES = {
    "n": agg.count(),
    "s": agg.sum("v"),
    "lo": agg.min("v"),
    "l": agg.last("v"),
    "d": agg.count_distinct("v"),
    "all": agg.collect("v"),
    "spread": Spread("v"),
}


def row_wise(declared: Any) -> OperatorHarness:
    operator = RowWiseWindows(
        window_parts(declared), declared.assigner, declared.trigger, declared.input
    )
    return OperatorHarness(operator)


@pytest.mark.parametrize("name", ASSIGNERS)
@pytest.mark.parametrize("trigger", TRIGGERS)
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_results_equal_the_trigger_run_row_by_row_for_any_batch_split(
    name: str, trigger: str, data: Any
) -> None:
    events = data.draw(event_lists(["a", "é", None], st.one_of(st.none(), st.integers(-9, 9))))
    n = data.draw(st.sampled_from([1, 2, 3]))
    lateness = data.draw(st.sampled_from([0, 12]))
    declared = spec(
        ASSIGNERS[name],
        AGGREGATES,
        key=pa.string(),
        trigger=TRIGGERS[trigger](n),
        lateness=lateness,
    )
    want = run(declared, events, batch_size=1, harness=row_wise(declared))
    for size in (1, 7, None):
        harness = run(declared, events, batch_size=size)
        assert type(harness.operator.kept) is CountedWindows
        assert fired(harness, *AGGREGATES) == fired(want, *AGGREGATES)
        assert harness.timestamps == want.timestamps
        assert harness.side("late") == want.side("late")
        harness.end()
        assert len(harness.rows) == len(want.rows)
        assert len(harness.operator.kept.tables) == 0 or name == "global"


@pytest.mark.parametrize("name", ["tumbling", "sliding", "global"])
@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("size", [1, 7, None])
def test_a_window_function_gets_the_rows_as_of_the_nth(name: str, trigger: str, size: Any) -> None:
    def times(window: Window, rows: list[Any]) -> list[Any]:
        return [(window.key, [row.v for row in rows])]

    declared = spec(ASSIGNERS[name], {}, trigger=TRIGGERS[trigger](2))
    apply = WindowApplySpec(
        input=declared.input,
        output=StreamType(None),
        keys=declared.keys,
        assigner=declared.assigner,
        trigger=declared.trigger,
        allowed_lateness=declared.allowed_lateness,
        function=times,
    )
    events = [("row", t % 2, t * 3, t) for t in range(30)]
    aggregated = spec(ASSIGNERS[name], {"all": agg.collect("v")}, trigger=declared.trigger)
    want = [
        (row["k"], row["all"])
        for row in run(aggregated, events, batch_size=1, harness=row_wise(aggregated)).rows
    ]
    harness = run(declared, events, batch_size=size, harness=OperatorHarness(window_apply(apply)))
    assert type(harness.operator.kept) is CountedWindows
    assert harness.rows == want
    assert len(want) > 4


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_nothing_but_a_count_fires_a_window_of_the_wall_clock(trigger: str) -> None:
    assigner = tumbling(MICRO * SECOND, time="processing")
    declared = spec(assigner, {"n": agg.count()}, trigger=TRIGGERS[trigger](2))
    for harness in (OperatorHarness(window_aggregate(declared)), row_wise(declared)):
        run(declared, [("row", 1, 0, t) for t in range(3)], batch_size=None, harness=harness)
        harness.advance(START + SECOND)
        run(declared, [("row", 1, 0, 0)], batch_size=None, harness=harness)
        harness.advance(START + 3 * SECOND)
        assert harness.operator.next_timer() is None
        run(declared, [("row", 1, 0, 0)], batch_size=None, harness=harness)
        harness.end()
        assert [row["n"] for row in harness.rows] == [2]


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_a_window_is_forgotten_when_its_time_is_over(trigger: str) -> None:
    assigner = sliding(MICRO * 20, MICRO * 10)
    declared = spec(assigner, AGGREGATES, trigger=TRIGGERS[trigger](3))
    events = [e for t in range(500) for e in (("row", t % 7, t * 10, t), ("watermark", t * 10 - 5))]
    harness = run(declared, events, batch_size=None)
    assert len(harness.operator.kept.tables) <= 3
    assert len(harness.operator.kept._counts) <= 3


def test_rows_without_event_time_are_counted_in_a_global_window() -> None:
    declared = spec(global_window(), {"n": agg.count()}, trigger=triggers.count(2))
    harness = OperatorHarness(window_aggregate(declared))
    harness.feed(batch([{"k": 1, "v": 0}] * 4, declared.input.schema))
    assert [r["n"] for r in harness.rows] == [2, 4]
    assert harness.timestamps == [None, None]
