"""Nexmark queries over the generated auction, each in a process per subtask, results discarded.

Rows count events of all kinds, as its published figures do."""

from __future__ import annotations

import flowjob as fj
from bench.nexmark_queries import QUERIES, Auction, Query
from bench.runner import Benchmark

EVENTS_PER_SECOND = 1_000_000
"""Of event time: ten million events are one window of ten seconds."""


def benchmark(query: Query, events: int) -> Benchmark:
    """A query as a benchmark."""

    def build(rows: int, parallelism: int) -> fj.Job:  # noqa: ARG001 - a generator's splits are its own
        job = fj.Job(f"nexmark_{query.__name__}")
        job.write(query(Auction(job, events=rows, tps=EVENTS_PER_SECOND)), fj.discard())
        return job

    return Benchmark(f"nexmark_{query.__name__}", events, build)


BENCHMARKS = tuple(benchmark(query, 20_000_000) for query in QUERIES)
