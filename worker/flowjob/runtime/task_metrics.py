"""What a task counts: rows, bytes, and how its time divides into busy, idle and back-pressured.

Totals since the task's start, written by the task and read by the slot's reporter in the same thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowjob.core.durations import Durations
from flowjob.core.elements import MAX_TIME, MIN_TIME
from flowjob.runtime.chain import Chain
from flowjob.runtime.env import Clock


class TaskMetrics:
    """Counters of one task. Times are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self.rows_in = 0
        self.bytes_in = 0
        self.idle = 0.0
        self.backpressured = 0.0
        self.idle_since: float | None = None
        """It waits for input now. A wait counts while it lasts: a long one must not look like work until it ends"""
        self.blocked_since: float | None = None
        """It waits at an outlet now"""
        self.started: float | None = None
        self.watermark = MIN_TIME
        self.ended_at: float | None = None
        self.latency: dict[int, Durations] = {}
        """Of markers, by the vertex of the source they are of"""

    def marked(self, source: int, micros: int) -> None:
        """A marker has come, so long after it left the source."""
        found = self.latency.get(source)
        if found is None:
            found = self.latency[source] = Durations()
        found.add(micros)

    def snapshot(self, chain: Chain, clock: Clock, buffers: Mapping[str, int]) -> dict[str, Any]:
        """Plain values for the control plane; times in µs.

        `busy` is what is neither idle nor back-pressured. `buffers` are the exchange's own figures of this task."""
        until = clock.monotonic() if self.ended_at is None else self.ended_at
        total = 0.0 if self.started is None else until - self.started
        idle = self.idle + _lasting(self.idle_since, until)
        backpressured = self.backpressured + _lasting(self.blocked_since, until)
        busy = max(0.0, total - idle - backpressured)
        return {
            "rows_in": self.rows_in,
            "rows_out": sum(_leaving(chain)),
            "bytes_in": self.bytes_in,
            "busy_us": int(busy * 1e6),
            "idle_us": int(idle * 1e6),
            "backpressured_us": int(backpressured * 1e6),
            "watermark": None if self.watermark == MIN_TIME else self.watermark,
            "watermark_lag_us": self._lag(clock.wall()),
            "ended": self.ended_at is not None,
            **buffers,
            **self._latency(),
            "operators": [
                {
                    "name": link.context.name,
                    "rows_in": link.context.metrics.rows_in,
                    "rows_out": link.context.metrics.rows_out,
                    "late_rows": link.context.metrics.late_rows,
                    "bad_rows": link.context.metrics.bad_rows,
                    **link.context.metrics.extra,
                }
                for link in chain.links
            ],
        }

    def _latency(self) -> dict[str, Any]:
        """By source: durations.BOUNDS, and the sum in µs."""
        if not self.latency:
            return {}
        found = [(source, list(d.counts), d.total) for source, d in self.latency.items()]
        return {"latency": found}

    def _lag(self, wall: int) -> int | None:
        """How far event time is behind the wall clock; None before the first watermark and after the last."""
        over = self.ended_at is not None or self.watermark in (MIN_TIME, MAX_TIME)
        return None if over else wall - self.watermark


def _lasting(since: float | None, until: float) -> float:
    return 0.0 if since is None else max(0.0, until - since)


def _leaving(chain: Chain) -> list[int]:
    """Rows out of each operator that nothing in the chain takes further."""
    return [link.context.metrics.rows_out for link in chain.links if not link.main]
