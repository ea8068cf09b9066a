"""Runs one benchmark: a whole job in processes of its own, measured from outside.

Seconds count from the moment when all tasks run to the end of the job; starting is a benchmark of its own. Memory is
the sum over all processes, as sampled: pages that forked processes share are counted in each."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil

import flowjob as fj

SAMPLE_SECONDS = 0.2

Build = Callable[[int, int], fj.Job]
"""(rows, parallelism) -> job"""


@dataclass(frozen=True)
class Benchmark:
    """One job to measure.

    rows      how many rows go in, unless told otherwise
    build     (rows, parallelism) -> job
    exchange  settings of the data plane that differ from the defaults
    figures   more fields of the result, out of what its `show` sinks reported: (sink, message) pairs
    """

    name: str
    rows: int
    build: Build
    exchange: Mapping[str, Any] = field(default_factory=dict)
    figures: Callable[[list[tuple[str, bytes]]], dict[str, Any]] | None = None


def measure(benchmark: Benchmark, *, rows: int | None, parallelism: int) -> dict[str, Any]:
    """One run as the line to print."""
    count = rows if rows is not None else benchmark.rows
    reports: list[tuple[str, bytes]] = []
    job = benchmark.build(count, parallelism)
    with PeakMemory() as memory:
        result = job.run(
            parallelism=parallelism,
            run={"exchange": dict(benchmark.exchange)},
            on_report=lambda sink, message: reports.append((sink, message)),
        )
    seconds = result.seconds - result.phases["running"]
    line = {
        "name": benchmark.name,
        "rows": count,
        "seconds": round(seconds, 3),
        "rows_per_second": round(count / seconds),
        "parallelism": parallelism,
        "peak_rss_bytes": memory.peak,
        "start_seconds": round(result.phases["running"], 3),
        "busy_shares": busy_shares(result.metrics),
    }
    if benchmark.figures is not None:
        line |= benchmark.figures(reports)
    return line


def busy_shares(metrics: Mapping[Any, Mapping[str, Any]]) -> dict[str, float]:
    """Which share of its time each vertex was busy, by its first operator: where the time goes."""
    busy: dict[str, list[int]] = {}
    for task, values in sorted(metrics.items()):
        operators = values.get("operators") or [{"name": "?"}]
        total = busy.setdefault(f"{task[0]} {operators[0]['name']}", [0, 0])
        total[0] += values["busy_us"]
        total[1] += values["busy_us"] + values["idle_us"] + values["backpressured_us"]
    return {name: round(part / whole, 2) for name, (part, whole) in busy.items() if whole}


class PeakMemory:
    """The most resident memory of this process and all below it, while it is entered."""

    def __init__(self) -> None:
        self.peak = 0
        self._stop = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._sampler.join()

    def _sample(self) -> None:
        this = psutil.Process()
        while True:
            pids = [this.pid, *(p.pid for p in this.children(recursive=True))]
            self.peak = max(self.peak, sum(resident(pid) for pid in pids))
            if self._stop.wait(SAMPLE_SECONDS):
                return


def resident(pid: int) -> int:
    """Bytes of a process in memory; 0 when it has gone."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
