"""Which edges barriers may overtake rows on: those whose rows can be given back at any parallelism."""

from __future__ import annotations

from datetime import timedelta

import pytest

import flowjob as fj
from flowjob.plan import compile_job
from flowjob.plan.job_graph import Exchange
from flowjob.runtime.exchange.overtaking import overtaken_as
from tests.plan.jobs.rows import flights


def hashed(stream: fj.Stream, job: fj.Job, parallelism: int) -> list[str | None]:
    """Under what rows are kept, of each edge that deals them by key."""
    job.write(stream, fj.discard())
    graph = compile_job(job, parallelism=parallelism)
    return [
        overtaken_as(edge, graph.vertex(edge.target).nodes[0])
        for edge in graph.edges
        if edge.partitioning.exchange is Exchange.HASH
    ]


@pytest.mark.parametrize("parallelism", [2, 3])
def test_rows_that_were_aggregated_before_they_were_sent_are_never_overtaken(
    parallelism: int,
) -> None:
    """Where nothing is parallel windows get other rows: these could not be given back."""
    job = fj.Job("windows")
    windows = flights(job).key_by("origin").window(fj.tumbling(timedelta(hours=1)))
    assert hashed(windows.agg(n=fj.count()), job, parallelism) == [None]


@pytest.mark.parametrize("parallelism", [2, 3])
def test_rows_that_are_sent_as_they_are_may_be_overtaken(parallelism: int) -> None:
    job = fj.Job("running")
    (uid,) = hashed(flights(job).key_by("origin").agg(n=fj.count()), job, parallelism)
    assert uid is not None
