"""All benchmarks by name, in the order in which they are run.

Groups live in a module each; a new one is added here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench import checkpoints, columns, exchanges, latency, nexmark, row_functions, savepoints
from bench.observing import observing_cost
from bench.runner import measure
from bench.service_load.measuring import Load
from bench.service_load.measuring import measure as measure_service
from bench.startup import startup

Run = Callable[[int | None, int], dict[str, Any]]
"""(rows or None for the default, parallelism) -> the line to print"""


def all_benchmarks() -> dict[str, Run]:
    """What `python -m bench` knows."""
    groups = (columns, row_functions, exchanges, latency, nexmark)
    jobs = [b for group in groups for b in group.BENCHMARKS]
    runs: dict[str, Run] = {
        b.name: lambda rows, parallelism, b=b: measure(b, rows=rows, parallelism=parallelism)
        for b in jobs
    }
    runs |= checkpoints.BENCHMARKS | savepoints.BENCHMARKS
    runs["observing_cost"] = observing_cost
    runs["startup"] = lambda _, parallelism: startup(parallelism)
    return runs | {"api_load": lambda *_: measure_service(Load())}
