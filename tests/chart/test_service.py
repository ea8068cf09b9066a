"""What the chart makes for the REST service: it may look and ask, and change nothing."""

from __future__ import annotations

from typing import Any

import pytest

from flowjob_api.cluster_settings import read
from flowjob_api.documenting import OPEN
from tests.chart.rendering import Object, case, objects, pick, text

pytestmark = pytest.mark.helm


def service_objects(rendered: str) -> list[Object]:
    component = "app.kubernetes.io/component"
    return [
        o for o in objects(rendered) if o["metadata"].get("labels", {}).get(component) == "service"
    ]


@pytest.mark.parametrize(
    "rendered", [lambda: case("service"), lambda: text({"api": {"enabled": True}})]
)
def test_the_service_may_look_at_jobs_ask_for_reviews_and_nothing_else(rendered: Any) -> None:
    rules = [r for o in service_objects(rendered()) for r in o.get("rules", ())]
    assert {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    } == {
        ("authentication.k8s.io", "tokenreviews", "create"),
        ("authorization.k8s.io", "subjectaccessreviews", "create"),
        *(
            ("flowjob.dev", resource, verb)
            for resource in ("flowjobs", "flowsnapshots")
            for verb in ("get", "list", "watch")
        ),
    }


def test_the_service_understands_its_environment() -> None:
    (deployment,) = [o for o in service_objects(case("service")) if o["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    given = {one["name"]: one["value"] for one in container["env"]}
    settings = read({**given, "KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert settings.namespaces == ("shop", "bank")
    assert settings.settings.root_path == "/flowjob"
    assert settings.port == container["ports"][0]["containerPort"]
    mounted = {one["mountPath"] for one in container["volumeMounts"]}
    assert {str(settings.identity), str(settings.certificate)} <= mounted


def test_the_services_pods_are_not_taken_for_the_operators() -> None:
    deployments = [o for o in objects(case("service")) if o["kind"] == "Deployment"]
    selectors = [o["spec"]["selector"]["matchLabels"] for o in deployments]
    pods = [o["spec"]["template"]["metadata"]["labels"] for o in deployments]
    matches = [[s.items() <= p.items() for p in pods] for s in selectors]
    assert matches == [[True, False], [False, True]]


def one_of(kind: str, values: Object) -> Object:
    found = service_objects(text({**values, "api": {"enabled": True, **values.get("api", {})}}))
    (one,) = [o for o in found if o["kind"] == kind]
    return one


@pytest.mark.parametrize(
    ("api", "scheme", "certificate"),
    [
        ({}, "http", None),
        ({"tlsSecret": "web"}, "https", {"insecureSkipVerify": True}),
        (
            {
                "tlsSecret": "web",
                "serviceMonitor": {"tlsConfig": {"serverName": "jobs.example.com"}},
            },
            "https",
            {"serverName": "jobs.example.com"},
        ),
    ],
)
def test_prometheus_finds_the_metrics_of_the_service(
    api: Object, scheme: str, certificate: Object | None
) -> None:
    values = {"serviceMonitor": {"create": True, "labels": {"release": "prometheus"}}, "api": api}
    monitor = one_of("ServiceMonitor", values)
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    service = one_of("Service", values)
    selector = monitor["spec"]["selector"]["matchLabels"]
    assert selector.items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert (endpoint["scheme"], endpoint.get("tlsConfig")) == (scheme, certificate)
    assert endpoint["path"] in OPEN
    others = objects(text({"api": {"enabled": True}, "serviceMonitor": {"create": True}}))
    assert not selector.items() <= pick(others, "Service")["metadata"]["labels"].items()


def test_a_drain_takes_one_pod_of_the_service_at_a_time() -> None:
    budget = one_of("PodDisruptionBudget", {"api": {"replicas": 2}})
    labels = one_of("Deployment", {})["spec"]["template"]["metadata"]["labels"]
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert budget["spec"]["maxUnavailable"] == 1
    for values in ({"replicas": 2}, {"podDisruptionBudget": {"create": False}}):
        found = service_objects(text({**values, "api": {"enabled": True}}))
        assert "PodDisruptionBudget" not in {o["kind"] for o in found}


PLACES: Object = {
    "runtimeClassName": "gvisor",
    "priorityClassName": "high",
    "nodeSelector": {"pool": "platform"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "imagePullSecrets": [{"name": "registry"}],
}
NODES: Object = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}]}}


def pod_of(values: Object) -> Object:
    found: Object = one_of("Deployment", values)["spec"]["template"]["spec"]
    return found


def test_the_service_runs_where_the_operator_may_run() -> None:
    pod = pod_of(PLACES)
    assert {name: pod.get(name) for name in PLACES} == PLACES
    assert pod_of({"affinity": {"nodeAffinity": NODES}})["affinity"] == {"nodeAffinity": NODES}
    assert not {"affinity", "topologySpreadConstraints"} & set(pod_of({}))


def test_the_services_pods_spread_by_their_own_labels_and_not_by_the_operators() -> None:
    zones = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    labels = {"app.kubernetes.io/name": "flowjob-operator"}
    values = {
        "affinity": {"nodeAffinity": NODES, "podAntiAffinity": {"of": "the operator"}},
        "topologySpreadConstraints": [{**zones, "labelSelector": {"matchLabels": labels}}],
        "api": {"replicas": 2},
    }
    deployment = one_of("Deployment", values)["spec"]
    own = deployment["selector"]
    pod = deployment["template"]["spec"]
    assert pod["topologySpreadConstraints"] == [{**zones, "labelSelector": own}]
    assert pod["affinity"]["nodeAffinity"] == NODES
    apart = pod["affinity"]["podAntiAffinity"]
    (term,) = apart["preferredDuringSchedulingIgnoredDuringExecution"]
    assert term["podAffinityTerm"]["labelSelector"] == own


def test_where_the_service_runs_can_be_said_of_it_alone() -> None:
    own: Object = {"affinity": {"podAffinity": {}}, "topologySpreadConstraints": [{"maxSkew": 3}]}
    values = {"affinity": {"nodeAffinity": NODES}, "topologySpreadConstraints": [{"maxSkew": 1}]}
    pod = pod_of({**values, "api": {"replicas": 2, **own}})
    assert {name: pod[name] for name in own} == own


def test_without_the_service_there_is_nothing_of_it() -> None:
    everything = {"replicas": 2, "serviceMonitor": {"create": True}, "api": {"replicas": 2}}
    assert service_objects(text(everything)) == []
