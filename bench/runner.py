"""Runs one benchmark: a whole job in processes of its own, measured from outside.

Seconds count from the moment when all tasks run to the end of the job; starting is a benchmark of its own. Memory is
the sum over all processes, as sampled: pages that forked processes share are counted in each. Processor time is that of
the slots, without their start: it stays comparable on a machine that does other work too."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flowjob as fj

SAMPLE_SECONDS = 0.02

ZYGOTE_DEPTH = 2
"""Below this process: the TaskManager, its zygote, the slots that this one forks."""

Build = Callable[[int, int], fj.Job]
"""(rows, parallelism) -> job"""


@dataclass(frozen=True)
class Outcome:
    """What a job left behind.

    seconds  from the moment when all tasks run to the end
    reports  what its sinks reported: (sink, message) pairs
    metrics  (vertex, subtask) -> the counters of the task
    """

    seconds: float
    reports: list[tuple[str, bytes]]
    metrics: Mapping[Any, Mapping[str, Any]]


@dataclass(frozen=True)
class Benchmark:
    """One job to measure.

    rows      how many rows go in, unless told otherwise
    build     (rows, parallelism) -> job
    exchange  settings of the data plane that differ from the defaults
    figures   more fields of the result
    variants  the same work otherwise, measured too: their figures are in the same line, with a suffix
    """

    name: str
    rows: int
    build: Build
    exchange: Mapping[str, Any] = field(default_factory=dict)
    figures: Callable[[Outcome], dict[str, Any]] | None = None
    variants: Mapping[str, Benchmark] = field(default_factory=dict)


def measure(benchmark: Benchmark, *, rows: int | None, parallelism: int) -> dict[str, Any]:
    """One run as the line to print."""
    count = rows if rows is not None else benchmark.rows
    reports: list[tuple[str, bytes]] = []
    job = benchmark.build(count, parallelism)
    with Usage() as usage:
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
        "rows_per_cpu_second": round(count / usage.slot_seconds) if usage.slot_seconds else None,
        "peak_rss_bytes": usage.peak_bytes,
        "start_seconds": round(result.phases["running"], 3),
        "busy_shares": busy_shares(result.metrics),
    }
    if benchmark.figures is not None:
        line |= benchmark.figures(Outcome(seconds, reports, result.metrics))
    for suffix, variant in benchmark.variants.items():
        other = measure(variant, rows=rows, parallelism=parallelism)
        wanted = {"rows_per_second", "rows_per_cpu_second", *(other.keys() - PLAIN)}
        line |= {f"{name}_{suffix}": value for name, value in other.items() if name in wanted}
    return line


PLAIN = {
    *("name", "rows", "seconds", "start_seconds", "rows_per_second", "rows_per_cpu_second"),
    *("parallelism", "peak_rss_bytes", "busy_shares"),
}
"""Fields of every line."""


def busy_shares(metrics: Mapping[Any, Mapping[str, Any]]) -> dict[str, float]:
    """Which share of its time each vertex was busy, by its first operator: where the time goes."""
    busy: dict[str, list[int]] = {}
    for task, values in sorted(metrics.items()):
        operators = values.get("operators") or [{"name": "?"}]
        total = busy.setdefault(f"{task[0]} {operators[0]['name']}", [0, 0])
        total[0] += values["busy_us"]
        total[1] += values["busy_us"] + values["idle_us"] + values["backpressured_us"]
    return {name: round(part / whole, 2) for name, (part, whole) in busy.items() if whole}


class Usage:
    """What this process and all below it use while it is entered.

    peak_bytes    the most resident memory
    slot_seconds  processor time of all slots
    """

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._seconds: dict[int, tuple[float, float]] = {}
        self._stop = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    @property
    def slot_seconds(self) -> float:
        return sum(last - first for first, last in self._seconds.values())

    def __enter__(self) -> Usage:
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._sampler.join()

    def _sample(self) -> None:
        this = os.getpid()
        while not self._stop.wait(SAMPLE_SECONDS):
            generations = [[this]]
            while generations[-1]:
                generations.append([c for pid in generations[-1] for c in children(pid)])
            self.peak_bytes = max(self.peak_bytes, sum(resident(p) for g in generations for p in g))
            for slot in (p for g in generations[ZYGOTE_DEPTH + 1 :] for p in g):
                seconds = cpu_seconds(slot)
                first, last = self._seconds.get(slot, (seconds, seconds))
                self._seconds[slot] = first, max(last, seconds)


def children(pid: int) -> list[int]:
    """Processes that `pid` started, from any of its threads."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        found = [Path(f"/proc/{pid}/task/{task}/children").read_text() for task in tasks]
    except OSError:
        return []
    return [int(child) for line in found for child in line.split()]


def cpu_seconds(pid: int) -> float:
    """Processor time of a process; 0 when it has gone."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Bytes of a process in memory; 0 when it has gone."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
