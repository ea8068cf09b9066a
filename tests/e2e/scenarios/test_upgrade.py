"""The spec is edited while the job runs: it goes on with a savepoint or its last state, and every count is exact."""

from __future__ import annotations

import pytest

from tests.e2e.harness import verified
from tests.e2e.harness.figures import longest_gap, record
from tests.e2e.harness.flowjobs import FlowJob, rows_in
from tests.e2e.harness.plain import SCRIPT

RATE = 500
ROWS = rows_in(60, RATE)


@pytest.mark.parametrize("mode", [pytest.param("Savepoint", marks=pytest.mark.core), "LastState"])
def test_an_argument_changes_and_every_row_still_counts_once(job: FlowJob, mode: str) -> None:
    job.apply(rows=ROWS, rate=RATE, upgrade={"mode": mode})
    job.wait_running()
    job.wait_for_results()
    generation = job.change(job={"args": {"retained": 3}})
    job.wait_running(generation=generation)
    assert job.status["revisions"]["current"] == 2
    job.wait_until_verified(ROWS)
    record(f"{mode} upgrade: without output", longest_gap(job.bucket))


def test_without_state_it_begins_again_and_its_results_are_whole(job: FlowJob) -> None:
    job.apply(rows=ROWS, rate=RATE, upgrade={"mode": "Stateless"})
    job.wait_running()
    job.wait_for_results()
    second = f"{job.bucket.url}/second"
    generation = job.change(job={"args": {"out": second}})
    job.wait_running(generation=generation)
    job.wait_for("Finished", within=300)
    assert verified.what_is_wrong(job.bucket, ROWS, results="second") == []


def test_a_program_that_cannot_read_the_state_is_refused_before_anything_stops(
    job: FlowJob,
) -> None:
    job.apply(rows=ROWS, rate=RATE)
    job.wait_running()
    job.wait_for_results()
    text = SCRIPT.read_text()
    other = text.replace("sums = fj.map_state(datetime, int)", "sums = fj.value_state(str)")
    assert other != text
    generation = job.change(job={"script": other})
    job.wait_until(
        "the change is refused",
        lambda: (
            job.condition("Stalled")["status"] == "True"
            and job.status["observedGeneration"] >= generation
        ),
    )
    assert "sums" in job.condition("Stalled")["message"]
    assert job.status["revisions"]["current"] == 1
    assert job.status["job"]["restarts"] == 0
    job.wait_until_verified(ROWS)


def test_an_image_that_is_not_there_changes_nothing_until_a_good_one_comes(job: FlowJob) -> None:
    job.apply(rows=2 * ROWS, rate=RATE)
    job.wait_running()
    pods = job.pods("jobmanager") + job.pods("taskmanager")
    generation = job.change(
        image="localhost/flowjob-worker:does-not-exist", upgrade={"preflightTimeout": "15s"}
    )
    job.wait_until(
        "the change is refused",
        lambda: (
            job.condition("Progressing")["reason"] == "PreflightFailed"
            and job.status["observedGeneration"] >= generation
        ),
    )
    assert "does-not-exist" in job.status["diagnosis"]
    assert job.phase == "Running"
    assert job.pods("jobmanager") + job.pods("taskmanager") == pods
    job.wait_for_results()
    generation = job.change(
        image=None, upgrade={"preflightTimeout": None}, job={"args": {"retained": 3}}
    )
    job.wait_running(generation=generation)
    job.wait_until_verified(2 * ROWS)
