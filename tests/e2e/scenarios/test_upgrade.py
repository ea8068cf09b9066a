"""The spec is edited while the job runs: it goes on with a savepoint or its last state, and every count is exact."""

from __future__ import annotations

import pytest

from tests.e2e.harness.figures import longest_gap, record
from tests.e2e.harness.flowjobs import FlowJob, rows_in

RATE = 2_000
ROWS = rows_in(30, RATE)


@pytest.mark.parametrize("mode", ["Savepoint", "LastState"])
def test_an_argument_changes_and_every_row_still_counts_once(job: FlowJob, mode: str) -> None:
    job.apply(rows=ROWS, rate=RATE, upgrade={"mode": mode})
    job.wait_running()
    job.wait_for_results()
    generation = job.change(job={"args": {"retained": 3}})
    job.wait_running(generation=generation)
    assert job.status["revisions"]["current"] == 2
    job.wait_until_verified(ROWS)
    record(f"{mode} upgrade: without output", longest_gap(job.bucket))


def test_an_image_that_is_not_there_changes_nothing_until_a_good_one_comes(job: FlowJob) -> None:
    job.apply(rows=ROWS, rate=RATE, upgrade={"preflightTimeout": "30s"})
    job.wait_running()
    generation = job.change(image="localhost/flowjob-worker:does-not-exist")
    job.space.wait(
        "the change is refused",
        lambda: (
            job.condition("Progressing")["reason"] == "PreflightFailed"
            and job.status["observedGeneration"] >= generation
        ),
        within=120,
    )
    assert job.phase == "Running"
    job.wait_for_results()
    generation = job.change(image=None, job={"args": {"retained": 3}})
    job.wait_running(generation=generation)
    job.wait_until_verified(ROWS)
