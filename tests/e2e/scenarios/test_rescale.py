"""kubectl scale, up and down while rows come: the JobManager stays, and every count is exact."""

from __future__ import annotations

import pytest

from tests.e2e.harness.figures import longest_gap, record
from tests.e2e.harness.flowjobs import FlowJob, rows_in

RATE = 500
ROWS = rows_in(90, RATE)


@pytest.mark.core
def test_one_then_four_then_two(job: FlowJob) -> None:
    job.apply(rows=ROWS, rate=RATE, job={"parallelism": 1})
    job.wait_running()
    (jobmanager,) = job.pods("jobmanager")
    for parallelism in (4, 2):
        job.wait_for_results()
        job.space.kubectl("scale", f"flowjob/{job.name}", f"--replicas={parallelism}")
        job.wait_until(
            f"{parallelism} subtasks run",
            lambda wanted=parallelism: (
                job.status.get("parallelism") == wanted
                and job.phase == "Running"
                and len(job.pods("taskmanager")) == wanted
            ),
            within=180,
        )
    assert job.pods("jobmanager") == [jobmanager]
    job.wait_until_verified(ROWS)
    record("rescale 1, 4, 2: without output", longest_gap(job.bucket))
