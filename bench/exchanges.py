"""What passing rows between processes costs: every row leaves its process, and is dropped in another.

`exchange_64` sends batches of 64 rows, as a stream at moderate load does; `exchange_full` full ones."""

from __future__ import annotations

import flowjob as fj
from bench.runner import Benchmark
from bench.sources import keyed_rows


def exchange(rows: int, parallelism: int) -> fj.Job:
    """Two columns of eight bytes to another process and away."""
    job = fj.Job("exchange")
    crossed = job.read(keyed_rows(rows, parallelism, keys=10_000)).select("key", "value")
    job.write(crossed.rebalance(), fj.discard())
    return job


BENCHMARKS = (
    Benchmark("exchange_64", 10_000_000, exchange, exchange={"batch_rows": 64}),
    Benchmark("exchange_full", 100_000_000, exchange),
)
