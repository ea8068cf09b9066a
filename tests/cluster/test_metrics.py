"""/metrics: what is shown, and how many series at most."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from flowjob.cluster.control_api import Checkpointing, JobManagerView, Slots, Snapshot
from flowjob.cluster.metrics import (
    MOST_VERTICES,
    SERIES_PER_JOB,
    SERIES_PER_VERTEX,
    Family,
    of_job,
    of_vertices,
    text_of,
)

VIEW = JobManagerView(
    uid="u",
    revision=1,
    state="Running",
    restarts=2,
    parallelism=4,
    slots=Slots(needed=4, offered=5, task_managers=3),
    checkpoints=Checkpointing(
        completed=9,
        latest=Snapshot(
            type="Checkpoint", id=9, path="p", completed_at="2026-01-01T00:00:10.000Z", size=7
        ),
    ),
)
AT = 1767225620.0  # 2026-01-01T00:00:20Z


def task(rows: int, **more: Any) -> dict[str, Any]:
    operators = [{"name": "a", "late_rows": 1, "bad_rows": 0}, {"name": "b", "bad_rows": 2}]
    counted = {"rows_in": rows, "rows_out": rows, "bytes_in": 8 * rows, "busy_us": 500_000}
    return {**counted, "operators": operators, **more}


def samples(text: bytes) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (s.name, tuple(value for _, value in sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(text.decode())
        for s in family.samples
    }


def test_totals_of_subtasks_add_up_per_vertex_and_the_slowest_watermark_counts() -> None:
    slow, slower = task(3, watermark_lag_us=10**6), task(4, watermark_lag_us=5 * 10**6)
    tasks = {(0, 0): slow, (0, 1): slower, (1, 0): task(1)}
    found = samples(text_of(of_vertices(tasks, ["read", "write"], per_subtask=False)))
    assert found["flowjob_vertex_rows_in_total", ("read",)] == 7
    assert found["flowjob_vertex_busy_seconds_total", ("read",)] == 1.0
    assert found["flowjob_vertex_late_rows_total", ("read",)] == 2
    assert found["flowjob_vertex_bad_rows_total", ("read",)] == 4
    assert found["flowjob_vertex_watermark_lag_seconds", ("read",)] == 5.0
    assert ("flowjob_vertex_watermark_lag_seconds", ("write",)) not in found


def test_each_subtask_is_shown_where_that_is_wanted() -> None:
    tasks = {(0, 0): task(3), (0, 1): task(4)}
    found = samples(text_of(of_vertices(tasks, ["read"], per_subtask=True)))
    assert found["flowjob_vertex_rows_in_total", ("1", "read")] == 4


def test_vertices_of_the_same_name_are_told_apart() -> None:
    tasks = {(0, 0): task(3), (1, 0): task(4)}
    found = samples(text_of(of_vertices(tasks, ["read", "read"], per_subtask=False)))
    assert found["flowjob_vertex_rows_in_total", ("read (1)",)] == 4


def test_a_job_is_shown_by_who_leads_it_and_the_others_say_that_they_do_not() -> None:
    found = samples(text_of(of_job(VIEW, AT)))
    assert found["flowjob_leader", ()] == 1
    assert found["flowjob_job_state", ("Running",)] == 1
    assert found["flowjob_job_state", ("Failed",)] == 0
    assert found["flowjob_restarts_total", ()] == 2
    assert found["flowjob_checkpoint_age_seconds", ()] == 10
    assert samples(text_of(of_job(None, AT))) == {("flowjob_leader", ()): 0}


def test_the_number_of_series_is_bounded_by_the_program_and_never_grows_with_the_cluster() -> None:
    one = task(1, watermark_lag_us=1)
    many = {(vertex, subtask): one for vertex in range(300) for subtask in range(8)}
    names = [f"operator {n}" for n in range(300)]
    vertices = of_vertices(many, names, per_subtask=False)
    assert count(vertices) <= MOST_VERTICES * SERIES_PER_VERTEX
    assert samples(text_of(vertices))["flowjob_vertices_left_out", ()] == 100
    assert count(of_job(VIEW, AT)) <= SERIES_PER_JOB


def count(families: list[Family]) -> int:
    return sum(len(family.samples) for family in families)
