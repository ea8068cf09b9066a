"""The operator's process against a real API server: permissions, watches, owners of fields, leadership, neighbours.

No pod runs here: what is waited for is what the operator writes."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.api_server.operators import account, grant, kubeconfig, operator, until
from tests.e2e.cluster.api import Api, Refusal

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]

Object = dict[str, Any]
_numbers = itertools.count(1)


@pytest.fixture
def make_namespace(api: Api) -> Callable[[str], str]:
    def make(what: str) -> str:
        name = f"{what}-{next(_numbers)}"
        about = {"name": name}
        api.create(
            "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": about}
        )
        return name

    return make


def jobs(namespace: str, name: str = "") -> str:
    return f"/apis/flowjob.dev/v1beta1/namespaces/{namespace}/flowjobs/{name}".rstrip("/")


def a_job(name: str = "flights", **more: Any) -> Object:
    spec = {
        "job": {"entrypoint": "flights:job"},
        "checkpoints": {"storage": "s3://bucket/prefix"},
        "upgrade": {"preflight": "Skip"},
        **more,
    }
    return {
        "apiVersion": "flowjob.dev/v1beta1",
        "kind": "FlowJob",
        "metadata": {"name": name},
        "spec": spec,
    }


def has_sets(api: Api, namespace: str, name: str = "flights") -> bool:
    api.get(f"/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}-tm")
    api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}-jm-1")
    return True


def phase(api: Api, namespace: str, name: str = "flights") -> str:
    return (api.get(jobs(namespace, name)).get("status") or {}).get("phase") or ""


def test_its_list_of_permissions_is_enough_for_a_whole_life(
    api: Api, make_namespace: Callable[[str], str], tmp_path: Path
) -> None:
    own, users = make_namespace("operators"), make_namespace("users")
    config = kubeconfig(api, account(api, own), own, tmp_path / "config")
    grant(api, own, own, everywhere=True)
    with operator(config, tmp_path, "it", "--owner=enough", f"--namespaces={users}") as running:
        api.create(jobs(users), a_job(jobManager={"replicas": 2}, deletionPolicy="Discard"))
        until(lambda: has_sets(api, users), "the job is not deployed")
        # Somebody breaks it, and it is mended.
        api.delete(f"/api/v1/namespaces/{users}/services/flights-jm")
        until(
            lambda: api.get(f"/api/v1/namespaces/{users}/services/flights-jm"),
            "the Service is not made again",
        )
        assert api.get(jobs(users, "flights"))["metadata"]["finalizers"] == ["flowjob.dev/state"]
        # A mistake in the namespace's defaults is told by an Event.
        defaults = {"name": "flowjob-defaults", "labels": {"app.kubernetes.io/name": "flowjob"}}
        api.create(
            f"/api/v1/namespaces/{users}/configmaps",
            {"metadata": defaults, "data": {"checkpoints.intervall": "30s"}},
        )
        events = until(
            lambda: api.get(f"/api/v1/namespaces/{users}/events")["items"], "there are no Events"
        )
        assert {event["involvedObject"]["name"] for event in events} == {"flights"}
        assert [
            m for m in running.metric("flowjob_operator_api_request_errors_total") if '"403"' in m
        ] == []
        assert running.ask("/readyz")[0] == 200
        assert running.says("failed") == []


def test_a_wrong_field_of_a_pod_template_is_named_and_nothing_is_made(
    api: Api, make_namespace: Callable[[str], str], tmp_path: Path
) -> None:
    own, users = make_namespace("operators"), make_namespace("users")
    config = kubeconfig(api, account(api, own), own, tmp_path / "config")
    grant(api, own, own, everywhere=True)
    wrong = {"podTemplate": {"spec": {"nodeSelectr": {"disk": "fast"}}}}
    with operator(config, tmp_path, "it", "--owner=strict", f"--namespaces={users}"):
        api.create(jobs(users), a_job(taskManager=wrong))

        def said() -> Object | None:
            status: Object = api.get(jobs(users, "flights")).get("status") or {}
            return status if "nodeSelectr" in status.get("diagnosis", "") else None

        status = until(said, "the wrong field is not named")
        stalled = next(c for c in status["conditions"] if c["type"] == "Stalled")
        assert (stalled["status"], stalled["reason"]) == ("True", "ObjectsRefused")
        assert api.get(f"/apis/apps/v1/namespaces/{users}/statefulsets")["items"] == []


def test_secrets_of_jobs_can_be_written_and_not_be_read(
    api: Api, make_namespace: Callable[[str], str], tmp_path: Path
) -> None:
    own, users = make_namespace("operators"), make_namespace("users")
    token = account(api, own)
    grant(api, own, own, within=users)
    as_operator = Api(api.address, api.certificates, token)
    path = f"/api/v1/namespaces/{users}/secrets"
    as_operator.create(path, {"metadata": {"name": "flights-identity"}, "data": {}})
    with pytest.raises(Refusal) as refusal:
        as_operator.get(f"{path}/flights-identity")
    assert refusal.value.status == 403
    with pytest.raises(Refusal):
        as_operator.get(path)


def test_what_others_own_stays_and_what_is_ours_comes_back(
    api: Api, make_namespace: Callable[[str], str], tmp_path: Path
) -> None:
    own, users = make_namespace("operators"), make_namespace("users")
    config = kubeconfig(api, account(api, own), own, tmp_path / "config")
    grant(api, own, own, within=users)
    service = f"/api/v1/namespaces/{users}/services/flights-jm"
    with operator(config, tmp_path, "it", "--owner=fields", f"--namespaces={users}"):
        api.create(jobs(users), a_job())
        until(lambda: has_sets(api, users), "the job is not deployed")
        managers = {each["manager"] for each in api.get(service)["metadata"]["managedFields"]}
        assert managers == {"flowjob-operator"}
        api.patch(
            service,
            {
                "metadata": {
                    "annotations": {"mesh": "on"},
                    "labels": {"flowjob.dev/job": "flights", "team": "x"},
                }
            },
        )
        api.patch(service, {"spec": {"publishNotReadyAddresses": False}})
        until(
            lambda: api.get(service)["spec"].get("publishNotReadyAddresses"),
            "what is ours does not come back",
        )
        about = api.get(service)["metadata"]
        assert about["annotations"]["mesh"] == "on"
        assert about["labels"]["team"] == "x"


def test_a_killed_leader_is_followed_and_its_work_goes_on(
    api: Api, make_namespace: Callable[[str], str], tmp_path: Path
) -> None:
    own, users = make_namespace("operators"), make_namespace("users")
    config = kubeconfig(api, account(api, own), own, tmp_path / "config")
    grant(api, own, own, within=users)
    options = (
        "--owner=pair",
        f"--namespaces={users}",
        "--lease-duration=6s",
        "--lease-renewal=4s",
        "--lease-retry=1s",
    )
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{own}/leases/flowjob-operator"

    def leader() -> str:
        return str(api.get(lease)["spec"].get("holderIdentity") or "")

    with (
        operator(config, tmp_path, "first", *options) as first,
        operator(config, tmp_path, "second", *options) as second,
    ):
        replicas = {"first": first, "second": second}
        old = until(leader, "nobody leads")
        (new,) = set(replicas) - {old}
        until(lambda: replicas[new].ask("/readyz")[0] == 200, "the standby is not ready")
        api.create(jobs(users), a_job())
        until(lambda: has_sets(api, users), "the job is not deployed")
        assert replicas[new].says("done") == []
        replicas[old].running.send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        until(lambda: leader() == new, "nobody follows")
        assert time.monotonic() - killed_at < 60
        api.create(jobs(users), a_job("later"))
        until(lambda: has_sets(api, users, "later"), "the work does not go on")
        assert replicas[new].metric("flowjob_operator_leader ") == ["flowjob_operator_leader 1.0"]
        revisions = api.get(f"/apis/apps/v1/namespaces/{users}/controllerrevisions")["items"]
        assert sorted(each["metadata"]["name"] for each in revisions) == ["flights-1", "later-1"]


def test_a_leader_that_is_ended_gives_the_lease_back(
    api: Api, make_namespace: Callable[[str], str], tmp_path: Path
) -> None:
    own, users = make_namespace("operators"), make_namespace("users")
    config = kubeconfig(api, account(api, own), own, tmp_path / "config")
    grant(api, own, own, within=users)
    with operator(config, tmp_path, "it", f"--namespaces={users}", "--owner=ended") as running:
        until(lambda: running.says("looking after jobs"), "it does not lead")
        running.running.send_signal(signal.SIGTERM)
        assert running.running.wait(60) == 0
    lease = api.get(f"/apis/coordination.k8s.io/v1/namespaces/{own}/leases/flowjob-operator")
    assert not lease["spec"].get("holderIdentity")


def test_a_closed_namespace_is_named_and_taken_up_when_it_is_opened(
    api: Api, make_namespace: Callable[[str], str], tmp_path: Path
) -> None:
    own, opened, closed = (make_namespace(n) for n in ("operators", "opened", "closed"))
    config = kubeconfig(api, account(api, own), own, tmp_path / "config")
    grant(api, own, own, within=opened)
    where = f"--namespaces={opened},{closed}"
    with operator(config, tmp_path, "it", where, "--owner=doors") as running:
        for namespace in (opened, closed):
            api.create(jobs(namespace), a_job())
        until(lambda: has_sets(api, opened), "the open namespace is not looked after")
        (said,) = running.says("not looked after")
        assert said["namespace"] == closed
        assert "flowjobs.flowjob.dev" in said["why"]
        assert "docs/operator.md" in said["why"]
        assert phase(api, closed) == ""
        grant(api, f"{own}-more", own, within=closed)
        until(lambda: has_sets(api, closed), "the opened namespace is not taken up")


def test_a_second_installation_keeps_off(
    api: Api, make_namespace: Callable[[str], str], tmp_path: Path
) -> None:
    own, other, users = (make_namespace(n) for n in ("operators", "others", "users"))
    config = kubeconfig(api, account(api, own), own, tmp_path / "config")
    second_config = kubeconfig(api, account(api, other), other, tmp_path / "second")
    grant(api, own, own, within=users)
    grant(api, other, other, within=users)
    where = f"--namespaces={users}"
    with operator(config, tmp_path, "one", where, "--owner=one"):
        api.create(jobs(users), a_job())
        until(lambda: has_sets(api, users), "the job is not deployed")
        with operator(second_config, tmp_path, "two", where, "--owner=two") as second:
            said = until(lambda: second.says("left alone"), "the second does not refuse")
            assert "looked after by the installation 'one'" in said[0]["why"]
            assert second.says("done") == []
            assert api.get(jobs(users, "flights"))["status"]["operator"]["owner"] == "one"


def test_only_what_its_labels_select_is_looked_after(
    api: Api, make_namespace: Callable[[str], str], tmp_path: Path
) -> None:
    own, users = make_namespace("operators"), make_namespace("users")
    config = kubeconfig(api, account(api, own), own, tmp_path / "config")
    grant(api, own, own, within=users)
    options = (f"--namespaces={users}", "--label-selector=team=x", "--owner=labels")
    with operator(config, tmp_path, "it", *options):
        chosen = a_job("chosen")
        chosen["metadata"]["labels"] = {"team": "x"}
        api.create(jobs(users), a_job("other"))
        api.create(jobs(users), chosen)
        until(lambda: has_sets(api, users, "chosen"), "the job is not deployed")
        assert phase(api, users, "other") == ""
        api.patch(jobs(users, "other"), {"metadata": {"labels": {"team": "x"}}})
        until(lambda: has_sets(api, users, "other"), "a job that is selected later is not seen")
