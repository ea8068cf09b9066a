"""How long rows take: added up over attempts, of late, and as Prometheus gets it."""

from __future__ import annotations

from flowjob.cluster.metrics import SERIES_OF_LATENCY, text_of
from flowjob.cluster.remembered_metrics import of_latencies
from flowjob.core.durations import Durations
from flowjob.runtime.observing.latencies import LOOK, LOOKS, MOST_PAIRS, LatencyMemory, Reported

MS = 1000


def reported(*micros: int, source: int = 0) -> Reported:
    """By a task that has had markers of so long."""
    found = Durations()
    for value in micros:
        found.add(value)
    return [(source, found.counts, found.total)]


def samples(memory: LatencyMemory, vertex: int = 1) -> int:
    found = memory.of_vertex(vertex)
    return 0 if found is None else found.samples


def test_before_the_first_marker_nothing_is_known() -> None:
    memory = LatencyMemory()
    memory.heard(1, 0, (), 0.0)
    assert memory.of_vertex(1) is None
    assert memory.shown == {}


def test_a_vertex_is_told_of_by_all_its_subtasks_and_sources() -> None:
    memory = LatencyMemory()
    memory.heard(1, 0, reported(2 * MS), 0.0)
    memory.heard(1, 1, reported(2 * MS, 900 * MS, source=5), 0.0)
    memory.heard(2, 0, reported(MS), 0.0)
    found = memory.of_vertex(1)
    assert found is not None
    assert found.samples == 3
    assert 1.4 <= found.p50_ms <= 2.1
    assert found.max_ms == 1024.0
    assert sorted(memory.totals) == [(0, 1), (0, 2), (5, 1)]


def test_a_report_says_all_since_the_task_began_and_counts_once() -> None:
    memory = LatencyMemory()
    memory.heard(1, 0, reported(MS), 0.0)
    memory.heard(1, 0, reported(MS), 1.0)
    memory.heard(1, 0, reported(MS, MS), 2.0)
    assert samples(memory) == 2
    assert memory.shown[0, 1][-1] == 2 * MS


def test_totals_go_on_where_a_task_is_started_again() -> None:
    memory = LatencyMemory()
    memory.heard(1, 0, reported(MS, MS, MS), 0.0)
    memory.forget(1, 0)
    assert samples(memory) == 3
    memory.heard(1, 0, reported(MS), 1.0)
    assert samples(memory) == 4


def test_what_took_long_long_ago_is_not_of_late() -> None:
    memory = LatencyMemory()
    slow = [60_000 * MS] * 10
    memory.heard(1, 0, reported(*slow), 0.0)
    for look in range(LOOKS + 1):
        memory.heard(1, 0, reported(*slow, *[MS] * (look + 1)), look * LOOK)
    found = memory.of_vertex(1)
    assert found is not None
    assert found.max_ms == 1.0
    assert sum(memory.shown[0, 1][:-1]) == 10 + LOOKS + 1


def test_memory_is_bounded_by_pairs() -> None:
    memory = LatencyMemory()
    for vertex in range(3 * MOST_PAIRS):
        for second in range(20):
            memory.heard(vertex, 0, reported(*[MS] * second), second * LOOK)
            memory.forget(vertex, 0)
    assert len(memory.totals) == MOST_PAIRS
    assert memory.nbytes <= MOST_PAIRS * (LOOKS + 1) * 39 * 8


def test_prometheus_gets_bounds_that_double_and_a_sum_in_seconds() -> None:
    memory = LatencyMemory()
    memory.heard(1, 0, reported(3 * MS, 90_000 * MS), 0.0)
    families = of_latencies(memory.shown, ["read", "count"])
    text = text_of(families).decode().splitlines()
    series = [line for line in text if line.startswith("flowjob_latency_seconds")]
    labels = 'source="read",vertex="count"'
    assert f'flowjob_latency_seconds_bucket{{le="0.002",{labels}}} 0.0' in series
    assert f'flowjob_latency_seconds_bucket{{le="0.004",{labels}}} 1.0' in series
    assert f'flowjob_latency_seconds_bucket{{le="65.536",{labels}}} 1.0' in series
    assert f'flowjob_latency_seconds_bucket{{le="+Inf",{labels}}} 2.0' in series
    assert f"flowjob_latency_seconds_sum{{{labels}}} 90.003" in series
    assert len(series) <= SERIES_OF_LATENCY
