"""Revisions to render: from the least that a user can say to everything at once."""

from __future__ import annotations

from typing import Any

from flowjob.cluster.identity import JobId
from flowjob.cluster.job_file import Restore
from flowjob_operator.core.observed import Defaults
from flowjob_operator.core.revision import Revision
from flowjob_operator.rendering.effective import effective
from flowjob_operator.rendering.platform import Platform
from flowjob_operator.rendering.revisions import Now, Rendered, render
from flowjob_operator.resources.flowjob_spec import FlowJobSpec
from flowjob_operator.resources.flowjob_status import Code, Source
from tests.operator.resources.examples import MINIMAL, Spec

Object = dict[str, Any]

JOB = JobId("air", "flights", "11111111-2222-3333-4444-555555555555")
IMAGE = "flowjob-worker:0.1.0"
PLATFORM = Platform(
    namespace="flowjob-system",
    prometheus=(
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}},
    ),
)
NOW = Now(restore=Restore(), task_managers=2)

STORAGE: Spec = {"checkpoints": {"storage": "s3://bucket/flowjob"}}

SCRIPT: Spec = {
    **STORAGE,
    "job": {"script": 'import flowjob as fj\n\njob = fj.Job("Flüge")\n', "parallelism": 3},
    "taskManager": {"slots": 2},
}

ARTIFACT: Spec = {
    "job": {
        "artifact": "s3://bucket/code/flights-7.whl",
        "main": "flights.jobs:hourly",
        "args": {"hours": 1, "on": "true"},
    },
    "checkpoints": {
        "storage": "s3://bucket/flowjob",
        "endpoint": "https://s3.storage:9000",
        "region": "eu",
        "secretRef": {"name": "s3"},
        "caBundleRef": {"name": "ca", "key": "bundle.pem"},
        "interval": "1m",
        "spillBytes": "256Mi",
    },
}

SAVEPOINT: Spec = {**MINIMAL, **STORAGE, "deletionPolicy": "Savepoint"}

TEMPLATE: Spec = {
    "metadata": {"labels": {"team": "air"}, "annotations": {"note": "by hand"}},
    "spec": {
        "nodeSelector": {"disk": "fast"},
        "priorityClassName": "streaming",
        "tolerations": [
            {
                "key": "node.kubernetes.io/unreachable",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 3,
            },
            {"key": "dedicated", "operator": "Equal", "value": "jobs", "effect": "NoSchedule"},
        ],
        "volumes": [
            {"name": "models", "configMap": {"name": "models"}},
            {"name": "flowjob-tmp", "emptyDir": {"sizeLimit": "1Gi"}},
        ],
        "containers": [
            {
                "name": "flowjob",
                "env": [{"name": "TZ", "value": "UTC"}, {"name": "OMP_NUM_THREADS", "value": "4"}],
                "volumeMounts": [{"name": "models", "mountPath": "/models", "readOnly": True}],
                "ports": [{"name": "debug", "containerPort": 5678}],
                "livenessProbe": {"failureThreshold": 12},
            },
            {"name": "shipper", "image": "shipper:1", "args": ["--follow"]},
        ],
        "initContainers": [{"name": "warm", "image": "shipper:1", "args": ["--once"]}],
    },
}

EVERYTHING: Spec = {
    "image": "registry.example/flights:7",
    "imagePullPolicy": "IfNotPresent",
    "imagePullSecrets": [{"name": "registry"}],
    "serviceAccountName": "flights",
    "job": {
        "entrypoint": "flights:job",
        "args": {"source": "s3://bucket/flights", "hours": 1},
        "parallelism": 5,
        "maxParallelism": 256,
        "restarts": {"strategy": "FailureRate", "failures": 3, "within": "5m", "delay": "0s"},
    },
    "checkpoints": {
        "storage": "s3://bucket/flowjob",
        "endpoint": "http://s3.storage:9000",
        "region": "eu-central-1",
        "secretRef": {"name": "s3"},
        "caBundleRef": {"name": "ca"},
        "interval": "1m30s",
        "mode": "ExactlyOnce",
        "unaligned": "Auto",
        "alignmentTimeout": "250ms",
        "retained": 3,
        "spillBytes": "256Mi",
        "tolerableFailures": 0,
    },
    "jobManager": {
        "replicas": 2,
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": 2}},
        "podTemplate": TEMPLATE,
    },
    "taskManager": {
        "slots": 2,
        "resources": {
            "requests": {"cpu": 2, "memory": "4Gi"},
            "limits": {"memory": "4Gi", "cpu": 4},
        },
        "localVolume": {"size": "20Gi", "storageClassName": "fast"},
        "podTemplate": TEMPLATE,
    },
    "config": {"exchange.compression": "lz4", "batch_rows": 8192},
    "security": {"dataPlane": "TLS"},
    "metrics": {"detail": "Subtask"},
    "deletionPolicy": "Retain",
}

SPECS: dict[str, Spec] = {
    "small": MINIMAL,
    "everything": EVERYTHING,
    "script": SCRIPT,
    "artifact": ARTIFACT,
    "savepoint": SAVEPOINT,
}

CODE = {
    "artifact": Code(
        digest=f"sha256:{'ab' * 32}", location="s3://bucket/flowjob/x/artifacts/ab/f.whl"
    )
}


def of_chart(values: dict[str, object]) -> Defaults:
    return Defaults(source=Source.CHART, values=values)


def of_namespace(values: dict[str, object]) -> Defaults:
    return Defaults(source=Source.NAMESPACE, values=values)


def a_revision(spec: Spec, number: int = 3, code: Code | None = None, **fields: Any) -> Revision:
    written = FlowJobSpec.of(spec)
    settled = effective(written, image=IMAGE)
    assert settled.problems == settled.refused == ()
    return Revision(
        **{"number": number, "base": number, "template": number, **fields},
        written=written,
        spec=settled.spec,
        code=code or Code(),
    )


def rendered(spec: Spec, job: JobId = JOB, **fields: Any) -> Rendered:
    return render(job, a_revision(spec, **fields), PLATFORM)


def one(objects: Any, kind: str, name: str | None = None) -> Object:
    (found,) = (o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"]))
    return dict(found)


def container(workload: Object, name: str = "flowjob") -> Object:
    (found,) = (c for c in workload["spec"]["template"]["spec"]["containers"] if c["name"] == name)
    return dict(found)
