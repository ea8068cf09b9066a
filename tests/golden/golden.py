"""What a golden job is, and the list of all of them.

A job is golden when its result is known: what an undisturbed run gives, a row at a time. It must not know how jobs are
disturbed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flowjob as fj

Build = Callable[[Path], fj.Job]
"""Makes the job anew; what it reads and writes is in the directory."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Golden:
    """A job, and what is right about its result.

    prepare   puts into the directory what the job reads
    written   rows of what it writes there itself, by a name of one's choice
    last      of these sinks only the last row per value of these columns is certain: the ones before came as time went
    order     of these sinks, rows with the same values of these columns are in one order
    timeless  of these sinks the timestamps of rows depend on which of two rows comes first
    bags      of these sinks lists hold their values in any order
    batch     rows that are read at a time; None: as the mode says
    pace      so much slower than others it reads, having little to read
    clocked   its result depends on when rows come: `check` alone says what is right, given the outputs
    """

    name: str
    build: Build
    prepare: Callable[[Path], object] = lambda directory: None
    written: Callable[[Path], dict[str, list[Row]]] = lambda directory: {}
    last: dict[str, tuple[str, ...]] = field(default_factory=dict)
    order: dict[str, tuple[str, ...]] = field(default_factory=dict)
    bury: Callable[[Path], object] = lambda directory: None
    check: Callable[[dict[str, list[Row]]], object] | None = None
    timeless: frozenset[str] = frozenset()
    bags: frozenset[str] = frozenset()
    batch: int | None = None
    pace: float = 1.0
    clocked: bool = False


def golden_jobs() -> dict[str, Golden]:
    """All of them, by name."""
    from tests.golden.jobs import columns, connectors, functions, given, nexmark, windows

    parts: Iterable[Any] = (columns, functions, windows, connectors, nexmark, given)
    found = [job for part in parts for job in part.JOBS]
    jobs = {job.name: job for job in found}
    assert len(jobs) == len(found), "two jobs of one name"
    return jobs


class Which(fj.Args):
    """Names a job for the processes of a cluster."""

    name: str
    directory: str
    pause: float
    slow: float


def build(which: Which) -> fj.Job:
    """The job as it is disturbed: reading and writing as slowly as it is told, to the cluster's ledger."""
    from tests.golden.paces import paced
    from tests.golden.sinks import with_ledger

    job = golden_jobs()[which.name].build(Path(which.directory))
    return with_ledger(paced(job, which.pause), which.slow)
