"""Session windows, against the row-at-a-time model."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowjob import aggregates as agg
from flowjob.core.elements import MAX_TIME
from flowjob.windows import session
from tests.reference_model import canonical, run_windows
from tests.runtime.operators.windowing import (
    KEY_TYPES,
    MICRO,
    event_lists,
    fired,
    run,
    spec,
)

ASSIGNERS = {"session": session(gap=MICRO * 10)}
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
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
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
