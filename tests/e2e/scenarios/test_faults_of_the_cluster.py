"""A node is lost, and the API server is away: only on a cluster that is made of this machine, which may suffer that."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.harness.figures import longest_gap, record
from tests.e2e.harness.flowjobs import FlowJob, rows_in
from tests.e2e.harness.which_cluster import AnyCluster, LocalCluster

RATE = 500
ROWS = rows_in(340, RATE)
FEW = rows_in(60, RATE)
LOST = "node2"
AWAY_SECONDS = 300.0


def nodes_of(job: FlowJob) -> set[str]:
    pods = job.space.list("pods", f"flowjob.dev/job={job.name}")
    return {pod["spec"].get("nodeName", "") for pod in pods}


@pytest.fixture
def ours(the_cluster: AnyCluster) -> Iterator[LocalCluster]:
    assert isinstance(the_cluster, LocalCluster), "conftest.py plays these on such a cluster only"
    yield the_cluster
    the_cluster.command("up", "--nodes=2")


@pytest.mark.timeout(1800)
def test_a_node_is_lost_with_all_of_the_job(job: FlowJob, ours: LocalCluster) -> None:
    job.apply(rows=FEW, rate=RATE)
    job.wait_running()
    if LOST not in nodes_of(job):
        # The scheduler spreads pods where it can; here it could not.
        ours.tools.kubectl("cordon", "node1")
        job.kill("taskmanager")
        job.space.wait("pods are on the node", lambda: LOST in nodes_of(job))
        ours.tools.kubectl("uncordon", "node1")
        job.wait_running()
    ours.command("lose", LOST)
    job.wait_for_results(more=3, within=600)
    job.wait_until_verified(FEW, within=600)
    record("node lost: without output", longest_gap(job.bucket))


@pytest.mark.leaks_allowed(
    "the way to the S3 server may break with the API server; the new one is the session's, too"
)
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
    job.wait_until_verified(ROWS)
    assert job.status["job"]["restarts"] == 0
    record("API server away for five minutes: without output", longest_gap(job.bucket))
