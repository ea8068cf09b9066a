"""Windows restored from subtasks that had come to different times: as if these had stayed apart."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowjob.aggregates import count
from flowjob.core.elements import Watermark
from flowjob.runtime.operators.base import Side
from flowjob.runtime.operators.window_aggregate import window_aggregate
from flowjob.windows import WindowAssigner, session, sliding, tumbling
from tests.runtime.operators.harness import batch, rows_of
from tests.runtime.operators.rescaling import Feed, Fleet, Rescale, WallTime
from tests.runtime.operators.window_scripts import KINDS, declared, scripts
from tests.runtime.operators.windowing import INT64, MICRO, schema, spec


@pytest.mark.parametrize("name", KINDS)
@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_row_is_judged_by_the_time_its_key_group_had_come_to(name: str, data: Any) -> None:
    kind = KINDS[name]
    lateness = data.draw(st.sampled_from(kind.late))
    before = data.draw(scripts("ints", (1,)))[:-2]
    floors = data.draw(st.lists(st.integers(-30, 100), min_size=2, max_size=3))
    after = data.draw(scripts("ints", (1, 2, 3)))
    make = lambda: window_aggregate(declared(kind, "ints", "order", lateness))

    def shown(rescaled: bool) -> list[list[str]]:
        fleet = Fleet(make, len(floors))
        for step in before:
            if not isinstance(step, Rescale):
                fleet.take(step)
        for subtask, floor in zip(fleet.subtasks, floors):
            subtask.watermark(floor)
        if rescaled:
            fleet = fleet.rescaled(data.draw(st.sampled_from([1, 2, 3, 4])))
        found = []
        for step in after:
            if not isinstance(step, Rescale):
                given = [row for o in fleet.take(step) for row in shown_rows(o)]
                found.append(sorted(given))
            elif rescaled:
                fleet = fleet.rescaled(step.parallelism)
        return found

    assert shown(True) == shown(False)


@pytest.mark.parametrize(
    "assigner",
    [
        tumbling(10 * MICRO, time="processing"),
        sliding(10 * MICRO, 5 * MICRO, time="processing"),
        session(gap=10 * MICRO, time="processing"),
    ],
    ids=str,
)
@pytest.mark.parametrize("late", [0, 1, 2, 100])
def test_a_window_that_was_over_when_the_barrier_came_and_had_not_fired_fires_after_a_restore(
    assigner: WindowAssigner, late: int
) -> None:
    """The operator was busy, so the clock had passed the window's end before it was told of the time."""
    fleet = Fleet(lambda: window_aggregate(spec(assigner, {"n": count()})), 1)
    fleet.take(Feed(batch([{"k": 1, "v": 1}], schema(INT64))))
    (subtask,) = fleet.subtasks
    due = subtask.operator.next_timer()
    assert due is not None
    fleet.wall = due + late
    subtask.clock.set(fleet.wall)
    fired = fleet.rescaled(2).take(WallTime(100))
    counted = [row["n"] for output in fired for row in rows_of(output)]
    assert counted == ([1, 1] if "sliding" in str(assigner) else [1])


def shown_rows(output: Any) -> list[str]:
    assert not isinstance(output, Watermark)
    tag, data = (output.tag, output.data) if isinstance(output, Side) else ("", output)
    times = [None] * len(data) if data.timestamps is None else data.timestamps.tolist()
    return [f"{tag} {row!r} {time}" for row, time in zip(rows_of(data), times)]
