"""Pods are deleted, one sort after the other and all at once, and nobody does anything about it."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime

import pytest

from tests.e2e.harness.figures import longest_gap, record
from tests.e2e.harness.flowjobs import ENDED, FlowJob, rows_in

RATE = 500
ROWS = rows_in(30, RATE)
STORM_SECONDS = 120.0
LASTING = int(STORM_SECONDS + 30) * RATE
"""Rows of a job that outlasts the storm, however little the storm holds it back."""


@pytest.mark.core
@pytest.mark.parametrize("component", ["taskmanager", "jobmanager"])
def test_results_go_on_and_are_exact(job: FlowJob, component: str) -> None:
    job.apply(rows=ROWS, rate=RATE)
    job.wait_running()
    job.wait_for_results()
    job.kill(component)
    job.wait_for_results()
    job.wait_until_verified(ROWS)
    record(f"all pods {component} killed: without output", longest_gap(job.bucket))


def test_a_pod_is_killed_every_few_seconds_for_minutes(job: FlowJob) -> None:
    job.apply(rows=LASTING, rate=RATE)
    job.wait_running()
    chance = random.Random(7)
    end = time.monotonic() + STORM_SECONDS
    while time.monotonic() < end:
        pods = job.pods("jobmanager") + job.pods("taskmanager")
        if pods:
            job.space.kill_pod(chance.choice(pods))
        time.sleep(chance.uniform(2, 6))
    assert job.phase not in ENDED, "it was over before the storm was"
    job.wait_until_verified(LASTING)


def leads(job: FlowJob, pod: str) -> bool:
    path = f"/api/v1/namespaces/{job.space.name}/pods/{pod}:7401/proxy/metrics"
    return "flowjob_leader 1" in job.space.kubectl("get", "--raw", path)


def test_a_standby_takes_over_and_the_tasks_go_on(job: FlowJob) -> None:
    job.apply(rows=ROWS, rate=RATE, jobManager={"replicas": 2})
    job.wait_running()
    job.wait_until("there are two", lambda: len(job.pods("jobmanager")) == 2)
    job.wait_for_results()
    restarts, generation = job.status["job"]["restarts"], job.status["job"]["leader"]
    (first,) = [pod for pod in job.pods("jobmanager") if leads(job, pod)]
    killed = datetime.now(UTC)
    job.space.kill_pod(first)
    job.wait_until("another one leads", lambda: job.status["job"]["leader"] > generation)
    job.wait_for_results()
    assert job.status["job"]["restarts"] == restarts
    job.wait_until_verified(ROWS)
    record("leader killed, with a standby: without output", longest_gap(job.bucket, since=killed))


def test_what_was_deleted_of_a_job_comes_back(job: FlowJob) -> None:
    job.apply(rows=ROWS, rate=RATE)
    job.wait_running()
    job.space.delete("statefulset", f"{job.name}-tm")
    job.space.delete("service", f"{job.name}-jm")
    for deployment in job.space.list("deployments", f"flowjob.dev/job={job.name}"):
        job.space.delete("deployment", deployment["metadata"]["name"])
    job.wait_until_verified(ROWS)
