"""A job without the operator: the manifests that a person would write by hand, in the words of the command line.

They prove the images and the cluster apart from the operator. Everything else here must not know of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.e2e.harness.storage import ENDPOINT, REGION, Bucket
from tests.e2e.harness.tools import Object

ROOT = Path(__file__).parent.parent.parent.parent
SCRIPT = ROOT / "tests" / "recovery" / "verified_job.py"
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
TASK_MANAGERS = 2


def manifests(image: str, bucket: Bucket, arguments: Mapping[str, str]) -> list[Object]:
    """JobManager, TaskManagers and what they need; the job writes below `results/` of the bucket."""
    script = {"verified_job.py": SCRIPT.read_text()}
    words = [
        *("jobmanager", "/etc/flowjob/script/verified_job.py:job", "--parallelism", "2"),
        *("--listen", "0.0.0.0:7400", "--advertise", "$(ADDRESS):7400"),
        *("--checkpoints", f"{bucket.url}/state", "--endpoint", ENDPOINT),
        *("--checkpoint-interval", "1s", "--arg", f"out={bucket.url}/results"),
        *(word for name, value in arguments.items() for word in ("--arg", f"{name}={value}")),
    ]
    worker = [
        *("taskmanager", "--jobmanager", "verified-jm:7400", "--host", "$(ADDRESS)"),
        *("--name", "$(NAME)", "--directory", "/var/lib/flowjob"),
    ]
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "token"},
            "stringData": {"FLOWJOB_TOKEN": "of-this-test-only"},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "script"},
            "data": script,
        },
        _service("verified-jm", "jobmanager"),
        _service("verified-tm", "taskmanager"),
        _workload("Deployment", "jobmanager", "verified-jm", _pod(image, words)),
        _workload("StatefulSet", "taskmanager", "verified-tm", _pod(image, worker)),
    ]


def _service(name: str, component: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {"component": component},
            "ports": [{"port": 7400}],
        },
    }


def _workload(kind: str, component: str, name: str, pod: Object) -> Object:
    labels = {"component": component}
    spec: Object = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    if kind == "StatefulSet":
        spec |= {"serviceName": name, "podManagementPolicy": "Parallel", "replicas": TASK_MANAGERS}
    else:
        spec |= {"strategy": {"type": "Recreate"}}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _pod(image: str, words: list[str]) -> Object:
    def of_pod(path: str) -> Object:
        return {"fieldRef": {"fieldPath": path}}

    container = {
        "name": "flowjob",
        "image": image,
        "args": words,
        "env": [
            {"name": "ADDRESS", "valueFrom": of_pod("status.podIP")},
            {"name": "NAME", "valueFrom": of_pod("metadata.name")},
            {"name": "AWS_ENDPOINT_URL", "value": ENDPOINT},
            {"name": "AWS_REGION", "value": REGION},
            # A kernel that has to be compiled in a pod fails the job.
            {"name": "FLOWJOB_KERNELS", "value": "require"},
        ],
        "envFrom": [{"secretRef": {"name": name}} for name in ("token", "storage")],
        "securityContext": RESTRICTED,
        "volumeMounts": [
            {"name": "script", "mountPath": "/etc/flowjob/script"},
            {"name": "scratch", "mountPath": "/var/lib/flowjob"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,
        "containers": [container],
        "volumes": [
            {"name": "script", "configMap": {"name": "script"}},
            {"name": "scratch", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
