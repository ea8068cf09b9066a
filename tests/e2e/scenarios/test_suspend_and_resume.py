"""The job is suspended for the night and goes on in the morning, or another job begins with what it had."""

from __future__ import annotations

from tests.e2e.harness.flowjobs import FlowJob, rows_in

RATE = 2_000
ROWS = rows_in(20, RATE)


def test_a_suspended_job_has_no_pods_and_goes_on_exactly(job: FlowJob) -> None:
    job.apply(rows=ROWS, rate=RATE)
    job.wait_running()
    job.wait_for_results()
    generation = job.change(job={"state": "Suspended"})
    job.wait_for("Suspended", generation=generation)
    assert job.condition("Ready")["reason"] == "Suspended"
    for component in ("jobmanager", "taskmanager"):
        job.space.wait(f"no {component} is left", lambda role=component: not job.pods(role))
    generation = job.change(job={"state": "Running"})
    job.wait_running(generation=generation)
    job.wait_until_verified(ROWS)


def test_another_job_goes_on_from_a_snapshot_of_the_first(job: FlowJob) -> None:
    job.apply(rows=ROWS, rate=RATE)
    job.wait_running()
    job.wait_for_results()
    generation = job.change(job={"state": "Suspended"})
    job.wait_for("Suspended", generation=generation)
    other = FlowJob(job.space, "other", job.bucket)
    other.apply(rows=ROWS, rate=RATE, job={"restoreFrom": {"job": job.name}})
    other.wait_until_verified(ROWS)
