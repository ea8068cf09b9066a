"""The chart's objects in a real API server: taken as they are, permissions enough and no more, policies that hold.

No controller runs there and no pod: that the release works is for the tests of whole clusters."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from functools import partial
from typing import Any

import pytest

from flowjob_operator.crds.comparing import VERSION_ANNOTATION
from flowjob_operator.process.permissions import AUTHORITY_SECRET, PERMISSIONS
from flowjob_operator.resources.crd import definition
from flowjob_operator.resources.kinds import CRD_VERSION, KINDS
from tests.chart.conftest import Cluster, place, until
from tests.chart.rendering import (
    CHART,
    NAMESPACE,
    Failed,
    Object,
    case,
    case_names,
    helm,
    objects,
    pick,
    text,
)
from tests.e2e.cluster.api import Refusal
from tests.e2e.cluster.control_plane import programs

pytestmark = [pytest.mark.kubernetes, pytest.mark.helm, pytest.mark.timeout(600)]

MONITORING = {
    "ServiceMonitor": "servicemonitors",
    "PodMonitor": "podmonitors",
    "PrometheusRule": "prometheusrules",
}


@pytest.fixture(scope="session")
def cluster(empty_cluster: Cluster) -> Cluster:
    """With our kinds, as the hook makes them, and stand-ins for those of the Prometheus operator."""
    applied = apply_definitions(empty_cluster, hook_token(empty_cluster))
    assert applied.returncode == 0, applied.stderr
    for kind, plural in MONITORING.items():
        empty_cluster.apply(a_free_definition("monitoring.coreos.com", kind, plural))
    for kind in MONITORING:
        until(lambda kind=kind: served(empty_cluster, kind))
    for namespace in ("team-a", "team-b", "elsewhere", "monitoring", "shop", "bank"):
        empty_cluster.namespace(namespace)
    return empty_cluster


def served(cluster: Cluster, kind: str) -> bool:
    try:
        cluster.api.get(place(kind))
    except Refusal:
        return False
    return True


def a_free_definition(group: str, kind: str, plural: str) -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


# -- the hook


def hook_token(cluster: Cluster) -> str:
    """Of the hook's ServiceAccount, with the hook's permissions and no others."""
    for found in objects(case("defaults")):
        if "helm.sh/hook" in found["metadata"].get("annotations", {}) and found["kind"] != "Job":
            cluster.apply(found)
    return cluster.token("flowjob-crds")


def apply_definitions(cluster: Cluster, token: str) -> subprocess.CompletedProcess[str]:
    """What the hook's pod runs."""
    job = pick(objects(case("defaults")), "Job")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KUBERNETES_")}
    return subprocess.run(
        [sys.executable, *container["command"][1:]],
        env={**environment, "KUBECONFIG": str(cluster.kubeconfig(token, "hook"))},
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_the_hook_makes_the_definitions_and_then_leaves_them_alone(cluster: Cluster) -> None:
    names = [definition(kind)["metadata"]["name"] for kind in KINDS]
    generations = [generation_of(cluster, name) for name in names]
    applied = apply_definitions(cluster, hook_token(cluster))
    assert applied.stdout.splitlines() == [f"{name} unchanged" for name in names]
    assert [generation_of(cluster, name) for name in names] == generations


def generation_of(cluster: Cluster, name: str) -> int:
    return int(
        cluster.api.get(f"{place('CustomResourceDefinition')}/{name}")["metadata"]["generation"]
    )


def test_the_hook_takes_over_what_kubectl_has_applied_and_adds_what_is_missing(
    cluster: Cluster,
) -> None:
    where = f"{place('CustomResourceDefinition')}/flowjobs.flowjob.dev"
    there = cluster.api.get(where)
    del there["spec"]["versions"][0]["additionalPrinterColumns"]
    del there["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"][
        "properties"
    ]["priorState"]
    cluster.api.replace(f"{where}?fieldManager=kubectl-client-side-apply", there)
    applied = apply_definitions(cluster, hook_token(cluster))
    assert applied.stdout.splitlines()[0] == "flowjobs.flowjob.dev changed"
    (version,) = cluster.api.get(where)["spec"]["versions"]
    assert version["additionalPrinterColumns"]
    assert "priorState" in version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]


def test_the_hook_refuses_to_go_back_and_changes_nothing(cluster: Cluster) -> None:
    where = f"{place('CustomResourceDefinition')}/flowsnapshots.flowjob.dev"
    newer = {"metadata": {"annotations": {VERSION_ANNOTATION: str(CRD_VERSION + 1)}}}
    cluster.api.patch(where, newer)
    generation = generation_of(cluster, "flowjobs.flowjob.dev")
    try:
        applied = apply_definitions(cluster, hook_token(cluster))
    finally:
        newer["metadata"]["annotations"][VERSION_ANNOTATION] = str(CRD_VERSION)
        cluster.api.patch(where, newer)
    assert applied.returncode == 1
    assert "nothing was changed" in applied.stderr
    assert f"version {CRD_VERSION + 1}" in applied.stderr
    assert generation_of(cluster, "flowjobs.flowjob.dev") == generation


def test_without_its_role_the_hook_says_what_it_lacks(cluster: Cluster) -> None:
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "nobody", "namespace": NAMESPACE},
    }
    cluster.apply(account)
    applied = apply_definitions(cluster, cluster.token("nobody"))
    assert applied.returncode == 2
    assert "403 Forbidden" in applied.stderr
    assert "customresourcedefinitions" in applied.stderr


def test_the_hook_may_do_nothing_else(cluster: Cluster) -> None:
    hook_token(cluster)
    user = f"system:serviceaccount:{NAMESPACE}:flowjob-crds"
    definitions = "apiextensions.k8s.io//customresourcedefinitions"
    assert cluster.may(user, "patch", definitions, name="flowjobs.flowjob.dev")
    assert not cluster.may(user, "patch", definitions, name="certificates.cert-manager.io")
    assert not cluster.may(user, "create", definitions, name="certificates.cert-manager.io")
    for verb in ("delete", "list", "update"):
        assert not cluster.may(user, verb, definitions, name="flowjobs.flowjob.dev")
    assert not cluster.may(user, "get", "secrets", NAMESPACE)
    assert not cluster.may(user, "list", "flowjob.dev//flowjobs", NAMESPACE)


# -- the objects


@pytest.mark.parametrize("name", case_names())
def test_every_object_is_one_that_kubernetes_knows_field_by_field(
    cluster: Cluster, name: str
) -> None:
    for found in objects(case(name)):
        found["metadata"]["name"] += "-anew"
        made = cluster.make(found, "?dryRun=All&fieldValidation=Strict")
        assert made["metadata"]["uid"]


@pytest.mark.parametrize("name", case_names())
def test_pods_pass_the_restricted_standard(cluster: Cluster, name: str) -> None:
    namespace = cluster.namespace(
        "restricted", **{"pod-security.kubernetes.io__enforce": "restricted"}
    )
    for found in objects(case(name)):
        if found["kind"] in ("Deployment", "Job"):
            template = copy.deepcopy(found["spec"]["template"])
            template["spec"].pop("runtimeClassName", None)
            template["spec"].pop("priorityClassName", None)
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {**template["metadata"], "name": "a", "namespace": namespace},
                "spec": template["spec"],
            }
            assert cluster.make(pod, "?dryRun=All&fieldValidation=Strict")


def test_a_pod_that_is_not_restricted_would_be_refused(cluster: Cluster) -> None:
    namespace = cluster.namespace(
        "restricted", **{"pod-security.kubernetes.io__enforce": "restricted"}
    )
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "namespace": namespace},
        "spec": {"containers": [{"name": "a", "image": "a"}]},
    }
    with pytest.raises(Refusal, match="PodSecurity"):
        cluster.make(pod, "?dryRun=All")


def test_helm_installs_upgrades_and_leaves_what_must_stay(cluster: Cluster) -> None:
    """Without the hook, whose Job no controller would start."""
    namespace = cluster.namespace("released")
    kubeconfig = str(cluster.kubeconfig(cluster.api.token, "helm"))
    where = ("--namespace", namespace, "--kubeconfig", kubeconfig)
    said = helm("install", "flowjob", str(CHART), "--no-hooks", *where)
    assert "rollout status deployment/flowjob" in said
    values = ("--set", "replicas=2", "--set", "admissionPolicy.create=true")
    helm("upgrade", "flowjob", str(CHART), "--no-hooks", *where, *values)
    deployment = cluster.api.get(f"{place('Deployment', namespace)}/flowjob")
    assert deployment["spec"]["replicas"] == 2
    helm("uninstall", "flowjob", "--no-hooks", *where)
    with pytest.raises(Refusal, match="not found"):
        cluster.api.get(f"{place('Deployment', namespace)}/flowjob")
    assert cluster.api.get(f"{place('ServiceAccount', namespace)}/flowjob-job")
    assert until(lambda: served(cluster, "FlowJob"))


def test_helm_refuses_a_second_release_that_could_not_be_told_from_the_first(
    cluster: Cluster,
) -> None:
    kubeconfig = str(cluster.kubeconfig(cluster.api.token, "helm"))
    for namespace in ("a", "a-b"):
        cluster.namespace(namespace)
    options = ("--no-hooks", "--kubeconfig", kubeconfig)
    helm("install", "b", str(CHART), "--namespace", "a", *options)
    try:
        with pytest.raises(Failed, match="cannot be imported into the current release"):
            helm("install", "flowjob", str(CHART), "--namespace", "a-b", *options)
    finally:
        helm("uninstall", "b", "--namespace", "a", *options)


def test_the_recipe_that_keeps_the_data_has_it_kept_before_it_deletes(cluster: Cluster) -> None:
    """A finalizer of the test's holds the objects, so that what they said in the end can be seen."""
    page = (CHART.parent.parent / "docs/installing.md").read_text()
    blocks = re.findall(r"^```\n(.*?)^```", page, re.M | re.S)
    told = next(
        i for i, block in enumerate(blocks) if "deletionPolicy" in block and "while" in block
    )
    recipe = blocks[told] + blocks[told + 1].partition("helm uninstall")[0]
    commands = recipe.replace("--all-namespaces\n", "-A --wait=false\n")
    held = {"name": "s", "finalizers": ["example.com/test"]}
    where = [place("FlowSnapshot", namespace) + "/s" for namespace in ("team-a", "team-b")]
    for namespace, spec in (("team-a", {}), ("team-b", {"deletionPolicy": "Discard"})):
        cluster.make(
            {
                "apiVersion": "flowjob.dev/v1beta1",
                "kind": "FlowSnapshot",
                "metadata": {**held, "namespace": namespace},
                "spec": {"jobRef": {"name": "flights"}, **spec},
            }
        )
    config = cluster.kubeconfig(cluster.api.token, "kubectl")
    environment = {
        "PATH": f"{programs()}:{os.environ['PATH']}",
        "HOME": str(cluster.folder),
        "KUBECONFIG": str(config),
    }
    subprocess.run(["bash", "-euc", commands], env=environment, check=True, timeout=100)
    for each in where:
        found = cluster.api.get(each)
        assert found["spec"]["deletionPolicy"] == "Retain"
        assert found["metadata"]["deletionTimestamp"]
        cluster.api.patch(each, {"metadata": {"finalizers": None}})


# -- permissions


OPERATOR = f"system:serviceaccount:{NAMESPACE}:flowjob"
GOLD = f"system:serviceaccount:{NAMESPACE}:gold"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
RESOURCES = sorted(
    {f"{p.group}//{p.resource}" for p in PERMISSIONS}
    | {
        "//pods/exec",
        "//pods/log",
        "//pods/ephemeralcontainers",
        "//serviceaccounts",
        "//serviceaccounts/token",
        "//persistentvolumeclaims",
        "//nodes/proxy",
        "apps//daemonsets",
        "batch//cronjobs",
        "flowjob.dev//flowjobs/scale",
        "rbac.authorization.k8s.io//clusterroles",
        "rbac.authorization.k8s.io//clusterrolebindings",
        "admissionregistration.k8s.io//validatingadmissionpolicies",
        "certificates.k8s.io//certificatesigningrequests",
    }
)


def bind(cluster: Cluster, name: str) -> None:
    for found in objects(case(name)):
        if "Role" in found["kind"] or found["kind"] == "ServiceAccount":
            cluster.apply(found)


def granted(*places: str) -> set[tuple[str, str]]:
    return {
        (f"{p.group}//{p.resource}", verb)
        for p in PERMISSIONS
        if p.where in places and not p.names
        for verb in p.verbs
    }


def allowed(cluster: Cluster, user: str, namespace: str) -> set[tuple[str, str]]:
    """Of everything that is worth asking for, on objects of any name."""
    return {
        (resource, verb)
        for resource in RESOURCES
        for verb in VERBS
        if cluster.may(user, verb, resource, namespace)
    }


def test_cluster_wide_the_operator_may_do_what_it_needs_and_nothing_else(cluster: Cluster) -> None:
    bind(cluster, "defaults")
    assert allowed(cluster, OPERATOR, "elsewhere") == granted("jobs", "cluster")
    assert allowed(cluster, OPERATOR, NAMESPACE) == granted("jobs", "cluster", "own")


def test_with_namespaces_given_it_may_do_it_there_only(cluster: Cluster) -> None:
    bind(cluster, "namespaces")
    # A Role has no say over what belongs to no namespace.
    for namespace in ("team-a", "team-b"):
        assert allowed(cluster, GOLD, namespace) == granted("jobs")
    assert allowed(cluster, GOLD, "elsewhere") == set()
    assert allowed(cluster, GOLD, "") == set()


def test_of_the_secrets_it_reads_its_own_authority_alone(cluster: Cluster) -> None:
    bind(cluster, "defaults")
    assert cluster.may(OPERATOR, "get", "secrets", NAMESPACE, AUTHORITY_SECRET)
    assert not cluster.may(OPERATOR, "get", "secrets", NAMESPACE, "other")
    assert not cluster.may(OPERATOR, "get", "secrets", "elsewhere", AUTHORITY_SECRET)
    for verb in ("list", "watch"):
        assert not cluster.may(OPERATOR, verb, "secrets", NAMESPACE)


def test_it_can_give_nobody_any_permission(cluster: Cluster) -> None:
    bind(cluster, "namespaces")
    operator = cluster.seen_by(cluster.token("gold"))
    body = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "a-jm", "namespace": "team-a"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}],
    }
    with pytest.raises(Refusal, match="cannot create resource"):
        operator.create(place("Role", "team-a"), body)


ROLES: list[tuple[str, set[str], set[str]]] = [
    (
        "view",
        {"get flowjobs", "watch flowsnapshots", "get flowjobs/log", "get flowjobs/scale"},
        {"patch flowjobs", "delete flowsnapshots", "patch flowjobs/scale"},
    ),
    (
        "edit",
        {"create flowjobs", "delete flowsnapshots", "patch flowjobs/scale"},
        {"patch flowjobs/status", "deletecollection flowjobs"},
    ),
    (
        "admin",
        {"deletecollection flowjobs"},
        {"patch flowjobs/status", "update flowsnapshots/status"},
    ),
]


@pytest.mark.parametrize(("role", "may", "may_not"), ROLES, ids=[role for role, _, _ in ROLES])
def test_the_cluster_s_own_roles_are_given(
    cluster: Cluster, role: str, may: set[str], may_not: set[str]
) -> None:
    """By label: the controller that follows it does not run here."""
    bind(cluster, "defaults")
    made = pick(objects(case("defaults")), "ClusterRole", f"{NAMESPACE}-flowjob-{role}")
    aggregate = cluster.api.get(f"{place('ClusterRole')}/{role}")["aggregationRule"]
    (selector,) = aggregate["clusterRoleSelectors"]
    assert selector["matchLabels"].items() <= made["metadata"]["labels"].items()
    user = f"a-{role}"
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": user, "namespace": "team-a"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": made["metadata"]["name"],
        },
        "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
    }
    cluster.apply(binding)
    for wanted, words in ((True, may), (False, may_not)):
        for verb, resource in (word.split() for word in words):
            said = partial(cluster.may, user, verb, f"flowjob.dev//{resource}", "team-a")
            assert until(said) if wanted else not said(), (verb, resource)


# -- policies


def flowjob(**spec: Any) -> Object:
    return {
        "apiVersion": "flowjob.dev/v1beta1",
        "kind": "FlowJob",
        "metadata": {"name": "flights", "namespace": "held"},
        "spec": {"job": {"entrypoint": "flights:job"}, **spec},
    }


def templated(**pod: Any) -> Object:
    return flowjob(taskManager={"podTemplate": {"spec": pod}})


def container(**fields: Any) -> Object:
    return templated(containers=[{"name": "flowjob", **fields}])


def a_pod(**pod: Any) -> Object:
    main = {"name": "flowjob", "image": "registry.example.com/platform/flowjob-worker:1"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "flights-tm-0",
            "namespace": "held",
            "labels": {
                "app.kubernetes.io/managed-by": "flowjob-operator",
                "flowjob.dev/job": "flights",
            },
        },
        "spec": {"serviceAccountName": "flights", "containers": [main], **pod},
    }


IMAGE, ACCOUNT, SECRET = "image is used", "ServiceAccount is used", "Secret is used"
NODE, RIGHTS, SHARED = "hostPath", "may not be privileged", "the node's network"
OTHER = "registry.example.com/other:1"

HELD: list[tuple[str, Object, str]] = [
    ("an image of somebody", flowjob(image=OTHER), IMAGE),
    (
        "a name that only begins alike",
        flowjob(image="registry.example.com/team/flights-evil:1"),
        IMAGE,
    ),
    (
        "a folder that only begins alike",
        flowjob(image="registry.example.com/platform-evil/a"),
        IMAGE,
    ),
    ("an image in a template", container(image=OTHER), IMAGE),
    (
        "an image of a container that runs first",
        templated(initContainers=[{"name": "a", "image": OTHER}]),
        IMAGE,
    ),
    (
        "an image as a volume",
        templated(volumes=[{"name": "a", "image": {"reference": OTHER}}]),
        IMAGE,
    ),
    ("another ServiceAccount", flowjob(serviceAccountName="admin"), ACCOUNT),
    ("another ServiceAccount in a template", templated(serviceAccountName="admin"), ACCOUNT),
    ("by its old name", templated(serviceAccount="admin"), ACCOUNT),
    ("storage by another Secret", flowjob(checkpoints={"secretRef": {"name": "admin"}}), SECRET),
    (
        "a Secret as a volume",
        templated(volumes=[{"name": "a", "secret": {"secretName": "admin"}}]),
        SECRET,
    ),
    (
        "a projected Secret",
        templated(
            volumes=[{"name": "a", "projected": {"sources": [{"secret": {"name": "admin"}}]}}]
        ),
        SECRET,
    ),
    ("a Secret as environment", container(envFrom=[{"secretRef": {"name": "admin"}}]), SECRET),
    (
        "a key of a Secret",
        container(
            env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "admin", "key": "a"}}}]
        ),
        SECRET,
    ),
    (
        "the identity of another job",
        templated(volumes=[{"name": "a", "secret": {"secretName": "other-identity"}}]),
        SECRET,
    ),
    (
        "a directory of the node",
        templated(volumes=[{"name": "a", "hostPath": {"path": "/"}}]),
        NODE,
    ),
    ("a privileged container", container(securityContext={"privileged": True}), RIGHTS),
    ("more rights later", container(securityContext={"allowPrivilegeEscalation": True}), RIGHTS),
    ("a capability", container(securityContext={"capabilities": {"add": ["NET_ADMIN"]}}), RIGHTS),
    ("the node's network", templated(hostNetwork=True), SHARED),
    ("the node's processes", templated(hostPID=True), SHARED),
    ("a port of the node", container(ports=[{"containerPort": 1, "hostPort": 1}]), SHARED),
    (
        "a JobManager's template",
        flowjob(jobManager={"podTemplate": {"spec": {"hostIPC": True}}}),
        SHARED,
    ),
    ("a pod with an image of somebody", a_pod(containers=[{"name": "a", "image": OTHER}]), IMAGE),
    (
        "a pod with a directory of the node",
        a_pod(volumes=[{"name": "a", "hostPath": {"path": "/"}}]),
        NODE,
    ),
    (
        "a pod with another's identity",
        a_pod(volumes=[{"name": "a", "secret": {"secretName": "other-identity"}}]),
        SECRET,
    ),
    ("a pod as somebody else", a_pod(serviceAccountName="admin"), ACCOUNT),
]

FREE: list[tuple[str, Object]] = [
    ("a job that says nothing", flowjob()),
    (
        "an image below an allowed folder",
        flowjob(image="registry.example.com/platform/deep/worker:1"),
    ),
    ("an allowed image with a tag", flowjob(image="registry.example.com/team/flights:2")),
    (
        "an allowed image by digest",
        flowjob(image=f"registry.example.com/team/flights@sha256:{'0' * 64}"),
    ),
    (
        "allowed ServiceAccount and Secret",
        flowjob(serviceAccountName="flights", checkpoints={"secretRef": {"name": "flights-s3"}}),
    ),
    (
        "a template without a spec",
        flowjob(jobManager={"podTemplate": {"metadata": {"labels": {"a": "b"}}}}),
    ),
    (
        "a template with harmless things",
        templated(
            nodeSelector={"a": "b"},
            volumes=[{"name": "a", "emptyDir": {}}],
            containers=[
                {
                    "name": "flowjob",
                    "env": [{"name": "A", "value": "b"}],
                    "securityContext": {"capabilities": {"drop": ["ALL"]}},
                }
            ],
        ),
    ),
    (
        "a pod as the operator makes them",
        a_pod(
            volumes=[
                {"name": "identity", "secret": {"secretName": "flights-identity"}},
                {"name": "storage", "secret": {"secretName": "storage"}},
            ]
        ),
    ),
    (
        "a pod of something else",
        {
            **a_pod(hostNetwork=True, serviceAccountName="admin"),
            "metadata": {"name": "a", "namespace": "held"},
        },
    ),
]


@pytest.fixture(scope="session")
def held(cluster: Cluster) -> Cluster:
    """With the policies of the production values, once they are in force."""
    cluster.namespace("held")
    cluster.namespace("sandbox")
    for found in objects(case("production")):
        if found["kind"].startswith("ValidatingAdmissionPolicy"):
            cluster.apply(found)

    def in_force() -> bool:
        probes = (flowjob(image=OTHER), a_pod(containers=[{"name": "a", "image": OTHER}]))
        return all(refusal_of(cluster, probe) is not None for probe in probes)

    until(in_force)
    return cluster


def refusal_of(cluster: Cluster, body: Object) -> Refusal | None:
    try:
        cluster.make(body, "?dryRun=All")
    except Refusal as refusal:
        return refusal
    return None


@pytest.mark.parametrize(
    ("body", "words"), [(b, w) for _, b, w in HELD], ids=[w for w, _, _ in HELD]
)
def test_the_policy_refuses(held: Cluster, body: Object, words: str) -> None:
    refusal = refusal_of(held, body)
    assert refusal is not None
    assert refusal.status == 403, refusal
    assert words in refusal.message


@pytest.mark.parametrize("body", [b for _, b in FREE], ids=[w for w, _ in FREE])
def test_the_policy_lets_pass(held: Cluster, body: Object) -> None:
    assert refusal_of(held, body) is None


def test_the_policy_holds_in_the_namespaces_that_it_is_for(held: Cluster) -> None:
    body = flowjob(image=OTHER)
    body["metadata"]["namespace"] = "sandbox"
    assert refusal_of(held, body) is None


def test_what_was_there_before_the_policy_can_be_labelled_ended_and_not_made_worse(
    held: Cluster,
) -> None:
    bindings = [o for o in objects(case("production")) if o["kind"].endswith("PolicyBinding")]
    for binding in bindings:
        held.api.delete(f"{place(binding['kind'])}/{binding['metadata']['name']}")
    old = flowjob(image=OTHER)
    old["metadata"]["finalizers"] = ["flowjob.dev/state"]
    until(lambda: refusal_of(held, old) is None)
    held.make(old)
    for binding in bindings:
        held.apply(binding)
    another = container(image=OTHER)
    another["metadata"]["name"] = "another"
    until(lambda: refusal_of(held, another) is not None)
    where = f"{place('FlowJob', 'held')}/flights"
    assert held.api.patch(where, {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(Refusal, match=IMAGE):
        held.api.patch(where, {"spec": {"job": {"parallelism": 2}}})
    held.api.delete(where)
    held.api.patch(where, {"metadata": {"finalizers": None}})
    with pytest.raises(Refusal, match="not found"):
        held.api.get(where)


def test_a_policy_that_only_warns_lets_pass(held: Cluster) -> None:
    rendered = text({"admissionPolicy": {"create": True, "actions": ["Warn", "Audit"]}})
    for found in objects(rendered):
        if found["kind"].startswith("ValidatingAdmissionPolicy"):
            assert held.make(
                {**found, "metadata": {**found["metadata"], "name": "warns"}}, "?dryRun=All"
            )
