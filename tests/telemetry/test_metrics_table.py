"""docs/metrics.md has every metric that the code registers, and labels and series stay bounded."""

from __future__ import annotations

from typing import Any

import pytest

from flowjob.cluster.job_figures import Graph, VertexFacts
from flowjob.cluster.metrics import (
    MOST_SUBTASKS,
    MOST_VERTICES,
    SERIES_PER_JOB,
    SERIES_PER_VERTEX,
    Family,
    of_taskmanager,
    of_vertices,
    text_of,
)
from flowjob.cluster.remembered_metrics import of_graph
from tests.telemetry.table import DOCUMENT, Row, of_jobmanager, rows, written

ALL = [row for section in rows().values() for row in section]
FORBIDDEN = {
    *("attempt", "checkpoint", "pod", "pod_ip", "ip", "address", "host", "instance", "exception"),
    *("error", "message", "text", "traceback", "path", "id", "uid", "row", "user", "token"),
}
LABELS = {
    *("state", "vertex", "subtask", "phase", "kind", "result", "cause", "action", "namespace"),
    *("name", "type", "verb", "resource", "status", "reason", "method", "route", "to"),
    *("remembered", "source"),
}


def test_the_tables_are_those_that_the_code_makes() -> None:
    text = DOCUMENT.read_text()
    assert written(text) == text, "`python -m tests.telemetry.table` writes them anew"
    for row in ALL:
        assert f"\n{row}\n" in text


def test_every_metric_has_a_name_of_its_own_in_our_space_and_a_meaning() -> None:
    names = [row.name for row in ALL]
    assert len(names) == len(set(names))
    for row in ALL:
        assert row.name.startswith("flowjob_")
        assert row.kind in ("counter", "gauge", "histogram")
        assert len(row.meaning) > 7, row


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.name)
def test_no_label_is_unbounded(row: Row) -> None:
    assert not set(row.labels) & FORBIDDEN
    assert set(row.labels) <= LABELS


def test_only_the_age_of_checkpoints_is_told_by_job() -> None:
    assert {row.name for row in ALL if "name" in row.labels} == {
        "flowjob_operator_checkpoint_age_seconds"
    }


# -- how many


def task(**more: Any) -> dict[str, Any]:
    return {"rows_in": 1, "watermark_lag_us": 1, "splits": 1, "splits_read": 1, **more}


def samples(families: list[Family]) -> int:
    return sum(len(family.samples) for family in families)


def job(vertices: int, subtasks: int, *, per_subtask: bool) -> list[Family]:
    tasks = {(v, s): task() for v in range(vertices) for s in range(subtasks)}
    return of_vertices(tasks, [f"v{v}" for v in range(vertices)], per_subtask=per_subtask)


def test_a_job_of_any_size_has_a_bounded_number_of_series() -> None:
    beside = [f for f in of_jobmanager() if "vertex" not in f.labels]
    assert samples(beside) <= SERIES_PER_JOB
    facts = [VertexFacts(id=v, name=f"v{v}", parallelism=4) for v in range(300)]
    whole = job(300, 8, per_subtask=False) + of_graph(Graph(name="j", at="", vertices=facts))
    assert samples(whole) <= MOST_VERTICES * SERIES_PER_VERTEX
    apart = job(300, 128, per_subtask=True)
    assert samples(apart) <= (MOST_SUBTASKS + MOST_VERTICES) * SERIES_PER_VERTEX


def test_the_text_of_the_largest_job_is_no_burden() -> None:
    assert len(text_of(job(300, 128, per_subtask=True))) < 4_000_000


def test_vertices_beyond_the_most_subtasks_are_shown_as_a_whole() -> None:
    families = {f.name: f for f in job(3, MOST_SUBTASKS // 2, per_subtask=True)}
    rows_in = families["flowjob_vertex_rows_in"]
    assert rows_in.samples["v1", "0"] == 1
    assert rows_in.samples["v2", ""] == MOST_SUBTASKS // 2
    assert len(rows_in.samples) == MOST_SUBTASKS + 1


def test_figures_of_sources_are_shown_of_sources_only() -> None:
    tasks = {(0, 0): task(), (1, 0): {"rows_in": 1}}
    families = {f.name: f for f in of_vertices(tasks, ["read", "write"], per_subtask=False)}
    assert families["flowjob_vertex_splits_read"].samples == {("read",): 1.0}


def test_what_is_not_known_is_left_out_and_not_told_as_zero() -> None:
    families = {
        f.name: f
        for f in of_graph(
            Graph(name="j", at="", vertices=[VertexFacts(id=0, name="v", parallelism=2)])
        )
    }
    assert families["flowjob_vertex_parallelism"].samples == {("v",): 2.0}
    assert families["flowjob_vertex_state_bytes"].samples == {}
    assert families["flowjob_source_lag_rows"].samples == {}


def test_a_taskmanager_tells_of_itself() -> None:
    told = text_of(of_taskmanager(registered=True, slots=2, used=1)).decode()
    assert "flowjob_taskmanager_slots_used 1.0" in told
