"""What helm makes of the chart: the golden files, and what must hold for all of them."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.generating.schema import BY_THE_CHART, further_settings
from flowjob_operator.core.observed import Defaults
from flowjob_operator.process.permissions import AUTHORITY_SECRET, SERVICE_SECRET
from flowjob_operator.process.platforms import platform_of
from flowjob_operator.process.settings import Settings, in_file, read_settings
from flowjob_operator.rendering.layers import read_layer
from flowjob_operator.resources.flowjob_status import Source
from tests.chart.rendering import (
    CHART,
    KUBERNETES,
    NAMESPACE,
    Failed,
    Object,
    case,
    case_names,
    golden,
    helm,
    objects,
    pick,
    text,
)

pytestmark = pytest.mark.helm
each_case = pytest.mark.parametrize("name", case_names())


def test_helm_finds_nothing_to_complain_about() -> None:
    said = helm("lint", "--strict", str(CHART), "--kube-version", KUBERNETES)
    assert "[WARNING]" not in said
    assert "[ERROR]" not in said


@each_case
def test_golden_files_are_current(name: str) -> None:
    old, new = golden(name).read_text(), case(name)
    difference = "".join(difflib.unified_diff(old.splitlines(True), new.splitlines(True)))
    assert not difference, f"`python -m tests.chart.rendering` writes them anew:\n{difference}"


@each_case
def test_every_object_says_what_it_belongs_to(name: str) -> None:
    for found in objects(case(name)):
        if found["metadata"]["name"] in ("flowjob-extra", "of-text"):
            continue
        labels = found["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "flowjob"
        assert labels["app.kubernetes.io/part-of"] == "flowjob"


@each_case
def test_no_name_is_given_twice(name: str) -> None:
    places = [
        (o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"])
        for o in objects(case(name))
    ]
    assert len(places) == len(set(places))


def test_two_releases_of_one_name_share_no_object_of_the_cluster() -> None:
    everything = {"admissionPolicy": {"create": True}}
    names = [
        {
            (o["kind"], o["metadata"]["name"])
            for o in objects(text(everything, namespace=namespace))
            if "namespace" not in o["metadata"]
        }
        for namespace in ("a", "b")
    ]
    assert names[0]
    assert not names[0] & names[1]


def test_installations_of_one_owner_have_an_object_in_common_so_that_helm_refuses_the_second() -> (
    None
):
    """Names in use must not change, so that these two cannot be told apart."""
    for values in ({}, {"watchNamespaces": ["team-a"]}):
        first, second = (
            {
                (o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"])
                for o in objects(text(values, release=release, namespace=namespace))
                if "helm.sh/hook" not in o["metadata"].get("annotations", {})
            }
            for release, namespace in (("b", "a"), ("flowjob", "a-b"))
        )
        assert {kind for kind, _, _ in first & second} >= {"ClusterRole"}


@each_case
def test_pods_are_restricted(name: str) -> None:
    for found in objects(case(name)):
        if found["kind"] not in ("Deployment", "Job"):
            continue
        pod = found["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


# -- what the operator is told


def settings_of(rendered: str, tmp_path: Path) -> Any:
    found = objects(rendered)
    (config,) = [o for o in found if o["metadata"]["name"].endswith("-config")]
    file = tmp_path / "config.yaml"
    file.write_text(config["data"]["config.yaml"])
    return read_settings(["--config", str(file)], {})


@each_case
def test_the_operator_understands_what_it_is_told(name: str, tmp_path: Path) -> None:
    settings = settings_of(case(name), tmp_path)
    deployment = pick(objects(case(name)), "Deployment")
    assert settings.owner == f"{NAMESPACE}-{deployment['metadata']['name']}"
    (port,) = deployment["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert settings.port == port["containerPort"]


def test_the_installation_s_name_is_one_that_the_operator_takes(tmp_path: Path) -> None:
    def owner(release: str, namespace: str) -> str:
        return str(settings_of(text(release=release, namespace=namespace), tmp_path).owner)

    assert owner("flowjob", "a" * 55) == "a" * 55 + "-flowjob"  # 63 characters: as ever
    longer = [owner("flowjob", "a" * 55 + end) for end in ("a", "b", "-c")]
    assert len(set(longer)) == 3
    for each in (*longer, owner("r" * 53, "n" * 63), owner("flowjob", "a" * 51 + "-" + "b" * 10)):
        assert re.fullmatch("[a-z0-9-]{52}-[0-9a-f]{8}", each)


ACCOUNTS: list[tuple[Object, Object]] = [
    ({"watchNamespaces": ["team-a"]}, {"serviceAccountName": "flowjob-job"}),
    (
        {"watchNamespaces": ["team-a"], "jobs": {"serviceAccount": {"name": "ours"}}},
        {"serviceAccountName": "ours"},
    ),
    # It is not in every namespace with FlowJobs.
    ({"jobs": {"serviceAccount": {"name": "ours"}}}, {}),
    (
        {"watchNamespaces": ["team-a"], "jobs": {"serviceAccount": {"namespaces": ["team-b"]}}},
        {},
    ),
    # Somebody else makes it.
    (
        {
            "watchNamespaces": ["team-a"],
            "jobs": {"serviceAccount": {"create": False, "name": "flowjob-job"}},
        },
        {"serviceAccountName": "flowjob-job"},
    ),
    (
        {"jobs": {"serviceAccount": {"create": False, "name": "ours"}}},
        {"serviceAccountName": "ours"},
    ),
    ({"watchNamespaces": ["team-a"], "jobs": {"serviceAccount": {"create": False}}}, {}),
    (
        {
            "jobs": {"serviceAccount": {"create": False, "name": "ours"}},
            "defaults": {"serviceAccountName": "another"},
        },
        {"serviceAccountName": "another"},
    ),
]


@pytest.mark.parametrize(("values", "defaults"), ACCOUNTS)
def test_jobs_run_as_the_account_that_is_there(
    tmp_path: Path, values: Object, defaults: Object
) -> None:
    assert settings_of(text(values), tmp_path).defaults == defaults


def test_settings_reach_the_operator(tmp_path: Path) -> None:
    settings = settings_of(case("namespaces"), tmp_path)
    assert settings.namespaces == ("platform", "team-a", "team-b")
    assert settings.label_selector == "tier=gold"
    assert (settings.concurrency, settings.resync) == (4, 120.0)
    assert (settings.log_level, settings.log_format) == ("debug", "text")
    assert (settings.poll, settings.api_requests, settings.dry_run) == (5.0, 20, True)
    assert settings.defaults == {"serviceAccountName": "flowjob-job"}


def test_what_the_chart_does_not_know_of_can_be_set_all_the_same() -> None:
    told = yaml.safe_load(pick(objects(case("defaults")), "ConfigMap")["data"]["config.yaml"])
    assert BY_THE_CHART - set(told) == {"namespace", "identity"}
    assert set(told) <= BY_THE_CHART
    names = {in_file(field.name) for field in dataclasses.fields(Settings)}
    assert names == BY_THE_CHART | set(further_settings())


def test_defaults_reach_the_operator_by_path(tmp_path: Path) -> None:
    settings = settings_of(case("production"), tmp_path)
    assert settings.image == "registry.example.com/platform/flowjob-worker:0.1.0-slim"
    layer = read_layer(Defaults(source=Source.CHART, values=settings.defaults))
    assert layer.problems == ()
    assert layer.values["checkpoints.interval"] == "30s"
    assert layer.values["checkpoints.retained"] == 5
    assert layer.values["imagePullSecrets"] == [{"name": "registry"}]
    assert layer.values["taskManager.resources"]["limits"] == {"memory": "2Gi"}
    assert layer.values["config.exchange.compression"] == "lz4"


def test_policies_for_jobs_reach_the_operator(tmp_path: Path) -> None:
    platform = platform_of(settings_of(case("production"), tmp_path))
    deployment = pick(objects(case("production")), "Deployment")
    assert platform.operator_labels == deployment["spec"]["selector"]["matchLabels"]
    assert platform.network_policies
    assert len(platform.prometheus) == 1
    assert platform.egress is None
    platform = platform_of(settings_of(case("namespaces"), tmp_path))
    assert platform.egress == ({"ports": [{"port": 443}]},)
    off = settings_of(text({"jobs": {"networkPolicy": {"create": False}}}), tmp_path)
    assert not platform_of(off).network_policies


def test_the_environment_names_settings_that_exist() -> None:
    (container,) = pick(objects(case("defaults")), "Deployment")["spec"]["template"]["spec"][
        "containers"
    ]
    given = {e["name"]: "x" for e in container["env"] if e["name"].startswith("FLOWJOB_OPERATOR_")}
    del given["FLOWJOB_OPERATOR_CONFIG"]
    settings = read_settings([], given)
    assert (settings.namespace, settings.identity) == ("x", "x")
    assert len(given) == 2


def test_a_changed_configuration_makes_new_pods_and_nothing_else_does() -> None:
    def annotation(values: Object) -> str:
        template = pick(objects(text(values)), "Deployment")["spec"]["template"]
        return str(template["metadata"]["annotations"]["flowjob.dev/config"])

    unchanged = annotation({})
    assert annotation({"service": {"port": 80}}) == unchanged
    assert annotation({"defaults": {"checkpoints.retained": 7}}) != unchanged


# -- permissions


def rules(role: Object) -> list[tuple[str, str, str]]:
    return [
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def test_with_namespaces_given_nothing_of_the_operator_is_cluster_wide() -> None:
    wide = [
        o["metadata"]["name"]
        for o in objects(case("namespaces"))
        if o["kind"].startswith("Cluster")
        and "helm.sh/hook" not in o["metadata"].get("annotations", {})
    ]
    assert wide == [f"platform-gold-{role}" for role in ("admin", "edit", "view")]
    places = [
        o["metadata"]["namespace"]
        for o in objects(case("namespaces"))
        if o["kind"] == "Role" and o["metadata"]["name"] == "platform-gold-jobs"
    ]
    assert places == ["platform", "team-a", "team-b"]


@each_case
def test_every_binding_names_a_role_and_an_account_that_exist(name: str) -> None:
    found = objects(case(name))
    kinds = {(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in found}
    for binding in (o for o in found if o["kind"].endswith("Binding") and "roleRef" in o):
        role = binding["roleRef"]
        place = None if role["kind"] == "ClusterRole" else binding["metadata"]["namespace"]
        assert (role["kind"], place, role["name"]) in kinds
        for subject in binding["subjects"]:
            assert ("ServiceAccount", subject["namespace"], subject["name"]) in kinds


def secrets_of_its_own(values: Object) -> set[str]:
    role = pick(objects(text(values)), "Role", "flowjob")
    return {name for rule in role["rules"] for name in rule.get("resourceNames", ())}


def test_the_secret_of_the_rest_service_is_touched_only_where_there_is_one() -> None:
    assert secrets_of_its_own({}) == {AUTHORITY_SECRET}
    assert secrets_of_its_own({"api": {"enabled": True}}) == {AUTHORITY_SECRET, SERVICE_SECRET}


def test_policies_hold_where_the_operator_looks_unless_something_else_is_said() -> None:
    def selectors(values: Object) -> list[Object | None]:
        return [
            o["spec"].get("matchResources", {}).get("namespaceSelector")
            for o in objects(text(values))
            if o["kind"] == "ValidatingAdmissionPolicyBinding"
        ]

    on: Object = {"create": True}
    names = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["team-a", "b"]}
    some: Object = {"watchNamespaces": ["team-a", "b"]}
    said = {"matchLabels": {"jobs": "yes"}}
    assert selectors({"admissionPolicy": on}) == [None, None]
    assert selectors({"admissionPolicy": on, **some}) == [{"matchExpressions": [names]}] * 2
    for more in ({}, some):
        policy = {**on, "namespaceSelector": said}
        assert selectors({"admissionPolicy": policy, **more}) == [said, said]


@each_case
def test_no_role_has_a_wildcard(name: str) -> None:
    for found in objects(case(name)):
        if found["kind"] in ("Role", "ClusterRole"):
            assert "*" not in str(rules(found)), found["metadata"]["name"]


def test_the_hook_may_touch_our_definitions_only() -> None:
    role = pick(objects(case("defaults")), "ClusterRole", "platform-flowjob-crds")
    for rule in role["rules"]:
        assert rule["resourceNames"] == ["flowjobs.flowjob.dev", "flowsnapshots.flowjob.dev"]
    assert {verb for _, _, verb in rules(role)} == {"get", "create", "patch"}


def test_service_accounts_of_jobs_outlive_the_release() -> None:
    account = pick(objects(case("defaults")), "ServiceAccount", "flowjob-job")
    assert account["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert account["automountServiceAccountToken"] is False


# -- what hangs together


def test_services_budgets_and_policies_find_the_operator_s_pods_and_not_the_hook_s() -> None:
    found = objects(case("production"))
    labels = pick(found, "Deployment")["spec"]["template"]["metadata"]["labels"]
    others = pick(found, "Job")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        pick(found, "Deployment")["spec"]["selector"]["matchLabels"],
        pick(found, "Service")["spec"]["selector"],
        pick(found, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        pick(found, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert not selector.items() <= others.items()
    monitor = pick(found, "ServiceMonitor")["spec"]
    assert (
        monitor["selector"]["matchLabels"].items()
        <= pick(found, "Service")["metadata"]["labels"].items()
    )
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in {p["name"] for p in pick(found, "Service")["spec"]["ports"]}


def test_labels_of_pods_cannot_hide_them_from_their_deployment() -> None:
    rendered = text({"podLabels": {"app.kubernetes.io/name": "mine"}})
    deployment = pick(objects(rendered), "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"].items() <= labels.items()


def test_one_replica_has_no_budget_which_would_keep_its_node_from_being_drained() -> None:
    kinds = {o["kind"] for o in objects(case("defaults"))}
    assert "PodDisruptionBudget" not in kinds


# -- every setting


def flags(values: Object, *path: str) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Places of all yes-or-no settings, and what they are."""
    for name, value in values.items():
        if isinstance(value, bool):
            yield (*path, name), value
        elif isinstance(value, dict):
            yield from flags(value, *path, name)


VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
FLAGS = [
    (path, value)
    for path, value in flags(VALUES)
    if path[0] not in ("podSecurityContext", "securityContext")
]
NEEDS = {
    ("serviceMonitor", "create"): {},
    ("serviceAccount", "create"): {"name": "a"},
    ("api", "serviceAccount", "create"): {"name": "a"},
}


@pytest.mark.parametrize(("path", "value"), FLAGS, ids=[".".join(p) for p, _ in FLAGS])
def test_turning_it_round_changes_what_is_rendered_and_breaks_nothing(
    path: tuple[str, ...], value: bool
) -> None:
    """Against everything that is on request being on."""
    base: Object = {
        "replicas": 2,
        "admissionPolicy": {"create": True},
        "networkPolicy": {"create": True},
        "api": {"enabled": True},
    }
    changed: Object = {path[-1]: not value, **NEEDS.get(path, {})}
    for name in reversed(path[:-1]):
        changed = {name: changed}
    (group,) = changed
    if isinstance(base.get(group), dict) and path[-1] != "create":
        changed = {group: {**base[group], **changed[group]}}
    elif path[:2] == ("admissionPolicy", "create") or path[:2] == ("networkPolicy", "create"):
        changed = {group: {"create": False}}
    elif group == "api":
        changed = {group: {**base[group], **changed[group]}}
    if path == ("api", "enabled"):
        changed = {group: {"enabled": False}}
    assert objects(text({**base, **changed})) != objects(text(base))


def test_every_setting_of_pods_is_where_kubernetes_looks_for_it() -> None:
    pod = pick(objects(case("production")), "Deployment")["spec"]["template"]
    assert pod["spec"]["priorityClassName"] == "system-cluster-critical"
    assert pod["spec"]["nodeSelector"] == {"pool": "platform"}
    assert pod["spec"]["tolerations"][0]["key"] == "dedicated"
    assert pod["spec"]["topologySpreadConstraints"][0]["maxSkew"] == 1
    assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["metadata"]["annotations"]["example.com/scan"] == "yes"
    assert pod["metadata"]["labels"]["cost-centre"] == "12"
    (container,) = pod["spec"]["containers"]
    assert container["image"].startswith("registry.example.com/platform/flowjob-operator@sha256:")
    assert {"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"} in container["env"]
    spread = pod["spec"]["affinity"]["podAntiAffinity"]
    (term,) = spread["preferredDuringSchedulingIgnoredDuringExecution"]
    selector = term["podAffinityTerm"]["labelSelector"]["matchLabels"]
    assert selector.items() <= pod["metadata"]["labels"].items()


def test_the_hook_runs_where_the_operator_may_run() -> None:
    values: Object = {
        "runtimeClassName": "gvisor",
        "priorityClassName": "high",
        "nodeSelector": {"pool": "platform"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "imagePullSecrets": [{"name": "registry"}],
    }
    found = objects(text(values))
    for kind in ("Deployment", "Job"):
        pod = pick(found, kind)["spec"]["template"]["spec"]
        assert {name: pod.get(name) for name in values} == values, kind


# -- what is refused

REFUSED: list[tuple[Object, str]] = [
    ({"serviceMonitor": {"create": True}, "service": {"create": False}}, "needs service.create"),
    ({"serviceAccount": {"create": False}}, "is false: say in serviceAccount.name"),
    (
        {"api": {"enabled": True, "serviceAccount": {"create": False}}},
        "is false: say in api.serviceAccount.name",
    ),
    ({"admissionPolicy": {"create": True, "hostPath": True, "privileged": True}}, "is allowed"),
    ({"defaults": {"checkpoints.intervall": "1s"}}, "intervall"),
]


@pytest.mark.parametrize(("values", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_it_is_refused_with_a_reason(values: Object, words: str) -> None:
    with pytest.raises(Failed, match=re.escape(words)):
        text(values)


def test_kubernetes_that_lacks_what_it_needs_is_refused() -> None:
    with pytest.raises(Failed, match="kubeVersion"):
        helm("template", "flowjob", str(CHART), "--kube-version", "1.29.9")
