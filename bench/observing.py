"""What it costs that a job is watched: the same work with and without figures, markers, histories and a page that asks.

Pairs in turn, so that both meet the same neighbours; processor time, because that is what watching takes from a job."""

from __future__ import annotations

import dataclasses
import os
import statistics
from typing import Any

import msgspec

from bench.columns import BENCHMARKS as COLUMNS
from bench.row_functions import BENCHMARKS as ROW_FUNCTIONS
from bench.runner import Benchmark, Usage
from flowjob.cluster.job_details import LiveJob, MetricsQuery
from flowjob.runtime import minicluster
from flowjob.runtime.jobmanager.request import JobRequest

PAIRS = 3
NEVER = 3600.0
"""Seconds between two reports of a slot that nobody wants."""

_ALL = {b.name: b for b in (*COLUMNS, *ROW_FUNCTIONS)}
WORK = (_ALL["window_2m"], _ALL["python_map_filter"])


async def looks(live: LiveJob) -> None:
    """As a page that is open: the graph with all subtasks, the series, the job, each second."""
    details, after = live.details, 0
    while (await details.job()).view.state not in ("Finished", "Failed", "Cancelled"):
        await details.graph(subtasks=True)
        await details.metrics(MetricsQuery(vertex=-1))
        changes = await details.changes(after=after, wait=1.0)
        after = changes.next


def spent(
    benchmark: Benchmark, rows: int, parallelism: int, *, watched: bool
) -> tuple[float, float]:
    """Seconds of processor time of all slots, and of the JobManager."""
    job = benchmark.build(rows, parallelism)
    plain = minicluster.job_request

    def unwatched(*arguments: Any) -> JobRequest:
        request = plain(*arguments)
        described = msgspec.structs.replace(request.job, metrics_interval=NEVER)
        return dataclasses.replace(request, job=described)

    own = _own()
    with Usage() as usage:
        if watched:
            minicluster.run_local(job, parallelism=parallelism, serve=looks)
        else:
            minicluster.job_request = unwatched
            try:
                minicluster.run_local(job, parallelism=parallelism, run={"latency_interval": 0.0})
            finally:
                minicluster.job_request = plain
    return usage.slot_seconds, _own() - own


def _own() -> float:
    times = os.times()
    return times.user + times.system


def observing_cost(rows: int | None, parallelism: int) -> dict[str, Any]:
    """Medians; `cost` is how much more the slots take when they are watched, as a share."""
    line: dict[str, Any] = {"name": "observing_cost", "parallelism": parallelism, "pairs": PAIRS}
    for benchmark in WORK:
        count = rows if rows is not None else benchmark.rows
        found: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
        for _ in range(PAIRS):
            for watched in (False, True):
                found[watched].append(spent(benchmark, count, parallelism, watched=watched))
        slots = {w: statistics.median(s for s, _ in each) for w, each in found.items()}
        own = {w: statistics.median(o for _, o in each) for w, each in found.items()}
        line |= {
            f"{benchmark.name}_slot_seconds": round(slots[False], 3),
            f"{benchmark.name}_slot_seconds_watched": round(slots[True], 3),
            f"{benchmark.name}_cost": round(slots[True] / slots[False] - 1, 3),
            f"{benchmark.name}_jobmanager_seconds": round(own[False], 3),
            f"{benchmark.name}_jobmanager_seconds_watched": round(own[True], 3),
        }
    return line
