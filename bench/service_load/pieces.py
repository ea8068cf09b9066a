"""What the processes of the load have in common: which jobs there are, who asks, and what they may.

Data only, the same in every process."""

from __future__ import annotations

from typing import Any, Final

from flowjob.cluster.identity import JobId

NAMESPACES: Final = 20
SERVICE: Final = "service-token"
MANAGERS: Final = "FLOWJOB_BENCH_MANAGERS"
"""In the environment: ports of the JobManagers that there are, of the first jobs."""

Object = dict[str, Any]


def namespace(number: int) -> str:
    return f"team-{number % NAMESPACES:02}"


def job(number: int) -> JobId:
    return JobId(namespace(number), f"orders-{number:04}", f"0f3c9a7e-0000-4000-8000-{number:012}")


def token(person: int) -> str:
    return f"person-{person}-" + "x" * 900  # as long as a ServiceAccount's


def user_of(given: str) -> str | None:
    kind, _, rest = given.partition("-")
    return f"person-{rest.partition('-')[0]}" if kind == "person" else None


def may(user: str, place: str) -> bool:
    """Every second person may see all namespaces, the others a half of them."""
    number = int(user.rpartition("-")[2])
    if number % 2 == 0:
        return True
    return bool(place) and int(place.rpartition("-")[2]) % 2 == number // 2 % 2


def flowjob(number: int, version: int, life: int = 0) -> Object:
    """As large as real ones: a status with what is in force, and who owns which field."""
    about = job(number)
    uid = f"{about.uid[:-2]}{life:02}" if life else about.uid
    effective = {
        f"section{n}.setting{n}": {"value": f"value {n}", "source": "chart"} for n in range(25)
    }
    owned = {f"f:field{n}": {"f:inner": {}, "f:other": {}} for n in range(40)}
    condition = {"status": "True", "reason": "Running", "message": "the job runs", "observedGeneration": 1,
                 "lastTransitionTime": "2026-03-01T11:00:12Z"}  # fmt: skip
    kinds = ("Ready", "Progressing", "Degraded", "CheckpointFresh", "Reconciling", "Stalled")
    conditions = [{**condition, "type": kind} for kind in kinds]
    for one in conditions[1:3] + conditions[4:]:
        one["status"] = "False"
    latest = {"type": "Checkpoint", "id": version, "path": f"s3://bucket/orders/{version}", "size": 1_204_000,
              "completedAt": "2026-03-01T12:00:00.000Z", "checksum": "0" * 64}  # fmt: skip
    return {
        "apiVersion": "flowjob.dev/v1beta1",
        "kind": "FlowJob",
        "metadata": {
            "name": about.name, "namespace": about.namespace, "uid": uid, "generation": 1,
            "creationTimestamp": "2026-03-01T11:00:00Z", "resourceVersion": str(version),
            "labels": {"team": about.namespace, "app.kubernetes.io/part-of": "shop"},
            "managedFields": [{"manager": "flowjob-operator", "operation": "Update", "fieldsV1": owned}],
        },
        "spec": {"image": "registry.example/orders:7", "job": {"entrypoint": "orders:job", "parallelism": 4},
                 "checkpoints": {"storage": "s3://bucket/orders"}},
        "status": {
            "phase": "Running", "observedGeneration": 1, "parallelism": 4, "maxParallelism": 128,
            "job": {"state": "Running", "attempt": 1, "restarts": 0, "startedAt": "2026-03-01T11:00:12Z"},
            "conditions": conditions, "lastCheckpointTime": "2026-03-01T12:00:00Z", "stateBytes": version,
            "checkpoints": {"completed": version, "latest": latest}, "effective": effective,
        },
    }  # fmt: skip
