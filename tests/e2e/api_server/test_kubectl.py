"""The client of clusters against a real API server, by a real kubectl: words, refusals, owners of fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowjob import errors
from flowjob.cli.doctor.reaching import cluster
from flowjob.cli.steering.where import Where
from flowjob.client.kubectl import Kubectl
from flowjob.client.kubernetes_client import KubernetesClient
from flowjob.client.models import UpgradeWish
from tests.e2e.api_server.operators import account, kubeconfig
from tests.e2e.cluster.api import Api
from tests.operator.process.harness import a_job

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]


@pytest.fixture
def config(api: Api, namespace: str, tmp_path: Path) -> Path:
    """Of somebody who may do everything."""
    return kubeconfig(api, api.token, namespace, tmp_path / "config")


@pytest.fixture
def client(config: Path) -> KubernetesClient:
    return KubernetesClient(Kubectl(kubeconfig=str(config)))


def path_of(namespace: str, kind: str = "flowjobs") -> str:
    return f"/apis/flowjob.dev/v1beta1/namespaces/{namespace}/{kind}"


def applied(api: Api, namespace: str, manager: str) -> None:
    """The job, by somebody who owns its fields from then on."""
    api.apply(f"{path_of(namespace)}/flights", a_job(namespace=namespace), manager=manager)


def job_of(api: Api, namespace: str) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"{path_of(namespace)}/flights")["spec"]["job"]
    return found


def test_a_job_is_found_changed_and_told_of(
    api: Api, namespace: str, client: KubernetesClient
) -> None:
    api.create(path_of(namespace), a_job(namespace=namespace))
    assert client.default_namespace == namespace
    assert [job.name for job in client.jobs(namespace=namespace)] == ["flights"]
    flights = client.job("flights", namespace)
    assert flights.get().state == "Pending"
    begun = flights.scale(3)
    assert (begun.state, begun.kind) == ("Pending", "Scale")
    assert client.operation(begun.id).progress.step == "waits for the operator"
    flights.upgrade(UpgradeWish(args={"x": "1"}, mode="LastState"))
    flights.suspend(drain=True)
    found = job_of(api, namespace)
    assert (found["parallelism"], found["args"]["x"], found["state"]) == (3, "1", "Suspended")
    assert found["stop"] == {"drain": True}


def test_fields_that_are_applied_by_others_are_theirs(
    api: Api, namespace: str, client: KubernetesClient
) -> None:
    applied(api, namespace, "argocd-controller")
    flights = client.job("flights", namespace)
    before = job_of(api, namespace)["parallelism"]
    with pytest.raises(errors.Conflict, match="belongs to argocd-controller"):
        flights.scale(before + 1)
    plan = flights.plan_upgrade(UpgradeWish(parallelism=before + 1))
    assert (plan.accepted, len(plan.problems)) == (False, 1)
    assert job_of(api, namespace)["parallelism"] == before
    flights.scale(before + 1, force=True)
    assert job_of(api, namespace)["parallelism"] == before + 1


def test_what_the_api_server_refuses_is_said_in_its_words(
    api: Api, namespace: str, client: KubernetesClient
) -> None:
    api.create(path_of(namespace), a_job(namespace=namespace))
    flights = client.job("flights", namespace)
    with pytest.raises(errors.BadRequest, match=r"spec\.job\.parallelism"):
        flights.scale(10**9)
    assert flights.plan_upgrade(UpgradeWish(parallelism=10**9)).accepted is False
    with pytest.raises(errors.NotFound):
        client.job("nothing", namespace).get()
    with pytest.raises(errors.NotFound):
        client.job("--all", namespace).get()


def test_a_savepoint_is_made_listed_and_deleted(
    api: Api, namespace: str, client: KubernetesClient
) -> None:
    api.create(path_of(namespace), a_job(namespace=namespace))
    flights = client.job("flights", namespace)
    named, made = flights.savepoint("before"), flights.savepoint()
    assert client.operation(named.id).state == "Pending"
    assert made.id.rpartition("/")[2].startswith("flights-")
    assert len(flights.snapshots().snapshots) == 2
    with pytest.raises(errors.Conflict):
        flights.savepoint("before")
    gone = flights.delete_snapshot("before")
    assert client.wait(gone, timeout=30).state == "Done"


def test_somebody_without_rights_is_told_so(api: Api, namespace: str, tmp_path: Path) -> None:
    api.create(path_of(namespace), a_job(namespace=namespace))
    token = account(api, namespace, "nobody")
    kubectl = Kubectl(kubeconfig=str(kubeconfig(api, token, namespace, tmp_path / "theirs")))
    with pytest.raises(errors.NotAllowed):
        KubernetesClient(kubectl).job("flights", namespace).get()
    found = {f.check: f.verdict for f in cluster(Where(namespace=namespace), kubectl)}
    assert (found["cluster"], found["flowjob in it"]) == ("ok", "ok")
    assert found["right to change jobs"] == "warning"


def test_the_doctor_sees_the_rights_of_an_administrator(namespace: str, config: Path) -> None:
    found = list(cluster(Where(namespace=namespace), Kubectl(kubeconfig=str(config))))
    assert {finding.verdict for finding in found} == {"ok"}
