"""How long a row is on its way: from its making in one process to the sink in another.

Both read the wall clock of this machine. The sink keeps a histogram and reports it once, so that measuring sends
nothing while rows flow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import flowjob as fj
from bench.runner import Benchmark, Outcome
from bench.sources import StampedRows
from flowjob.connectors.base import Sink, SinkContext, SinkWriter
from flowjob.runtime.batch import Batch
from flowjob.runtime.env import Clock

RATE = 100_000
WARM_UP_US = 1_000_000
STEP_US = 10
STEPS = 100_000
"""The histogram goes to a second; what took longer counts as a second."""


@dataclass(frozen=True, kw_only=True)
class LatencySink(Sink):
    """Reports a histogram of how old rows were when they came."""

    @property
    def name(self) -> str:
        return "latencies"

    def writer(self, context: SinkContext) -> SinkWriter:
        return LatencyWriter(context.env.clock, context.report)


class LatencyWriter(SinkWriter):
    def __init__(self, clock: Clock, report: Callable[[bytes], Any]) -> None:
        self._clock = clock
        self._report = report
        self._histogram = np.zeros(STEPS, np.int64)
        self._first: int | None = None

    def write(self, batch: Batch) -> None:
        made = batch.columns.column("made_us").to_numpy()
        if self._first is None:
            self._first = int(made[0])
        warm = made[made >= self._first + WARM_UP_US]
        steps = np.clip((self._clock.wall() - warm) // STEP_US, 0, STEPS - 1)
        np.add.at(self._histogram, steps, 1)

    async def finish(self) -> None:
        answer = self._report(self._histogram.tobytes())
        if answer is not None:
            await answer


def latency(rows: int, parallelism: int) -> fj.Job:
    """100 k rows a second through one exchange."""
    job = fj.Job("latency")
    made = job.read(StampedRows(rows=rows, splits=parallelism, rate=RATE))
    job.write(made.rebalance(), LatencySink())
    return job


def percentiles(outcome: Outcome) -> dict[str, Any]:
    """p50 and p99 of the rows after the first second."""
    histogram = np.zeros(STEPS, np.int64)
    for _, message in outcome.reports:
        histogram += np.frombuffer(message, np.int64)
    up_to = np.cumsum(histogram)
    if not up_to[-1]:
        return {"p50_ms": None, "p99_ms": None}
    places = np.searchsorted(up_to, np.array([0.5, 0.99]) * up_to[-1])
    p50, p99 = (float(p) * STEP_US / 1000 for p in places)
    return {"p50_ms": p50, "p99_ms": p99}


AT_ONCE = Benchmark(
    "at_once", 500_000, latency, exchange={"flush_interval": 0.0}, figures=percentiles
)
BENCHMARKS = (
    Benchmark("latency_100k", 500_000, latency, figures=percentiles, variants={"flush_0": AT_ONCE}),
)
