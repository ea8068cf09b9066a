"""Windows of a number of rows."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob import aggregates as agg
from flowjob import triggers
from flowjob.core.elements import MAX_TIME
from flowjob.windows import CountWindow, count_window, global_window
from tests.reference_model import canonical
from tests.runtime.operators.harness import OperatorHarness
from tests.runtime.operators.windowing import event_lists, run, spec

AGGREGATES = {"n": agg.count(), "s": agg.sum("v"), "f": agg.first("v"), "l": agg.last("v")}


def model(events: list[Any], assigner: CountWindow) -> list[tuple[Any, ...]]:
    """The last `size` rows of a key after every `slide` rows."""
    held: dict[Any, list[Any]] = {}
    results = []
    for _, key, time, value in (e for e in events if e[0] == "row"):
        mine = held.setdefault(canonical(key), [])
        mine.append((time, value))
        if len(mine) % assigner.slide == 0:
            window = mine[-assigner.size :]
            values = [v for _, v in window if v is not None]
            shown = (sum(values), values[0], values[-1]) if values else (None, None, None)
            results.append((canonical(key), len(window), *shown, max(t for t, _ in window)))
    return results


def shown(harness: OperatorHarness) -> list[tuple[Any, ...]]:
    rows = zip(harness.rows, harness.timestamps)
    return [(canonical(r["k"]), *(r[name] for name in AGGREGATES), t) for r, t in rows]


@pytest.mark.parametrize(
    "assigner",
    [count_window(1), count_window(3), count_window(4, 2), count_window(2, 5), count_window(5, 3)],
    ids=str,
)
@settings(max_examples=30, deadline=None)
@given(
    events=event_lists(["a", "é", None, ""], st.one_of(st.none(), st.integers(-9, 9))),
)
def test_each_nth_row_fires_the_last_rows_whatever_the_batches(
    assigner: CountWindow, events: list[Any]
) -> None:
    events = [*events, ("watermark", MAX_TIME)]
    declared = spec(assigner, AGGREGATES, key=pa.string())
    for size in (1, 7, None):
        harness = run(declared, events, batch_size=size)
        harness.end()
        assert shown(harness) == model(events, assigner)
        assert harness.side("late") == []


def test_a_purging_count_trigger_on_a_global_window_is_a_count_window() -> None:
    trigger = triggers.purging(triggers.count(2))
    declared = spec(global_window(), AGGREGATES, trigger=trigger)
    events = [("row", 1, t, t) for t in range(5)]
    assert shown(run(declared, events, batch_size=None)) == model(events, count_window(2))


@pytest.mark.parametrize("size", [1, 7, None])
def test_a_count_trigger_on_a_global_window_keeps_its_rows(size: Any) -> None:
    declared = spec(global_window(), AGGREGATES, trigger=triggers.count(2))
    events = [("row", 1, t, t) for t in range(5)]
    assert [r["n"] for r in run(declared, events, batch_size=size).rows] == [2, 4]


def test_panes_that_no_window_needs_any_more_are_dropped() -> None:
    declared = spec(count_window(4, 2), AGGREGATES)
    harness = run(declared, [("row", k % 3, k, k) for k in range(1000)], batch_size=50)
    assert len(harness.operator.kept.panes) <= 3 * 2
