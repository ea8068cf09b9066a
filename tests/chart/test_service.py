"""What the chart makes for the REST service: it may look and ask, and change nothing."""

from __future__ import annotations

from typing import Any

import pytest

from flowjob_api.cluster_settings import read
from tests.chart.rendering import Object, case, objects, text

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


def test_without_the_service_there_is_nothing_of_it() -> None:
    assert service_objects(text({})) == []
