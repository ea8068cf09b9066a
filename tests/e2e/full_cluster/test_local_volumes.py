"""TaskManagers with volumes of their own, where the cluster makes volumes for claims."""

from __future__ import annotations

import pytest

from tests.e2e.harness.flowjobs import FlowJob
from tests.e2e.harness.tools import Object

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

ROWS = 60_000
RATE = 1_000


def claims(job: FlowJob) -> list[Object]:
    return job.space.list("persistentvolumeclaims", f"flowjob.dev/job={job.name}")


def test_each_taskmanager_has_a_volume_which_goes_with_it(job: FlowJob) -> None:
    job.apply(rows=ROWS, rate=RATE, taskManager={"localVolume": {"size": "1Gi"}})
    job.wait_running()
    assert [c["status"]["phase"] for c in claims(job)] == ["Bound", "Bound"]
    job.space.kubectl("scale", f"flowjob/{job.name}", "--replicas=1")
    job.space.wait("one volume is left", lambda: len(claims(job)) == 1, within=180)
    job.wait_until_verified(ROWS)
    job.space.delete("flowjob", job.name)
    job.space.wait("no volume is left", lambda: not claims(job), within=180)


def test_a_larger_volume_takes_the_place_of_a_smaller_one(job: FlowJob) -> None:
    job.apply(rows=ROWS, rate=RATE, taskManager={"localVolume": {"size": "1Gi"}})
    job.wait_running()
    generation = job.change(taskManager={"localVolume": {"size": "2Gi"}})
    job.wait_running(generation=generation, within=300)

    def sizes() -> bool:
        return [c["spec"]["resources"]["requests"]["storage"] for c in claims(job)] == ["2Gi"] * 2

    job.space.wait("both volumes are larger", sizes, within=180)
    job.wait_until_verified(ROWS)
