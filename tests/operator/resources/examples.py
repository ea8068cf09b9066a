"""Specs of FlowJobs and FlowSnapshots that are taken, and ones that are refused, with what the refusal must say.

Where a schema is enough to see what is wrong, `by` is SCHEMA; where it takes a rule in CEL, RULE: only an API server
finds those. Both lists are checked by the light checker in the default suite and by a real API server."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

Spec = dict[str, Any]
SCHEMA: Literal["schema"] = "schema"
RULE: Literal["rule"] = "rule"

MINIMAL: Spec = {"job": {"entrypoint": "flights:job"}}

FULL: Spec = {
    "image": "registry.example/flights:7",
    "imagePullPolicy": "IfNotPresent",
    "imagePullSecrets": [{"name": "registry"}],
    "serviceAccountName": "flights",
    "job": {
        "artifact": "s3://bucket/code/flights-7.whl",
        "main": "flights.jobs:hourly",
        "args": {"source": "s3://bucket/flights", "hours": 1, "on": "true"},
        "parallelism": 4,
        "maxParallelism": 256,
        "state": "Suspended",
        "restoreFrom": {"snapshot": "before-7"},
        "allowNonRestored": True,
        "stop": {"drain": True},
        "restarts": {
            "strategy": "FailureRate",
            "attempts": 3,
            "delay": "0s",
            "longest": "1m",
            "failures": 3,
            "within": "5m",
        },
        "restartNonce": 1,
        "restoreNonce": 20261121,
        "savepointNonce": 0,
        "checkpointNonce": 2**53 - 1,
    },
    "checkpoints": {
        "storage": "s3://bucket/prefix",
        "endpoint": "http://s3.storage:9000",
        "region": "eu-central-1",
        "secretRef": {"name": "s3"},
        "caBundleRef": {"name": "ca", "key": "bundle.pem"},
        "interval": "1m30s",
        "minPause": "0s",
        "timeout": "10m",
        "mode": "ExactlyOnce",
        "unaligned": "Auto",
        "alignmentTimeout": "250ms",
        "retained": 3,
        "spillBytes": "256Mi",
        "maxConcurrent": 2,
        "tolerableFailures": 0,
    },
    "snapshots": {"schedule": "0 */6 * * MON-FRI", "retention": {"count": 7, "maxAge": "30d"}},
    "upgrade": {
        "mode": "LastState",
        "fallback": "Wait",
        "savepointTimeout": "5m",
        "maxCheckpointAge": "10m",
        "preflight": "Skip",
        "preflightTimeout": "1m",
        "slotsTimeout": "2m",
        "rollback": {"enabled": True, "checkpoints": 3, "deadline": "10m"},
    },
    "jobManager": {
        "replicas": 2,
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": 2}},
        "podTemplate": {"spec": {"nodeSelector": {"disk": "fast"}}},
    },
    "taskManager": {
        "slots": 2,
        "resources": {"requests": {"cpu": 2, "memory": "4Gi"}, "limits": {"memory": "4Gi"}},
        "localVolume": {"size": "20Gi", "storageClassName": "fast"},
        "podTemplate": {"metadata": {"labels": {"team": "air"}}},
    },
    "config": {"exchange.compression": "lz4", "batch_rows": 8192},
    "security": {"dataPlane": "TLS"},
    "metrics": {"detail": "Subtask"},
    "deletionPolicy": "Savepoint",
    "deletionTimeout": "10m",
    "priorState": "Resume",
}
"""Every field."""


class Refused(NamedTuple):
    """`says`: a part of the message."""

    what: str
    spec: Spec
    by: Literal["schema", "rule"]
    says: str


def job(**fields: Any) -> Spec:
    return {"job": {"entrypoint": "flights:job", **fields}}


def and_(**fields: Any) -> Spec:
    return {**MINIMAL, **fields}


TAKEN: dict[str, Spec] = {
    "no more than an entrypoint": MINIMAL,
    "every field": FULL,
    "a script": {"job": {"script": "import flowjob as fj\n"}},
    "a script of 128 KiB": {"job": {"script": "#" * (128 * 1024)}},
    "an artifact that is a script": {"job": {"artifact": "s3://bucket/flights.py"}},
    "a snapshot to begin with": job(restoreFrom={"snapshot": "before"}),
    "a path to begin with": job(restoreFrom={"path": "s3://bucket/savepoints/before"}),
    "another job to begin with": job(restoreFrom={"job": "other"}),
    "no checkpoints by the clock": and_(checkpoints={"interval": "Off"}),
    "rows that may count twice": and_(checkpoints={"mode": "AtLeastOnce", "unaligned": "Never"}),
    "storage on a volume": and_(checkpoints={"storage": "file:///state/flowjob"}),
    "storage in a bucket": and_(checkpoints={"storage": "s3://bucket"}),
    "a day's schedule": and_(snapshots={"schedule": "@daily"}),
    "an interval as a schedule": and_(snapshots={"schedule": "@every 1h30m"}),
    "parallelism at its bound": job(parallelism=8, maxParallelism=8),
    "groups that are empty": and_(checkpoints={}, upgrade={}, taskManager={}),
    "a duration with a fraction": and_(checkpoints={"interval": "0.5s"}),
    "requests without limits": and_(taskManager={"resources": {"requests": {"cpu": "100m"}}}),
}

REFUSED: list[Refused] = [
    Refused("no job", {}, SCHEMA, "job"),
    Refused("no program", {"job": {}}, RULE, "exactly one of entrypoint, script and artifact"),
    Refused(
        "two programs", job(script="x"), RULE, "exactly one of entrypoint, script and artifact"
    ),
    Refused(
        "an entrypoint that is a file", {"job": {"entrypoint": "flights.py:"}}, SCHEMA, "entry"
    ),
    Refused("a path as entrypoint", {"job": {"entrypoint": "app/flights"}}, SCHEMA, "entrypoint"),
    Refused("an empty script", {"job": {"script": ""}}, SCHEMA, "script"),
    Refused("a script too long", {"job": {"script": "#" * (128 * 1024 + 1)}}, SCHEMA, "script"),
    Refused(
        "an artifact of another kind", {"job": {"artifact": "s3://b/x.tar"}}, SCHEMA, "artifact"
    ),
    Refused(
        "credentials in a link",
        {"job": {"artifact": "https://host/x.py?token=1"}},
        SCHEMA,
        "artifact",
    ),
    Refused(
        "a wheel without main", {"job": {"artifact": "s3://b/x.whl"}}, RULE, "say in main where"
    ),
    Refused("main beside an entrypoint", job(main="a:b"), RULE, "main says where"),
    Refused("an argument that is a list", job(args={"a": [1]}), SCHEMA, "args"),
    Refused("an argument that is true", job(args={"a": True}), SCHEMA, "args"),
    Refused("parallelism 0", job(parallelism=0), SCHEMA, "parallelism"),
    Refused("parallelism as text", job(parallelism="4"), SCHEMA, "parallelism"),
    Refused("max parallelism too large", job(maxParallelism=32769), SCHEMA, "maxParallelism"),
    Refused(
        "parallelism above its bound", job(parallelism=9, maxParallelism=8), RULE, "must not exceed"
    ),
    Refused("a state that is none", job(state="Paused"), SCHEMA, "state"),
    Refused(
        "nothing to restore", job(restoreFrom={}), RULE, "exactly one of snapshot, path and job"
    ),
    Refused(
        "two things to restore",
        job(restoreFrom={"snapshot": "a", "job": "b"}),
        RULE,
        "exactly one of snapshot, path and job",
    ),
    Refused("itself to restore", job(restoreFrom={"job": "refused"}), RULE, "priorState says"),
    Refused("restoring from nowhere", job(restoreNonce=1), RULE, "restoreNonce needs restoreFrom"),
    Refused("a nonce as text", job(restartNonce="again"), SCHEMA, "restartNonce"),
    Refused("a nonce below 0", job(restartNonce=-1), SCHEMA, "restartNonce"),
    Refused("a strategy that is none", job(restarts={"strategy": "Never"}), SCHEMA, "strategy"),
    Refused("storage in a web", and_(checkpoints={"storage": "https://host/x"}), SCHEMA, "storage"),
    Refused("storage beside", and_(checkpoints={"storage": "/state"}), SCHEMA, "storage"),
    Refused("secrets in a URL", and_(checkpoints={"endpoint": "s3.host"}), SCHEMA, "endpoint"),
    Refused("a secret without name", and_(checkpoints={"secretRef": {}}), SCHEMA, "name"),
    Refused("an interval of nothing", and_(checkpoints={"interval": "0s"}), SCHEMA, "interval"),
    Refused("an interval without unit", and_(checkpoints={"interval": "10"}), SCHEMA, "interval"),
    Refused("an interval as number", and_(checkpoints={"interval": 10}), SCHEMA, "interval"),
    Refused("a timeout of nothing", and_(checkpoints={"timeout": "0m0s"}), SCHEMA, "timeout"),
    Refused("a pause below 0", and_(checkpoints={"minPause": "-1s"}), SCHEMA, "minPause"),
    Refused("nothing retained", and_(checkpoints={"retained": 0}), SCHEMA, "retained"),
    Refused("spilling a word", and_(checkpoints={"spillBytes": "much"}), SCHEMA, "spillBytes"),
    Refused(
        "overtaking where nothing waits",
        and_(checkpoints={"mode": "AtLeastOnce", "unaligned": "Auto"}),
        RULE,
        "leave unaligned out",
    ),
    Refused("a schedule of words", and_(snapshots={"schedule": "sometimes"}), SCHEMA, "schedule"),
    Refused("a schedule of 4 fields", and_(snapshots={"schedule": "0 * * *"}), SCHEMA, "schedule"),
    Refused("no snapshot kept", and_(snapshots={"retention": {"count": 0}}), SCHEMA, "count"),
    Refused("a mode that is none", and_(upgrade={"mode": "Fast"}), SCHEMA, "mode"),
    Refused("a fallback to nothing", and_(upgrade={"fallback": "Stateless"}), SCHEMA, "fallback"),
    Refused("three JobManagers", and_(jobManager={"replicas": 3}), SCHEMA, "replicas"),
    Refused(
        "memory of a word",
        and_(taskManager={"resources": {"limits": {"memory": "4 GB"}}}),
        SCHEMA,
        "memory",
    ),
    Refused(
        "requests above limits",
        and_(
            taskManager={
                "resources": {"requests": {"memory": "5Gi"}, "limits": {"memory": "4096Mi"}}
            }
        ),
        RULE,
        "must not exceed",
    ),
    Refused("no slots", and_(taskManager={"slots": 0}), SCHEMA, "slots"),
    Refused("a volume without size", and_(taskManager={"localVolume": {}}), SCHEMA, "size"),
    Refused("a template as text", and_(taskManager={"podTemplate": "x"}), SCHEMA, "podTemplate"),
    Refused("a pull secret twice", and_(imagePullSecrets=[{"name": "a"}] * 2), RULE, "Duplicate"),
    Refused("an image of two words", and_(image="a b"), SCHEMA, "image"),
    Refused("a policy that is none", and_(deletionPolicy="Delete"), SCHEMA, "deletionPolicy"),
]

SNAPSHOTS_TAKEN: dict[str, Spec] = {
    "of a job": {"jobRef": {"name": "flights"}},
    "a checkpoint": {"jobRef": {"name": "flights"}, "type": "Checkpoint"},
    "imported": {"path": "s3://bucket/savepoints/before", "deletionPolicy": "Retain"},
    "imported by itself": {
        "path": "s3://bucket/x",
        "storage": {
            "endpoint": "http://s3:9000",
            "region": "eu",
            "secretRef": {"name": "s3"},
            "caBundleRef": {"name": "ca"},
            "image": "flowjob-worker:1",
            "serviceAccountName": "reader",
        },
    },
}
SNAPSHOTS_REFUSED: list[Refused] = [
    Refused("nothing asked for", {}, RULE, "give jobRef, to take a snapshot"),
    Refused("a job as text", {"jobRef": "flights"}, SCHEMA, "jobRef"),
    Refused("a type that is none", {"jobRef": {"name": "a"}, "type": "Full"}, SCHEMA, "type"),
    Refused("a place that is none", {"path": "bucket/x"}, SCHEMA, "path"),
    Refused("storage of a job", {"jobRef": {"name": "a"}, "storage": {}}, RULE, "without path"),
    Refused(
        "a checkpoint from elsewhere",
        {"path": "s3://bucket/x", "type": "Checkpoint"},
        RULE,
        "what is imported is a savepoint",
    ),
    Refused(
        "erasing by a word",
        {"jobRef": {"name": "a"}, "deletionPolicy": "Delete"},
        SCHEMA,
        "deletionPolicy",
    ),
]
