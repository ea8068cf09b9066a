"""Who is no part of a job does not get through to its pods, where the network plugin enforces policies."""

from __future__ import annotations

import pytest

from tests.e2e.harness.flowjobs import FlowJob
from tests.e2e.harness.images import Images
from tests.e2e.harness.tools import Object

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

ROWS = 30_000
RATE = 1_000
CONTROL, PROBES, API = 7400, 7401, 7402

KNOCK = """
import socket, sys
for place in sys.argv[1:]:
    host, port = place.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
        print(place, "open")
    except OSError as error:
        print(place, "closed", error)
"""


def a_stranger(image: str, places: list[str]) -> Object:
    """A pod of the same namespace that knocks at ports, and says which are open."""
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "stranger",
                "image": image,
                "command": ["python3", "-c", KNOCK, *places],
                "securityContext": security,
            }
        ],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranger"}, "spec": pod}


def addresses(job: FlowJob, component: str) -> list[str]:
    selector = f"flowjob.dev/job={job.name},app.kubernetes.io/component={component}"
    return [pod["status"]["podIP"] for pod in job.space.list("pods", selector)]


def knock(job: FlowJob, image: str, places: list[str]) -> list[str]:
    """Those that are open."""
    job.space.apply(a_stranger(image, places))

    def ended() -> bool:
        pod = job.space.get("pod", "stranger")
        return pod is not None and pod["status"].get("phase") in ("Succeeded", "Failed")

    job.space.wait("a stranger has knocked", ended, within=120)
    lines = job.space.logs("stranger").splitlines()
    assert len(lines) == len(places), lines
    return [line.split()[0] for line in lines if line.endswith(" open")]


def test_a_stranger_reaches_no_port_of_a_job_and_the_job_goes_on(
    job: FlowJob, images: Images
) -> None:
    job.apply(rows=ROWS, rate=RATE)
    job.wait_running()
    managers = [f"{a}:{p}" for a in addresses(job, "jobmanager") for p in (CONTROL, PROBES, API)]
    workers = [f"{a}:{PROBES}" for a in addresses(job, "taskmanager")]
    assert workers
    assert knock(job, images.worker, managers + workers) == []
    job.wait_until_verified(ROWS)


def test_without_policies_the_same_ports_are_open(job: FlowJob, images: Images) -> None:
    """Else the test above would prove nothing."""
    job.apply(rows=ROWS, rate=RATE)
    job.wait_running()
    open_for_all = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "open-for-all"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]},
    }
    job.space.apply(open_for_all)
    places = [f"{a}:{p}" for a in addresses(job, "jobmanager") for p in (CONTROL, PROBES, API)]
    assert knock(job, images.worker, places) == places
    job.wait_until_verified(ROWS)
