"""Tumbling and sliding windows, against the row-at-a-time model."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowjob import aggregates as agg
from flowjob.core.elements import MAX_TIME
from flowjob.runtime.operators import pane_merging
from flowjob.windows import sliding, tumbling
from tests.reference_model import canonical, run_windows
from tests.runtime.operators.windowing import (
    KEY_TYPES,
    MICRO,
    event_lists,
    fired,
    run,
    spec,
)

ASSIGNERS = {
    "tumbling": tumbling(MICRO * 10),
    "tumbling with offset": tumbling(MICRO * 10, MICRO * 3),
    "sliding": sliding(MICRO * 20, MICRO * 5),
    "sliding, uneven": sliding(MICRO * 15, MICRO * 10, MICRO * 2),
    "sliding with gaps": sliding(MICRO * 5, MICRO * 8),
}
AGGREGATES = {
    "n": agg.count(),
    "s": agg.sum("v"),
    "hi": agg.max("v"),
    "f": agg.first("v"),
    "l": agg.last("v"),
}


def expected(values: list[Any]) -> tuple[Any, ...]:
    held = [v for v in values if v is not None]
    if not held:
        return (len(values), None, None, None, None)
    return (len(values), sum(held), max(held), held[0], held[-1])


@pytest.mark.parametrize("name", ASSIGNERS)
@pytest.mark.parametrize("keys", KEY_TYPES)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_results_equal_row_by_row_execution_for_any_batch_split(
    name: str, keys: str, data: Any
) -> None:
    key_type, values = KEY_TYPES[keys]
    events = data.draw(event_lists(values, st.one_of(st.none(), st.integers(-9, 9))))
    events = [*events, ("watermark", MAX_TIME)]
    lateness = data.draw(st.sampled_from([0, 7, 30]))
    assigner = ASSIGNERS[name]
    want, late = run_windows(events, assigner, expected, lateness)
    want = [(canonical(k), s, e, r) for k, s, e, r in want]
    declared = spec(assigner, AGGREGATES, key=key_type, lateness=lateness)
    for size in (1, 7, None):
        harness = run(declared, events, batch_size=size)
        assert fired(harness, *AGGREGATES) == want
        side = [(canonical(r["k"]), r["v"]) for r in harness.side("late")]
        assert side == [(canonical(r[1]), r[3]) for r in late]
        assert harness.metrics.late_rows == len(late)


@pytest.mark.parametrize("lateness", [0, 40])
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_windows_of_many_panes_are_made_of_blocks_that_late_rows_renew(
    lateness: int, data: Any
) -> None:
    events = data.draw(event_lists(["a", "b", None], st.integers(-9, 9)))
    events = [*events, ("watermark", MAX_TIME)]
    assigner = sliding(MICRO * 60, MICRO * 2, MICRO)
    want, late = run_windows(events, assigner, expected, lateness)
    declared = spec(assigner, AGGREGATES, key=pa.string(), lateness=lateness)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pane_merging, "_MANY_PAIRS", 1)
        harness = run(declared, events, batch_size=7)
    assert fired(harness, *AGGREGATES) == [(canonical(k), s, e, r) for k, s, e, r in want]
    assert len(harness.side("late")) == len(late)


def test_sliding_windows_keep_only_panes_and_blocks_that_can_still_fire() -> None:
    assigner = sliding(MICRO * 64, MICRO)
    events: list[Any] = []
    for t in range(700):
        events += [("row", key, t, 1) for key in ("a", "b")] + [("watermark", t - 5)]
    declared = spec(assigner, {"n": agg.count()}, key=pa.string())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pane_merging, "_MANY_PAIRS", 1)
        harness = run(declared, events, batch_size=None)
    assert [row["n"] for row in harness.rows[-2:]] == [64, 64]
    assert len(harness.operator.kept.tables) <= 75
    assert len(harness.operator.kept.blocks._blocks) <= 5 * 64
