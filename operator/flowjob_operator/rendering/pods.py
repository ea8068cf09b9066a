"""A pod of a job: one container that runs `flowjob`, restricted as far as can be, and a user's template over it.

What is ours stands afterwards, whatever a template says. Knows nothing of what makes pods of this."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flowjob.cluster.identity import JobId
from flowjob_operator.rendering.merging import merge
from flowjob_operator.rendering.naming import (
    COMMAND,
    CONTAINER,
    JOB_FILE,
    PROBES,
    USER,
    labels,
)
from flowjob_operator.rendering.quantities import with_canonical
from flowjob_operator.rendering.volumes import Mounted
from flowjob_operator.resources.fields import Resources, quantity
from flowjob_operator.resources.flowjob_spec import FlowJobSpec

Object = dict[str, Any]

POD_SECURITY: Final[Mapping[str, Any]] = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
RESTRICTED: Final[Mapping[str, Any]] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}
"""For containers of templates as well: where the standard `restricted` is enforced, they would be refused."""
CONTAINER_SECURITY: Final[Mapping[str, Any]] = {**RESTRICTED, "readOnlyRootFilesystem": True}

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Libraries start a thread for each core of the node otherwise, whatever the pod may use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What tells the pods of a component from those of another.

    arguments  of `flowjob`
    processes  that share the container's cores
    """

    component: str
    revision: int
    arguments: Sequence[str]
    mounted: Sequence[Mounted]
    resources: Resources | None = None
    template: Mapping[str, Any] | None = None
    ports: Mapping[str, int] | None = None
    processes: int = 1
    probed: bool = False


def pod_template(job: JobId, spec: FlowJobSpec, role: Role, more: Mapping[str, Any]) -> Object:
    """As in a Deployment: metadata and spec. `more`: of the pod's spec, which a template may override."""
    container = _container(spec, role)
    base: Object = {
        "metadata": {"labels": labels(job.name, role.component, role.revision)},
        "spec": {
            "securityContext": dict(POD_SECURITY),
            "enableServiceLinks": False,
            **more,
            "containers": [container],
            "volumes": [m.volume for m in role.mounted if m.volume is not None],
        },
    }
    if spec.image_pull_secrets:
        secrets = [{"name": secret.name} for secret in spec.image_pull_secrets]
        base["spec"]["imagePullSecrets"] = secrets
    merged: Object = merge(base, role.template or {})
    _restrict_others(merged["spec"])
    made: Object = with_canonical(_with_what_is_ours(merged, base, spec))
    return made


def _with_what_is_ours(merged: Object, base: Object, spec: FlowJobSpec) -> Object:
    """Templates were judged before they came here (protection.py); these are their bounds all the same."""
    merged["metadata"]["labels"] |= base["metadata"]["labels"]
    merged["spec"] |= {
        "automountServiceAccountToken": False,
        "serviceAccountName": spec.service_account_name or "default",
    }
    (ours,) = base["spec"]["containers"]
    for container in merged["spec"]["containers"]:
        if container.get("name") == CONTAINER:
            container |= {
                k: ours[k] for k in ("image", "command", "args", "resources") if k in ours
            }
            if "ports" in ours:  # a template may have others, but not the same number for itself
                container["ports"] = merge(container.get("ports"), ours["ports"], "ports")
    return merged


def _restrict_others(spec: Object) -> None:
    for field in ("containers", "initContainers"):
        for container in spec.get(field) or ():
            said = container.get("securityContext") or {}
            # One that is privileged is so by its user's word, and cannot be restricted besides.
            if container.get("name") != CONTAINER and not said.get("privileged"):
                container["securityContext"] = merge(dict(RESTRICTED), said)


def _container(spec: FlowJobSpec, role: Role) -> Object:
    container: Object = {
        "name": CONTAINER,
        "image": spec.image or "",
        "command": list(COMMAND),
        "args": [*role.arguments, "--job-file", JOB_FILE],
        "env": _environment(role),
        "securityContext": dict(CONTAINER_SECURITY),
        "volumeMounts": [mounted.mount for mounted in role.mounted],
        # The end of the log says why, where a process could not say it itself.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if spec.image_pull_policy is not None:
        container["imagePullPolicy"] = spec.image_pull_policy.value
    if role.resources is not None:
        container["resources"] = {k: v for k, v in role.resources.wire().items() if v}
    if role.ports is not None:
        container["ports"] = [
            {"name": name, "containerPort": port, "protocol": "TCP"}
            for name, port in role.ports.items()
        ]
    return {**container, **_probes()} if role.probed else container


def _environment(role: Role) -> list[Object]:
    fields = {
        "POD_NAME": "metadata.name",
        "POD_NAMESPACE": "metadata.namespace",
        "POD_IP": "status.podIP",
    }
    told = [{"name": n, "valueFrom": {"fieldRef": {"fieldPath": p}}} for n, p in fields.items()]
    threads = str(threads_per_process(role.resources, role.processes))
    return [*told, *({"name": name, "value": threads} for name in _THREADS)]


def threads_per_process(resources: Resources | None, processes: int) -> int:
    """As many as each process has cores: of the limit, else of what is reserved, at least one."""
    said = Resources() if resources is None else resources
    cores = said.limits.get("cpu", said.requests.get("cpu", 1))
    return max(1, math.floor(quantity(cores) / processes))


def _probes() -> Object:
    """Starting may take five minutes: programs are installed and imported. Whoever hangs for a minute then is ended."""

    def probe(path: str, **times: int) -> Object:
        return {"httpGet": {"path": path, "port": PROBES}, **times}

    return {
        "startupProbe": probe("/livez", periodSeconds=2, timeoutSeconds=2, failureThreshold=150),
        "livenessProbe": probe("/livez", periodSeconds=10, timeoutSeconds=5, failureThreshold=6),
        "readinessProbe": probe("/readyz", periodSeconds=2, timeoutSeconds=2, failureThreshold=2),
    }
