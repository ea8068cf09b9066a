"""What passing rows between processes costs: every row leaves its process, and is dropped in another.

`exchange_64` sends batches of 64 rows, as a stream at moderate load does; `exchange_full` full ones."""

from __future__ import annotations

from typing import Any

import flowjob as fj
from bench.runner import Benchmark, Outcome
from bench.sources import keyed_rows, repeated_rows

SINKS = 1
"""The vertex of the sinks."""


def dealt(rows: int, parallelism: int) -> fj.Job:
    """Two columns of eight bytes, batches dealt to all processes."""
    job = fj.Job("exchange")
    crossed = job.read(keyed_rows(rows, parallelism, keys=10_000)).select("key", "value")
    job.write(crossed.rebalance(), fj.discard())
    return job


def from_one(rows: int, parallelism: int) -> fj.Job:  # noqa: ARG001 - the source is in one process
    """Two columns of eight bytes from one process to every other: what stays is passed by reference."""
    job = fj.Job("exchange")
    made = job.read(repeated_rows(rows)).parallelism(1).select("key", "value")
    job.write(made.parallelism(1).broadcast(), fj.discard())
    return job


def over_sockets(outcome: Outcome) -> dict[str, Any]:
    """What reached the sinks in other processes than the source's."""
    crossed = sum(
        values["bytes_in"]
        for (vertex, subtask), values in outcome.metrics.items()
        if vertex == SINKS and subtask > 0
    )
    return {"socket_gb_per_second": round(crossed / outcome.seconds / 1e9, 2)}


BENCHMARKS = (
    Benchmark("exchange_64", 10_000_000, dealt, exchange={"batch_rows": 64}),
    Benchmark("exchange_full", 400_000_000, from_one, figures=over_sockets),
)
