"""The job is suspended for the night and goes on in the morning, or another job begins with what it had."""

from __future__ import annotations

from tests.e2e.harness.flowjobs import FlowJob, rows_in
from tests.e2e.harness.tools import Object

RATE = 500
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


def test_other_jobs_go_on_from_what_the_one_before_had(job: FlowJob) -> None:
    """By the job's name, by that of a snapshot, and by where a snapshot lies."""
    rows = 2 * ROWS
    job.apply(rows=rows, rate=RATE)
    suspended_after_some_results(job)
    second = FlowJob(job.space, "second", job.bucket)
    second.apply(rows=rows, rate=RATE, job={"restoreFrom": {"job": job.name}})
    snapshot = suspended_after_some_results(second)
    third = FlowJob(job.space, "third", job.bucket)
    third.apply(
        rows=rows, rate=RATE, job={"restoreFrom": {"snapshot": snapshot["metadata"]["name"]}}
    )
    snapshot = suspended_after_some_results(third)
    fourth = FlowJob(job.space, "fourth", job.bucket)
    fourth.apply(rows=rows, rate=RATE, job={"restoreFrom": {"path": snapshot["status"]["path"]}})
    fourth.wait_until_verified(rows, runs=4)


def suspended_after_some_results(job: FlowJob) -> Object:
    """The snapshot it was stopped with."""
    job.wait_running()
    job.wait_for_results()
    job.wait_for("Suspended", generation=job.change(job={"state": "Suspended"}))

    def its_snapshot() -> Object | None:
        for each in job.space.list("flowsnapshots"):
            completed = (each.get("status") or {}).get("phase") == "Completed"
            if completed and each["spec"]["jobRef"]["name"] == job.name:
                return each
        return None

    return job.space.wait(f"there is the snapshot {job.name} stopped with", its_snapshot)
