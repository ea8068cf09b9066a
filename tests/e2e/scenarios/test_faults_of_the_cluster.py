"""A node is lost, and the API server is away: only on a cluster that is made of this machine, which may suffer that."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.harness.flowjobs import FlowJob
from tests.e2e.harness.which_cluster import AnyCluster, LocalCluster

ROWS = 200_000
RATE = 1_000
LOST = "node2"
AWAY_SECONDS = 300.0


@pytest.fixture
def ours(the_cluster: AnyCluster) -> Iterator[LocalCluster]:
    if not isinstance(the_cluster, LocalCluster):
        pytest.skip("a cluster of somebody else's keeps its nodes")
    yield the_cluster
    the_cluster.command("up", "--nodes=2")


@pytest.mark.timeout(1800)
def test_a_node_is_lost_with_all_of_the_job(job: FlowJob, ours: LocalCluster) -> None:
    there = {"podTemplate": {"spec": {"nodeSelector": {"kubernetes.io/hostname": LOST}}}}
    job.apply(rows=ROWS, rate=RATE, taskManager={}, jobManager={})
    job.wait_running()
    on_lost = [
        pod["metadata"]["name"]
        for pod in job.space.list("pods", f"flowjob.dev/job={job.name}")
        if pod["spec"]["nodeName"] == LOST
    ]
    if not on_lost:
        job.change(taskManager=there)
        job.wait_running()
    ours.command("lose", LOST)
    job.wait_for_results(more=3, within=300)
    job.wait_until_verified(ROWS, within=600)


@pytest.mark.timeout(1800)
def test_the_api_server_is_away_for_five_minutes(job: FlowJob, ours: LocalCluster) -> None:
    job.apply(rows=ROWS, rate=RATE)
    job.wait_running()
    before = len(job.bucket.names("results/rows/"))
    ours.command("kill", "apiserver")
    time.sleep(AWAY_SECONDS)
    ours.command("up", "--nodes=2")
    after = len(job.bucket.names("results/rows/"))
    # A file for each checkpoint of a second and each subtask: there would be as many without the outage.
    assert after - before > AWAY_SECONDS / 2
    assert job.status["job"]["restarts"] == 0
