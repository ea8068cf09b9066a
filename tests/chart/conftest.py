"""An API server for the chart's tests, in which nothing of ours is, and what is asked of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import NAMESPACE, Object
from tests.e2e.cluster.api import Api, Refusal
from tests.e2e.cluster.control_plane import NotBuilt, control_plane, programs

SERVED_SECONDS = 60.0

PLACES = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/{}serviceaccounts",
    "ConfigMap": "/api/v1/{}configmaps",
    "Service": "/api/v1/{}services",
    "Pod": "/api/v1/{}pods",
    "Deployment": "/apis/apps/v1/{}deployments",
    "Job": "/apis/batch/v1/{}jobs",
    "Role": "/apis/rbac.authorization.k8s.io/v1/{}roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/{}rolebindings",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "PodDisruptionBudget": "/apis/policy/v1/{}poddisruptionbudgets",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/{}networkpolicies",
    "ServiceMonitor": "/apis/monitoring.coreos.com/v1/{}servicemonitors",
    "PodMonitor": "/apis/monitoring.coreos.com/v1/{}podmonitors",
    "PrometheusRule": "/apis/monitoring.coreos.com/v1/{}prometheusrules",
    "ValidatingAdmissionPolicy": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": (
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
    ),
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "FlowJob": "/apis/flowjob.dev/v1beta1/{}flowjobs",
    "FlowSnapshot": "/apis/flowjob.dev/v1beta1/{}flowsnapshots",
}


def place(kind: str, namespace: str = NAMESPACE) -> str:
    return PLACES[kind].format(f"namespaces/{namespace}/")


@dataclass(frozen=True)
class Cluster:
    """As its administrator sees it."""

    api: Api
    folder: Path

    def namespace(self, name: str, **labels: str) -> str:
        """Made, if it is not there."""
        body = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": name,
                "labels": {k.replace("__", "/"): v for k, v in labels.items()},
            },
        }
        try:
            self.api.create(place("Namespace"), body)
        except Refusal as refusal:
            if refusal.status != 409:
                raise
        return name

    def make(self, body: Object, options: str = "") -> Object:
        namespace = body["metadata"].get("namespace", NAMESPACE)
        return self.api.create(place(body["kind"], namespace) + options, body)

    def apply(self, body: Object) -> Object:
        """Server-side, by force: also over what an earlier test has made."""
        path = place(body["kind"], body["metadata"].get("namespace", NAMESPACE))
        return self.api.apply(
            f"{path}/{body['metadata']['name']}", body, manager="test", force=True
        )

    def token(self, account: str, namespace: str = NAMESPACE) -> str:
        """As a pod of the ServiceAccount has it."""
        made = self.api.create(
            f"{place('ServiceAccount', namespace)}/{account}/token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
        )
        return str(made["status"]["token"])

    def seen_by(self, token: str) -> Api:
        return Api(self.api.address, self.api.certificates, token)

    def kubeconfig(self, token: str, name: str) -> Path:
        """A file for clients that want one."""
        file = self.folder / f"{name}.kubeconfig"
        cluster = {
            "server": self.api.address,
            "certificate-authority": str(self.api.certificates),
        }
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": "me", "user": {"token": token}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        }
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(content))
        return file

    def may(self, user: str, verb: str, resource: str, namespace: str = "", name: str = "") -> bool:
        """`kubectl auth can-i --as`. `resource` is `group/plural/subresource`, the first and last may be missing."""
        group, _, plural = resource.rpartition("//") if "//" in resource else ("", "", resource)
        plural, _, sub = plural.partition("/")
        asked = {
            "verb": verb,
            "group": group,
            "resource": plural,
            "subresource": sub,
            "namespace": namespace,
            "name": name,
        }
        answer = self.api.create(
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {"user": user, "resourceAttributes": asked},
            },
        )
        return bool(answer["status"]["allowed"])


@pytest.fixture(scope="session")
def empty_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Without our kinds."""
    try:
        folder = programs()
    except NotBuilt as error:
        pytest.fail(str(error))
    state = tmp_path_factory.mktemp("control-plane")
    with control_plane(folder, state) as api:
        cluster = Cluster(api, state)
        cluster.namespace(NAMESPACE)
        yield cluster


def until(what: Callable[[], Any]) -> Any:
    """What it gives, once that is something. Raises TimeoutError."""
    give_up = time.monotonic() + SERVED_SECONDS
    while time.monotonic() < give_up:
        if found := what():
            return found
        time.sleep(0.1)
    raise TimeoutError("it did not come about")
