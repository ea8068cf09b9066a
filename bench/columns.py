"""Columnar work: no Python per row anywhere. Sources generate columns, so what is measured is the engine.

`projection` has no exchange; the windows and sessions are keyed, so every row crosses to the process of its key."""

from __future__ import annotations

from datetime import timedelta

import flowjob as fj
from bench.runner import Benchmark, Build
from bench.sources import TEN_SECONDS, keyed_rows


def projection(rows: int, parallelism: int) -> fj.Job:
    """Filter and project by expressions, source to discard."""
    job = fj.Job("projection")
    kept = job.read(keyed_rows(rows, parallelism, keys=10_000)).filter(fj.col("value") % 2 == 0)
    job.write(
        kept.select("key", twice=fj.col("value") * 2, ratio=fj.col("value") / 7.0), fj.discard()
    )
    return job


def windows(keys: int, text: bool = False) -> Build:
    """Count and maximum per key in tumbling windows of ten seconds, of a million rows each."""

    def build(rows: int, parallelism: int) -> fj.Job:
        job = fj.Job("windows")
        counted = (
            job.read(keyed_rows(rows, parallelism, keys=keys, text=text, timed=True))
            .key_by("key")
            .window(fj.tumbling(TEN_SECONDS))
            .agg(rows=fj.count(), most=fj.max("value"))
        )
        job.write(counted, fj.discard())
        return job

    return build


def sessions(rows: int, parallelism: int) -> fj.Job:
    """Count per session: 10 k keys, each ten times a second on average, so that one row in fifty ends a session."""
    job = fj.Job("sessions")
    counted = (
        job.read(keyed_rows(rows, parallelism, keys=10_000, timed=True))
        .key_by("key")
        .window(fj.session(gap=timedelta(milliseconds=400)))
        .agg(rows=fj.count(), most=fj.max("value"))
    )
    job.write(counted, fj.discard())
    return job


BENCHMARKS = (
    Benchmark("projection", 100_000_000, projection),
    Benchmark("window_10k", 40_000_000, windows(10_000)),
    Benchmark("window_2m", 20_000_000, windows(2_000_000)),
    Benchmark("session_10k", 10_000_000, sessions),
    Benchmark("string_keys_100k", 20_000_000, windows(100_000, text=True)),
)
