"""What a job has besides its pods: Services, budgets for disruption, network policies, the program.

One function per kind of object, each pure. Objects carry no owner: that is added when they are applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowjob.cluster.identity import JobId
from flowjob_operator.core.revision import Revision
from flowjob_operator.rendering import job_files
from flowjob_operator.rendering.naming import (
    API,
    COMPONENT_LABEL,
    CONFIGURATION,
    JM_PORTS,
    JOB_LABEL,
    JOBMANAGER,
    NAME_LABEL,
    PROBES,
    TASKMANAGER,
    TM_PORTS,
    WORK_LABEL,
    Names,
    labels,
    selector,
)
from flowjob_operator.rendering.platform import Platform
from flowjob_operator.resources.flowjob_spec import FlowJobSpec

Object = dict[str, Any]


def shared_objects(job: JobId, revision: Revision, platform: Platform) -> tuple[Object, ...]:
    """Those that every revision has, and what only some have."""
    names, spec = Names(job), revision.spec
    found = [
        _service(job, names.job_managers, JOBMANAGER, JM_PORTS),
        _service(job, names.task_managers, TASKMANAGER, TM_PORTS),
        _budget(job, names.task_managers, TASKMANAGER),
        *script(job, spec),
    ]
    if spec.job_manager.replicas == 2:
        found.append(_budget(job, names.job_managers, JOBMANAGER))
    if platform.network_policies:
        found += [
            _network_policy(job, names.job_managers, JOBMANAGER, platform),
            _network_policy(job, names.task_managers, TASKMANAGER, platform),
        ]
    return tuple(found)


def an_object(api: str, kind: str, job: JobId, name: str, component: str = CONFIGURATION) -> Object:
    """Without anything but its name and labels."""
    metadata = {
        "name": name,
        "namespace": job.namespace,
        "labels": labels(job.name, component),
    }
    return {"apiVersion": api, "kind": kind, "metadata": metadata}


def config_map(
    job: JobId, name: str, data: Mapping[str, str], *, immutable: bool = False
) -> Object:
    made = {**an_object("v1", "ConfigMap", job, name), "data": dict(data)}
    return {**made, "immutable": True} if immutable else made


def script(job: JobId, spec: FlowJobSpec) -> list[Object]:
    """The program, where the spec has it. Named by its hash, it never changes under a pod that runs."""
    if spec.job.script is None:
        return []
    name = Names(job).script(spec.job.script)
    return [config_map(job, name, job_files.script_data(spec), immutable=True)]


def _service(job: JobId, name: str, component: str, ports: Mapping[str, int]) -> Object:
    """Headless: its name stands for all pods, ready or not. A JobManager that waits for TaskManagers is not ready."""
    return {
        **an_object("v1", "Service", job, name, component),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": selector(job.name, component),
            "ports": [
                {"name": n, "port": port, "targetPort": port, "protocol": "TCP"}
                for n, port in ports.items()
            ],
        },
    }


def _budget(job: JobId, name: str, component: str) -> Object:
    """One pod may be evicted at a time, and always one that is not ready, or its node could not be drained."""
    return {
        **an_object("policy/v1", "PodDisruptionBudget", job, name, component),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selector(job.name, component)},
        },
    }


def _network_policy(job: JobId, name: str, component: str, platform: Platform) -> Object:
    """Who may come in. What pods may reach is left open unless the platform says otherwise."""
    ingress = [{"from": [_pods_of_the_job(job)]}]
    if component == JOBMANAGER:
        peers = [_in_namespace(platform.namespace, platform.operator_labels)]
        if platform.service_labels:
            peers.append(_in_namespace(platform.namespace, platform.service_labels))
        ingress.append({"from": peers, "ports": [_port(API)]})
    if platform.prometheus:
        peers = [dict(peer) for peer in platform.prometheus]
        ingress.append({"from": peers, "ports": [_port(PROBES)]})
    spec: Object = {
        "podSelector": {"matchLabels": selector(job.name, component)},
        "policyTypes": ["Ingress"],
        "ingress": ingress,
    }
    if platform.egress is not None:
        spec["policyTypes"] = ["Ingress", "Egress"]
        spec["egress"] = [
            {"to": [_pods_of_the_job(job)]},
            *(dict(rule) for rule in platform.egress),
        ]
    return {
        **an_object("networking.k8s.io/v1", "NetworkPolicy", job, name, component),
        "spec": spec,
    }


def work_policy(job: JobId, name: str, platform: Platform) -> list[Object]:
    """Of the pods of one short Job, which run what a user wrote, or reach storage: nobody may come in. It is there
    before them, goes with them, and needs no FlowJob."""
    if not platform.network_policies:
        return []
    spec: Object = {
        "podSelector": {"matchLabels": {NAME_LABEL: "flowjob", WORK_LABEL: name}},
        "policyTypes": ["Ingress"],
        "ingress": [],
    }
    if platform.egress is not None:
        spec["policyTypes"] = ["Ingress", "Egress"]
        spec["egress"] = [dict(rule) for rule in platform.egress]
    made = an_object("networking.k8s.io/v1", "NetworkPolicy", job, name)
    return [{**made, "spec": spec}]


def _pods_of_the_job(job: JobId) -> Object:
    """JobManagers and TaskManagers: nothing that tries a program out."""
    processes = {"key": COMPONENT_LABEL, "operator": "In", "values": [JOBMANAGER, TASKMANAGER]}
    of_job = {NAME_LABEL: "flowjob", JOB_LABEL: job.name}
    return {"podSelector": {"matchLabels": of_job, "matchExpressions": [processes]}}


def _in_namespace(namespace: str, pods: Mapping[str, str]) -> Object:
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": dict(pods)},
    }


def _port(number: int) -> Object:
    return {"port": number, "protocol": "TCP"}
