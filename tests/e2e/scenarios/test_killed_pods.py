"""Pods are deleted, one sort after the other and all at once, and nobody does anything about it."""

from __future__ import annotations

import pytest

from tests.e2e.harness.figures import longest_gap, record
from tests.e2e.harness.flowjobs import FlowJob, rows_in

RATE = 2_000
ROWS = rows_in(30, RATE)


@pytest.mark.parametrize("component", ["taskmanager", "jobmanager"])
def test_results_go_on_and_are_exact(job: FlowJob, component: str) -> None:
    job.apply(rows=ROWS, rate=RATE)
    job.wait_running()
    job.wait_for_results()
    job.kill(component)
    job.wait_for_results()
    job.wait_until_verified(ROWS)
    record(f"all pods {component} killed: without output", longest_gap(job.bucket))


def test_everything_of_the_job_is_killed_again_and_again(job: FlowJob) -> None:
    job.apply(rows=ROWS, rate=RATE)
    job.wait_running()
    for _ in range(3):
        job.wait_for_results()
        for component in ("jobmanager", "taskmanager"):
            job.kill(component)
    job.wait_until_verified(ROWS)


def test_what_was_deleted_of_a_job_comes_back(job: FlowJob) -> None:
    job.apply(rows=ROWS, rate=RATE)
    job.wait_running()
    job.space.delete("statefulset", f"{job.name}-tm")
    job.space.delete("service", f"{job.name}-jm")
    for deployment in job.space.list("deployments", f"flowjob.dev/job={job.name}"):
        job.space.delete("deployment", deployment["metadata"]["name"])
    job.wait_until_verified(ROWS)
