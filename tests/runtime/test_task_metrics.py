"""What a task counts, and that it stops counting when it ends."""

from __future__ import annotations

from dataclasses import dataclass

from flowjob.core.elements import MAX_TIME
from flowjob.runtime.chain import Chain, Link
from flowjob.runtime.task_metrics import TaskMetrics


class NoChain(Chain):
    def __init__(self) -> None:
        self.links: list[Link] = []


@dataclass
class At:
    """A clock that stands."""

    now: float = 0.0
    wall_time: int = 0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> int:
        return self.wall_time

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


def test_watermark_lag_is_how_far_event_time_is_behind_the_wall_clock() -> None:
    metrics = TaskMetrics()
    clock = At(wall_time=5_000_000)
    assert metrics.snapshot(NoChain(), clock, {})["watermark_lag_us"] is None
    metrics.watermark = 3_000_000
    assert metrics.snapshot(NoChain(), clock, {})["watermark_lag_us"] == 2_000_000
    metrics.watermark = MAX_TIME
    assert metrics.snapshot(NoChain(), clock, {})["watermark_lag_us"] is None


def test_busy_is_what_is_neither_idle_nor_back_pressured() -> None:
    metrics = TaskMetrics()
    metrics.started, metrics.idle, metrics.backpressured = 10.0, 1.0, 2.0
    values = metrics.snapshot(NoChain(), At(20.0), {})
    assert [values[n] for n in ("busy_us", "idle_us", "backpressured_us")] == [
        7_000_000,
        1_000_000,
        2_000_000,
    ]


def test_a_wait_counts_while_it_lasts_and_is_not_taken_for_work() -> None:
    metrics = TaskMetrics()
    metrics.started, metrics.idle_since = 10.0, 12.0
    values = metrics.snapshot(NoChain(), At(20.0), {})
    assert (values["busy_us"], values["idle_us"]) == (2_000_000, 8_000_000)
    metrics.idle, metrics.idle_since, metrics.blocked_since = 8.0, None, 20.0
    values = metrics.snapshot(NoChain(), At(25.0), {})
    assert (values["busy_us"], values["idle_us"], values["backpressured_us"]) == (
        2_000_000,
        8_000_000,
        5_000_000,
    )


def test_the_time_of_a_task_that_has_ended_stands_still() -> None:
    metrics = TaskMetrics()
    metrics.started, metrics.ended_at = 10.0, 12.0
    assert metrics.snapshot(NoChain(), At(100.0), {})["busy_us"] == 2_000_000
    assert metrics.snapshot(NoChain(), At(100.0), {})["ended"]
