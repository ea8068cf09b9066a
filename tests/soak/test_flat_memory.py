"""A stream at full speed through a slow sink: back-pressure bounds memory in every process.

Resident memory of each process is sampled. The first third of a run fills buffers, windows and allocators; from then
on nothing may grow, however much more data passes."""

from __future__ import annotations

import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psutil
import pytest

import flowjob as fj
from flowjob import nexmark
from flowjob.connectors.base import Sink, SinkContext, SinkWriter
from flowjob.runtime.batch import Batch
from flowjob.runtime.env import Clock
from flowjob.runtime.jobmanager.request import Enough

MB = 1 << 20
SAMPLE_SECONDS = 0.25
MOST = 500 * MB
"""No process needs more: budgets of the exchange, one batch per operator, the windows, and what is loaded."""

MOST_APART = 5_000_000
"""µs of event time between the subtasks of a source: a million rows, far more than may be on their way."""


@dataclass(frozen=True, kw_only=True)
class SlowSink(Sink):
    """Takes a while for each batch, and reports how many rows it has taken."""

    seconds: float
    title: str

    @property
    def name(self) -> str:
        return f"slow sink {self.title}"

    def writer(self, context: SinkContext) -> SinkWriter:
        return SlowWriter(self.seconds, context)


class SlowWriter(SinkWriter):
    def __init__(self, seconds: float, context: SinkContext) -> None:
        self._seconds = seconds
        self._report = context.report
        self._clock: Clock = context.env.clock

    def write(self, batch: Batch) -> Awaitable[None]:
        return self._take(len(batch))

    async def _take(self, rows: int) -> None:
        await self._clock.sleep(self._seconds)
        if (sent := self._report(rows.to_bytes(8, "little"))) is not None:
            await sent


class Text(fj.Schema):
    text: str


def program(seconds: float) -> fj.Job:
    """Text of every bid by a row function, windows and running totals of all of them, each into a slow sink."""
    job = fj.Job("soak")
    bids = job.read(nexmark.bids(tps=200_000))
    texts = bids.rebalance().map(lambda bid: Text(f"{bid.url} {bid.extra}"), returns=Text)
    job.write(texts, SlowSink(seconds=seconds, title="of texts"))
    windows = bids.key_by("bidder").window(fj.tumbling(timedelta(seconds=1)))
    job.write(
        windows.agg(bids=fj.count(), channels=fj.count_distinct("channel")),
        SlowSink(seconds=seconds, title="of windows"),
    )
    totals = bids.key_by(group=fj.col("auction") % 1000).agg(total=fj.sum("price"))
    job.write(totals, SlowSink(seconds=seconds, title="of totals"))
    return job


class Sampler:
    """Resident memory of all processes below this one, and what this one took more than before, until `stop`.

    What tests before this one left in the process they share is not the job's."""

    def __init__(self) -> None:
        self.samples: dict[psutil.Process, list[int]] = defaultdict(list)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        this = psutil.Process()
        before = this.memory_info().rss
        while not self._stop.wait(SAMPLE_SECONDS):
            self.samples[this].append(this.memory_info().rss - before)
            for process in this.children(recursive=True):
                try:
                    self.samples[process].append(process.memory_info().rss)
                except psutil.NoSuchProcess:
                    self.samples.pop(process, None)


@dataclass
class Passed:
    """Rows that the sinks took, by the second at which they said so."""

    began: float
    seconds: float
    rows: dict[int, int]

    def on_report(self, sink: str, message: bytes) -> None:
        at = time.monotonic() - self.began
        if at > self.seconds:
            raise Enough
        self.rows[int(at)] += int.from_bytes(message, "little")


def check_flat(samples: list[int], *, growth: int) -> None:
    """The last third needs no more than the middle one."""
    third = len(samples) // 3
    middle, last = samples[third : 2 * third], samples[2 * third :]
    shown = [round(s / MB, 1) for s in samples[:: max(1, len(samples) // 12)]]
    assert max(samples) < MOST, shown
    assert statistics.median(last) <= statistics.median(middle) + growth, shown
    assert max(last) <= max(middle) + 2 * growth, shown


@pytest.mark.usefixtures("scratch")
@pytest.mark.parametrize(
    ("seconds", "growth"),
    [
        # In so short a time allocators are still settling; what is not held back grows by that in a second.
        pytest.param(10, 32 * MB, marks=pytest.mark.soak),
        pytest.param(300, 12 * MB, marks=[pytest.mark.soak, pytest.mark.timeout(600)]),
    ],
)
def test_a_slow_sink_holds_a_fast_source_back_in_constant_memory(seconds: int, growth: int) -> None:
    passed = Passed(time.monotonic(), seconds, defaultdict(int))
    with Sampler() as sampler:
        result: Any = program(0.01).run(parallelism=2, on_report=passed.on_report)
    assert not result.complete
    flowing = [passed.rows[second] for second in range(seconds // 3, seconds)]
    assert sum(rows > 0 for rows in flowing) > 0.9 * len(flowing), "rows flow until the end"
    lasting = [s for s in sampler.samples.values() if len(s) > 0.5 * seconds / SAMPLE_SECONDS]
    assert len(lasting) >= 4, "this process, the TaskManager, and two slots"
    for samples in lasting:
        check_flat(samples, growth=growth)
    reached = [task["watermark"] for key, task in result.metrics.items() if key[0] == 0]
    assert max(reached) - min(reached) < MOST_APART, (
        "no source may run ahead: windows wait for the others"
    )
