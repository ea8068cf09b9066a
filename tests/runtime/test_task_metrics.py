"""What a task counts, and that it stops counting when it ends."""

from __future__ import annotations

from flowjob.runtime.chain import Chain, Link
from flowjob.runtime.task_metrics import TaskMetrics


class NoChain(Chain):
    def __init__(self) -> None:
        self.links: list[Link] = []


def test_busy_is_what_is_neither_idle_nor_back_pressured() -> None:
    metrics = TaskMetrics()
    metrics.started, metrics.idle, metrics.backpressured = 10.0, 1.0, 2.0
    values = metrics.snapshot(NoChain(), 20.0, {})
    assert [values[n] for n in ("busy_us", "idle_us", "backpressured_us")] == [
        7_000_000,
        1_000_000,
        2_000_000,
    ]


def test_the_time_of_a_task_that_has_ended_stands_still() -> None:
    metrics = TaskMetrics()
    metrics.started, metrics.ended_at = 10.0, 12.0
    assert metrics.snapshot(NoChain(), 100.0, {})["busy_us"] == 2_000_000
    assert metrics.snapshot(NoChain(), 100.0, {})["ended"]
