"""What checkpoints cost while they are taken, and how long a job stands still when it must go back to one.

Every run has a directory of its own for its checkpoints, on local disk. The sinks here report what they see with
wall-clock times of this machine; a killed process is killed from here, as an accident would."""

from __future__ import annotations

import json
import os
import resource
import signal
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import fmean, median, pstdev
from typing import Any

import flowjob as fj
from bench.columns import windows
from bench.failover import seconds_without
from bench.runner import ZYGOTE_DEPTH, children
from bench.sources import Pace, StampedRows, keyed_rows
from flowjob.checkpointing import Checkpoints
from flowjob.connectors.base import Sink, SinkContext, SinkWriter
from flowjob.runtime.batch import Batch
from flowjob.runtime.env import Clock
from flowjob.runtime.jobmanager.request import Enough

SECOND = timedelta(seconds=1)
OFTEN = timedelta(seconds=0.2)
TRIES = 3
TURNS = 12
BEAT = struct.Struct("<qqq")
"""(process id, wall µs of the first row behind a gap, the gap in µs)"""

GAP_US = 5_000
"""Shorter pauses between two batches are not worth a report."""

AROUND = 400_000
"""µs around the begin of a checkpoint that its pause is looked for in."""

RECOVERY_RATE = 100_000
RECOVERY_INTERVAL = timedelta(milliseconds=500)
BEFORE_KILL = 3.0


@dataclass(frozen=True, kw_only=True)
class Beats(Sink):
    """Reports every pause between two batches, and at least one beat in `every` µs."""

    every: int = 1_000_000

    @property
    def name(self) -> str:
        return "beats"

    @property
    def keeps_state(self) -> bool:
        return False

    def writer(self, context: SinkContext) -> SinkWriter:
        return BeatWriter(self.every, context.env.clock, context.report)


class BeatWriter(SinkWriter):
    def __init__(self, every: int, clock: Clock, report: Callable[[bytes], Any]) -> None:
        self._every = every
        self._clock = clock
        self._report = report
        self._last: int | None = None
        self._told = 0

    def write(self, batch: Batch) -> Any:
        now = self._clock.wall()
        gap = 0 if self._last is None else now - self._last
        self._last = now
        if gap < GAP_US and now - self._told < self._every:
            return None
        self._told = now
        return self._report(BEAT.pack(os.getpid(), now, gap))


@contextmanager
def checkpoints(interval: timedelta, **settings: Any) -> Iterator[tuple[Checkpoints, Path]]:
    """Settings, and the directory they are kept in."""
    with tempfile.TemporaryDirectory(prefix="flowjob-bench-") as directory:
        yield Checkpoints(location=directory, interval=interval, **settings), Path(directory)


def overhead(rows: int | None, parallelism: int) -> dict[str, Any]:
    """Throughput of `window_2m` with a checkpoint every second over that without: of all runs together, the first of
    three now with and now without them, for machines become slower and faster within a minute. Beside it the same of
    CPU seconds, which other programs change less, and how far runs side by side are apart (standard deviation).

    The third runs have one every 0.2 s: what five cost is told apart from what the machine does, and one is that much
    of a second (`checkpoint_ms`, and `checkpoint_cpu_ms` of all cores)."""
    count = rows or 40_000_000
    intervals = (None, SECOND, OFTEN)
    turns = [_costs(count, parallelism, intervals[:: -1 if t % 2 else 1]) for t in range(TURNS)]
    bare, taken, often = ([turn[interval] for turn in turns] for interval in intervals)
    share = 1 - _mean(bare).seconds / _mean(often).seconds
    cpu = (_mean(often).cpu - _mean(bare).cpu) / _mean(often).seconds
    return {
        "name": "checkpoint_overhead",
        "rows": count,
        "seconds": round(median(cost.seconds for cost in taken), 3),
        "seconds_without": round(median(cost.seconds for cost in bare), 3),
        "parallelism": parallelism,
        "ratio": round(_mean(bare).seconds / _mean(taken).seconds, 3),
        "cpu_ratio": round(_mean(bare).cpu / _mean(taken).cpu, 3),
        "spread": round(pstdev(b.seconds / t.seconds for b, t in zip(bare, taken)), 3),
        "checkpoint_ms": round(share * OFTEN.total_seconds() * 1e3, 1),
        "checkpoint_cpu_ms": round(cpu * OFTEN.total_seconds() * 1e3, 1),
    }


@dataclass(frozen=True)
class _Cost:
    seconds: float
    cpu: float
    """Seconds of all processes but this one."""


def _mean(costs: list[_Cost]) -> _Cost:
    return _Cost(fmean(c.seconds for c in costs), fmean(c.cpu for c in costs))


def _costs(
    rows: int, parallelism: int, intervals: Sequence[timedelta | None]
) -> dict[timedelta | None, _Cost]:
    return {interval: _cost(rows, parallelism, interval) for interval in intervals}


def _cost(rows: int, parallelism: int, interval: timedelta | None) -> _Cost:
    with checkpoints(interval or SECOND) as (settings, _):
        before = _cpu_of_children()
        result = windows(2_000_000)(rows, parallelism).run(
            parallelism=parallelism, checkpoints=settings if interval else False
        )
    return _Cost(result.seconds - result.phases["running"], _cpu_of_children() - before)


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def stall(rows: int | None, parallelism: int) -> dict[str, Any]:
    """The pause of a stream of a million rows a second through windows of 1 GB of state, as each checkpoint begins;
    beside it the same of moments without one, for there are machines that pause by themselves."""
    count = rows or 90_000_000
    job = fj.Job("stall")
    filled = Pace(behind=count * 2 // 3, rate=1_000_000)
    made = job.read(keyed_rows(count, parallelism, keys=count * 2 // 9, timed=True, pace=filled))
    kept = made.key_by("key").window(fj.tumbling(timedelta(days=1)))
    job.write(kept.agg(rows=fj.count(), most=fj.max("value")), fj.discard())
    job.write(made.rebalance().select("value"), Beats())
    beats: list[tuple[int, int, int]] = []
    with checkpoints(timedelta(seconds=2), retained=100) as (settings, directory):
        job.run(
            parallelism=parallelism,
            checkpoints=settings,
            on_report=lambda _, message: beats.append(BEAT.unpack(message)),
        )
        taken = [_taken(m) for m in directory.glob("*/checkpoints/**/manifest.json")]
    full = [t for t in taken if t.bytes > 0.9 * max(t.bytes for t in taken)]
    pauses = [_longest(beats, t.began) for t in full]
    others = [_longest(beats, t.began + (1 + i) * AROUND) for t in full for i in range(3)]
    return {
        "name": "checkpoint_stall_1gb",
        "rows": count,
        "parallelism": parallelism,
        "checkpoints": len(full),
        "stall_ms": median(pauses) / 1000,
        "worst_ms": max(pauses) / 1000,
        "otherwise_ms": median(others) / 1000,
        "otherwise_worst_ms": max(others) / 1000,
        "sync_ms": median(t.sync_ms for t in full),
        "async_ms": median(t.async_ms for t in full),
        "bytes": max(t.bytes for t in full),
    }


@dataclass(frozen=True)
class _Taken:
    """Of a checkpoint: when it began, wall µs, and its figures, the largest of any task."""

    began: int
    sync_ms: float
    async_ms: float
    bytes: int


def _taken(manifest: Path) -> _Taken:
    written = json.loads(manifest.read_text())
    figures = [task["figures"] for task in written["tasks"] if "figures" in task]

    def most(name: str) -> float:
        return max(float(f.get(name, 0.0)) for f in figures)

    took = max(f.get("sync_ms", 0.0) + f.get("async_ms", 0.0) for f in figures)
    total = sum(f.get("bytes", 0) for f in figures)
    began = written["created"] - int(took * 1000)
    return _Taken(began, most("sync_ms"), most("async_ms"), total)


def _longest(beats: list[tuple[int, int, int]], began: int) -> int:
    """The longest pause, in µs, that overlaps the moments around `began`."""
    early, late = began - AROUND // 4, began + AROUND * 3 // 4
    return max((gap for _, at, gap in beats if at > early and at - gap < late), default=0)


def recovery(_: int | None, parallelism: int) -> dict[str, Any]:
    """From the SIGKILL of a process to the first row out of one that has taken its place."""
    return {
        "name": "recovery",
        "rows": RECOVERY_RATE,
        "parallelism": parallelism,
        "slot_s": _after_kill(parallelism, depth=ZYGOTE_DEPTH + 1),
        "taskmanager_s": _after_kill(parallelism, depth=1),
        "jobmanager_s": _without_jobmanager(parallelism, standby=False),
        "standby_s": _without_jobmanager(parallelism, standby=True),
    }


def _without_jobmanager(parallelism: int, *, standby: bool) -> float:
    """To the first checkpoint that the next one commits."""
    tries = [seconds_without(parallelism, RECOVERY_RATE, standby=standby) for _ in range(TRIES)]
    return round(median(tries), 3)


def _after_kill(parallelism: int, *, depth: int) -> float:
    tries = sorted(_one_kill(parallelism, depth) for _ in range(TRIES))
    return round(tries[len(tries) // 2], 3)


def _one_kill(parallelism: int, depth: int) -> float:
    """`depth`: how far below this process the one is that dies."""
    job = fj.Job("recovery")
    made = job.read(StampedRows(rows=10**9, splits=parallelism, rate=RECOVERY_RATE))
    totals = made.key_by(key=fj.col("made_us") % 1000).agg(rows=fj.count())
    job.write(totals, Beats(every=1000))
    seen: set[int] = set()
    killed: list[int] = []
    took: list[float] = []

    def kill() -> None:
        time.sleep(BEFORE_KILL)
        generation = [os.getpid()]
        for _ in range(depth):
            generation = [c for pid in generation for c in children(pid)]
        killed.append(time.time_ns() // 1000)
        os.kill(generation[0], signal.SIGKILL)

    def on_report(_: str, message: bytes) -> None:
        pid, at, _ = BEAT.unpack(message)
        if not seen:
            accident.start()
        if not killed:
            seen.add(pid)
        elif pid not in seen:
            took.append((at - killed[0]) / 1e6)
            raise Enough

    accident = threading.Thread(target=kill, daemon=True)
    with checkpoints(RECOVERY_INTERVAL) as (settings, _):
        job.run(parallelism=parallelism, checkpoints=settings, on_report=on_report)
        accident.join()
    return took[0]


BENCHMARKS = {
    "checkpoint_overhead": overhead,
    "checkpoint_stall_1gb": stall,
    "recovery": recovery,
}
