"""Operators of some namespaces, of others, of the same: and one that goes while its jobs stay."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.e2e.harness import verified
from tests.e2e.harness.flowjobs import FlowJob, rows_in
from tests.e2e.harness.images import Images
from tests.e2e.harness.installation import Installation
from tests.e2e.harness.namespace import Namespace
from tests.e2e.harness.storage import secret
from tests.e2e.harness.which_cluster import AnyCluster

RATE = 500
ROWS = rows_in(40, RATE)


@pytest.fixture
def restored(operator: Installation) -> Iterator[Installation]:
    """Looks after all namespaces again in the end."""
    yield operator
    operator.install()


@pytest.fixture
def elsewhere(job: FlowJob) -> Iterator[FlowJob]:
    """A job of the same bucket in another namespace."""
    tools, name = job.space.tools, f"{job.space.name}-b"
    tools.kubectl("create", "namespace", name)
    space = Namespace(tools, name)
    space.apply(secret())
    yield FlowJob(space, "elsewhere", job.bucket)
    tools.kubectl("delete", "namespace", name, "--wait=false")


def metric(installation: Installation, name: str) -> float:
    """The largest that any of its pods shows."""
    found = [0.0]
    for pod in installation.pods():
        path = f"/api/v1/namespaces/{installation.namespace}/pods/{pod}:8080/proxy/metrics"
        text = installation.tools.kubectl("get", "--raw", path)
        found += [float(n) for n in re.findall(rf"^flowjob_operator_{name} (\S+)$", text, re.M)]
    return max(found)


def test_two_operators_look_after_a_namespace_each(
    job: FlowJob, elsewhere: FlowJob, restored: Installation, images: Images
) -> None:
    restored.install(f"watchNamespaces={{{job.space.name}}}")
    out = {"args": {"out": f"{job.bucket.url}/elsewhere"}}
    elsewhere.apply(rows=ROWS, rate=RATE, job=out)
    job.apply(rows=ROWS, rate=RATE)
    job.wait_running()
    assert elsewhere.status == {}
    account = {"value": "flowjob-job", "source": "Chart"}
    assert job.status["effective"]["serviceAccountName"] == account
    second = Installation(restored.tools, images, "flowjob-second", "second")
    second.install(f"watchNamespaces={{{elsewhere.space.name}}}")
    try:
        job.wait_until_verified(ROWS)
        elsewhere.wait_for("Finished", within=300)
        assert verified.what_is_wrong(job.bucket, ROWS, results="elsewhere") == []
        for each, by in ((job, restored), (elsewhere, second)):
            assert each.status["operator"]["owner"] == by.owner
    finally:
        second.uninstall()
        second.tools.kubectl("delete", "namespace", second.namespace, "--wait=false")


def test_a_namespace_without_permissions_does_not_hinder_others(
    job: FlowJob, elsewhere: FlowJob, restored: Installation
) -> None:
    restored.install(f"watchNamespaces={{{job.space.name},{elsewhere.space.name}}}")
    binding = f"{restored.namespace}-{restored.release}-jobs"
    elsewhere.space.delete("rolebinding", binding)
    restored.kill()
    elsewhere.apply(rows=ROWS, rate=RATE)
    job.apply(rows=ROWS, rate=RATE)
    job.wait_until_verified(ROWS)
    assert elsewhere.status == {}
    restored.space.wait(
        "the operator knows it", lambda: metric(restored, "denied_namespaces") == 1, within=120
    )
    # What was taken away is given back by the next upgrade, and the job begins.
    restored.install(f"watchNamespaces={{{job.space.name},{elsewhere.space.name}}}")
    elsewhere.wait_running()


def test_a_second_installation_keeps_off_what_the_first_one_looks_after(
    job: FlowJob, operator: Installation, images: Images, the_cluster: AnyCluster
) -> None:
    job.apply(rows=ROWS, rate=RATE)
    job.wait_running()
    pods = job.pods("taskmanager")
    second = Installation(the_cluster.tools, images, "flowjob-second", "second")
    second.install(
        f"watchNamespaces={{{job.space.name}}}", "jobs.serviceAccount.name=flowjob-second"
    )
    try:
        second.space.wait(
            "the second one knows it", lambda: metric(second, "foreign_namespaces") == 1, within=120
        )
        job.wait_until_verified(ROWS)
        assert set(pods) >= set(job.pods("taskmanager"))
        assert job.status["operator"]["owner"] == operator.owner
    finally:
        second.uninstall()
        second.tools.kubectl("delete", "namespace", second.namespace, "--wait=false")


def test_jobs_outlive_their_operator_and_the_next_one_takes_over(
    job: FlowJob, restored: Installation
) -> None:
    job.apply(rows=2 * ROWS, rate=RATE)
    job.wait_running()
    pods = {c: job.pods(c) for c in ("jobmanager", "taskmanager")}
    restored.uninstall()
    job.wait_for_results(more=3)
    assert {c: job.pods(c) for c in pods} == pods
    restored.install()
    generation = job.change(job={"parallelism": 3})
    job.wait_running(generation=generation)
    assert job.pods("jobmanager") == pods["jobmanager"]
    job.wait_until_verified(2 * ROWS)
