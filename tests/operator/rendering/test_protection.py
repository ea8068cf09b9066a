"""What a pod template may not say, with the sentence that refuses it; and what it may."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob_operator.rendering.protection import refusals
from tests.operator.rendering.examples import TEMPLATE


def ours(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "flowjob", **fields}]}}


def pod(**fields: Any) -> dict[str, Any]:
    return {"spec": fields}


def sidecar(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "shipper", "image": "x", **fields}]}}


def mount(path: str, name: str = "mine") -> dict[str, Any]:
    return {"volumeMounts": [{"name": name, "mountPath": path}]}


REFUSED = {
    "an owner": ({"metadata": {"ownerReferences": []}}, "metadata.ownerReferences cannot be said"),
    "a name": ({"metadata": {"name": "x"}}, "metadata.name cannot be said"),
    "our labels": (
        {"metadata": {"labels": {"app.kubernetes.io/name": "x"}}},
        "metadata.labels: `app.kubernetes.io/name` is flowjob's own",
    ),
    "a label like ours": (
        {"metadata": {"labels": {"flowjob.dev/anything": "x"}}},
        "metadata.labels: `flowjob.dev/anything` is flowjob's own",
    ),
    "an annotation of ours": (
        {"metadata": {"annotations": {"flowjob.dev/pause": "x"}}},
        "metadata.annotations: `flowjob.dev/pause` is flowjob's own",
    ),
    "something beside metadata and spec": ({"kind": "Pod"}, "kind is no part of a pod template"),
    "a command": (ours(command=["sh"]), "spec.containers[0].command cannot be changed"),
    "arguments": (ours(args=["x"]), "arguments of the program are in spec.job.args"),
    "an image": (ours(image="x"), "spec.containers[0].image is said in spec.image"),
    "resources": (
        ours(resources={}),
        "spec.containers[0].resources is said in the resources beside it",
    ),
    "a termination message": (ours(terminationMessagePath="/x"), "flowjob reads it"),
    "our port": (ours(ports=[{"containerPort": 7402}]), "spec.containers[0].ports[0]: ports 7400"),
    "our port's name": (
        ours(ports=[{"name": "api", "containerPort": 1}]),
        "their names are flowjob's",
    ),
    "our port in another container": (sidecar(ports=[{"containerPort": 7401}]), "flowjob's own"),
    "our variable": (ours(env=[{"name": "POD_IP", "value": "1"}]), "`POD_IP` is flowjob's own"),
    "a mount over the identity": (ours(**mount("/etc/flowjob/identity")), "would hide or change"),
    "a mount into the identity": (ours(**mount("/etc/flowjob/identity/ca.crt")), "would hide or"),
    "a mount over all of /etc": (
        ours(**mount("/etc")),
        "/etc would hide or change what flowjob mounts",
    ),
    "a mount by a detour": (ours(**mount("/srv/../etc//flowjob/")), "would hide or change"),
    "a mount over everything": (ours(**mount("/")), "would hide or change"),
    "a mount over the token": (
        ours(**mount("/var/run/secrets/kubernetes.io")),
        "what flowjob mounts at /var/run/secrets/kubernetes.io/serviceaccount",
    ),
    "our identity elsewhere": (
        sidecar(**mount("/x", "flowjob-identity")),
        "spec.containers[0].volumeMounts[0]: the volume `flowjob-identity` is for flowjob's own",
    ),
    "our identity in ours, elsewhere": (
        ours(**mount("/x", "flowjob-identity")),
        "own container only",
    ),
    "our credentials in an init container": (
        pod(initContainers=[{"name": "x", **mount("/x", "flowjob-storage")}]),
        "spec.initContainers[0].volumeMounts[0]: the volume `flowjob-storage`",
    ),
    "another source of our volume": (
        pod(volumes=[{"name": "flowjob-identity", "emptyDir": {}}]),
        "spec.volumes[0]: the volume `flowjob-identity` is flowjob's own",
    ),
    "another account": (pod(serviceAccountName="x"), "is said in spec.serviceAccountName"),
    "another account, by its old name": (pod(serviceAccount="x"), "spec.serviceAccountName"),
    "a token": (pod(automountServiceAccountToken=True), "can have a projected volume"),
    "another restart policy": (pod(restartPolicy="Never"), "flowjob counts on it"),
    "a host name": (pod(hostname="x"), "TaskManagers are known by it"),
    "a container without a name": (pod(containers=[{"image": "x"}]), "containers are merged by it"),
    "our name for an init container": (
        pod(initContainers=[{"name": "flowjob"}]),
        "`flowjob` is the name of flowjob's own container",
    ),
    "a text": ("text", "it is no map"),
    "metadata that is a list": ({"metadata": []}, "metadata is no map"),
    "labels that are a list": ({"metadata": {"labels": ["x"]}}, "metadata.labels is no map"),
    "a spec that is a text": ({"spec": "x"}, "spec is no map"),
    "containers that are a map": (pod(containers={"name": "x"}), "spec.containers is no list"),
    "a container that is a text": (pod(containers=["x"]), "spec.containers[0] is no map"),
    "mounts that are a map": (ours(volumeMounts={}), "spec.containers[0].volumeMounts is no list"),
    "variables that are texts": (ours(env=["A=1"]), "spec.containers[0].env[0] is no map"),
    "ports that are numbers": (ours(ports=[80]), "spec.containers[0].ports[0] is no map"),
    "volumes that are texts": (pod(volumes=["x"]), "spec.volumes[0] is no map"),
}


@pytest.mark.parametrize(("template", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_ours_is_refused_with_a_reason(template: Any, says: str) -> None:
    (sentence,) = refusals(template)
    assert says in sentence


ALLOWED: dict[str, Any] = {
    "nothing": {},
    "nulls": {"metadata": None, "spec": {"containers": None, "volumes": [None]}},
    "much at once": TEMPLATE,
    "a faster disk": pod(volumes=[{"name": "flowjob-scratch", "hostPath": {"path": "/nvme"}}]),
    "a disk of one's own for scratch files": ours(**mount("/var/lib/flowjob")),
    "a mount whose path begins alike": ours(**mount("/etc/flowjob-models")),
    "a mount beside": ours(**mount("/etc/ssl/certs")),
    "the user of one's own image": ours(securityContext={"runAsUser": 1234}),
    "a variable of our threads": ours(env=[{"name": "OMP_NUM_THREADS", "value": "8"}]),
    "our places in another container": sidecar(**mount("/etc/flowjob")),
    "a variable like ours in another container": sidecar(env=[{"name": "POD_IP", "value": "x"}]),
    "a longer grace": pod(terminationGracePeriodSeconds=300),
    "labels of a team": {"metadata": {"labels": {"app.kubernetes.io/part-of": "air"}}},
}


@pytest.mark.parametrize("template", ALLOWED.values(), ids=ALLOWED)
def test_everything_else_is_the_users_business(template: Any) -> None:
    assert refusals(template) == []


WORDS = "metadata spec labels containers initContainers name ports volumes volumeMounts mountPath env flowjob"
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS.split()), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=50)
@given(anything)
def test_a_template_of_any_shape_is_judged(template: Any) -> None:
    assert all(isinstance(sentence, str) for sentence in refusals(template))
