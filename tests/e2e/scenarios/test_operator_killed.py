"""The operator dies in the middle of what it does, again and again, and is upgraded while jobs run."""

from __future__ import annotations

import time

from tests.e2e.harness.flowjobs import ENDED, FlowJob, rows_in
from tests.e2e.harness.installation import Installation

RATE = 500
ROWS = rows_in(40, RATE)


def test_an_upgrade_ends_well_though_the_operator_dies_in_each_of_its_steps(
    job: FlowJob, operator: Installation
) -> None:
    job.apply(rows=ROWS, rate=RATE)
    job.wait_running()
    job.wait_for_results()
    generation = job.change(job={"args": {"retained": 3}})
    killed: set[str] = set()
    give_up = time.monotonic() + 300
    while time.monotonic() < give_up:
        status = job.status
        step = (status.get("operation") or {}).get("step")
        ends = status["phase"] in ("Running", *ENDED)
        done = status.get("observedGeneration", 0) >= generation and ends
        if done and step is None:
            break
        if step is not None and step not in killed:
            killed.add(step)
            operator.kill()
    assert len(killed) >= 4, killed
    assert job.status["revisions"]["current"] == 2
    job.wait_until_verified(ROWS)


def test_a_job_goes_on_and_heals_without_the_operator(job: FlowJob, operator: Installation) -> None:
    job.apply(rows=ROWS, rate=RATE)
    job.wait_running()
    with operator.absent():
        for component in ("taskmanager", "jobmanager"):
            job.kill(component)
            job.wait_for_results(within=180)
    job.wait_until_verified(ROWS)


def test_an_upgrade_of_the_chart_touches_no_job(job: FlowJob, operator: Installation) -> None:
    job.apply(rows=2 * ROWS, rate=RATE)
    job.wait_running()
    pods = {c: job.pods(c) for c in ("jobmanager", "taskmanager")}
    operator.install("operator.logLevel=debug", "podAnnotations.upgrade=of-the-chart")
    job.wait_for_results(more=3)
    assert {c: job.pods(c) for c in pods} == pods
    assert job.status["job"]["restarts"] == 0
    operator.install()
    job.wait_until_verified(2 * ROWS)
