"""Counters of a vertex never go back, whichever of its subtasks are started again, and however often."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowjob.cluster.metrics import of_vertices
from flowjob.runtime.observing.former_counts import FormerCounts

COUNTERS = ("flowjob_vertex_rows_in", "flowjob_vertex_busy_seconds", "flowjob_vertex_late_rows")


def said(count: int) -> dict[str, Any]:
    """By a task that has done so much."""
    return {"rows_in": count, "busy_us": count * 10**6, "operators": [{"late_rows": count}]}


@given(st.lists(st.tuples(st.sampled_from(["works", "dies"]), st.integers(0, 3)), max_size=40))
def test_the_counters_of_a_vertex_never_go_back(steps: list[tuple[str, int]]) -> None:
    former, tasks, done = FormerCounts(), {(0, i): said(0) for i in range(4)}, 0
    for what, subtask in steps:
        key = 0, subtask
        if what == "works":
            tasks[key] = said(tasks.get(key, said(0))["rows_in"] + 5)
            done += 5
        elif key in tasks:
            former.over(key, tasks.pop(key))
        whole = former.with_former(tasks)
        families = {f.name: f.samples for f in of_vertices(whole, ["v"], per_subtask=False)}
        assert [families[name]["v",] for name in COUNTERS] == [done] * 3


def test_what_is_now_and_no_count_is_that_of_the_newest_attempt() -> None:
    former = FormerCounts()
    former.over((0, 0), {"rows_in": 1, "queued_bytes": 9, "splits_read": 3, "watermark": 7})
    assert "queued_bytes" not in former.with_former({})[0, 0]
    now = former.with_former({(0, 0): {"queued_bytes": 2, "splits_read": 3}})[0, 0]
    assert (now["queued_bytes"], now["splits_read"], now["rows_in"]) == (2, 3, 1)
