"""What makes the pods of a job: the Deployment of its JobManagers and the StatefulSet of its TaskManagers.

Pure. Selectors never have what changes; a Deployment belongs to one revision, the StatefulSet to the job."""

from __future__ import annotations

from typing import Any

from flowjob.cluster.identity import JobId
from flowjob_operator.core import planning
from flowjob_operator.core.revision import Revision
from flowjob_operator.rendering import volumes
from flowjob_operator.rendering.naming import (
    JM_PORTS,
    JOBMANAGER,
    REVISION_LABEL,
    TASKMANAGER,
    TM_PORTS,
    Names,
    labels,
    selector,
)
from flowjob_operator.rendering.pods import Role, pod_template
from flowjob_operator.rendering.quantities import canonical
from flowjob_operator.rendering.shared import an_object
from flowjob_operator.resources.flowjob_spec import FlowJobSpec, LocalVolume

Object = dict[str, Any]

TM_GRACE_SECONDS = 60
"""For a last checkpoint."""
LOST_NODE_SECONDS = 10
"""Until pods of a node that does not answer are made elsewhere; Kubernetes waits for five minutes. Should they live, no
harm is done: a JobManager among them is fenced by the log, a TaskManager by the next attempt."""


def job_manager(job: JobId, revision: Revision) -> Object:
    """Recreate: never two of one revision that are not meant to be."""
    names, spec = Names(job), revision.spec
    replicas = spec.job_manager.replicas or 1
    mounted = [*_read(job, revision), volumes.identity(names.identity, JOBMANAGER)]
    more: Object = {"tolerations": lost_node()}
    if replicas > 1:
        more["affinity"] = _apart(job)
    role = Role(
        component=JOBMANAGER,
        revision=revision.base,
        arguments=["jobmanager"],
        mounted=[*mounted, *volumes.writable(claimed=False)],
        resources=spec.job_manager.resources,
        template=spec.job_manager.pod_template,
        ports=JM_PORTS,
        probed=True,
    )
    made = an_object("apps/v1", "Deployment", job, names.job_manager(revision.base), JOBMANAGER)
    made["metadata"]["labels"] = labels(job.name, JOBMANAGER, revision.base)
    selected = {**selector(job.name, JOBMANAGER), REVISION_LABEL: str(revision.base)}
    made["spec"] = {
        "replicas": replicas,
        "revisionHistoryLimit": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": selected},
        "template": pod_template(job, spec, role, more),
    }
    return made


def task_managers(job: JobId, revision: Revision) -> Object:
    """OnDelete: the operator deletes pods, so that a template that does not work cannot wedge the set."""
    names, spec = Names(job), revision.spec
    slots, local = spec.task_manager.slots or 1, spec.task_manager.local_volume
    mounted = [*_read(job, revision), volumes.identity(names.identity, TASKMANAGER)]
    role = Role(
        component=TASKMANAGER,
        revision=revision.template,
        arguments=["taskmanager"],
        mounted=[*mounted, *volumes.writable(claimed=local is not None)],
        resources=spec.task_manager.resources,
        template=spec.task_manager.pod_template,
        ports=TM_PORTS,
        processes=slots,
        probed=True,
    )
    more = {"terminationGracePeriodSeconds": TM_GRACE_SECONDS, "tolerations": lost_node()}
    made = an_object("apps/v1", "StatefulSet", job, names.task_managers, TASKMANAGER)
    made["metadata"]["labels"] = labels(job.name, TASKMANAGER, revision.template)
    made["spec"] = {
        "serviceName": names.task_managers,
        "replicas": planning.task_managers(planning.parallelism(spec), spec),
        "revisionHistoryLimit": 2,
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "OnDelete"},
        "selector": {"matchLabels": selector(job.name, TASKMANAGER)},
        "template": pod_template(job, spec, role, more),
    }
    if local is not None:
        made["spec"] |= _claimed(job, local)
    return made


def _read(job: JobId, revision: Revision) -> list[volumes.Mounted]:
    """What both roles read, but for their identities."""
    return [
        volumes.job_file(Names(job).file(revision.base)),
        *program_and_storage(job, revision.spec),
    ]


def program_and_storage(job: JobId, spec: FlowJobSpec) -> list[volumes.Mounted]:
    """What the program is in, and what its storage is reached with."""
    found = []
    if spec.job.script is not None:
        found.append(volumes.script(Names(job).script(spec.job.script)))
    if spec.checkpoints.secret_ref is not None:
        found.append(volumes.storage(spec.checkpoints.secret_ref))
    if spec.checkpoints.ca_bundle_ref is not None:
        found.append(volumes.certificates(spec.checkpoints.ca_bundle_ref))
    return found


def _claimed(job: JobId, local: LocalVolume) -> Object:
    """State on it is of no use without its pod: it is in checkpoints."""
    claim: Object = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": canonical(local.size)}},
    }
    if local.storage_class_name is not None:
        claim["storageClassName"] = local.storage_class_name
    metadata = {"name": volumes.SCRATCH, "labels": labels(job.name, TASKMANAGER)}
    return {
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Delete"},
        "volumeClaimTemplates": [
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": metadata,
                "spec": claim,
            }
        ],
    }


def lost_node() -> list[Object]:
    """Tolerations."""
    return [
        {
            "key": f"node.kubernetes.io/{trouble}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": LOST_NODE_SECONDS,
        }
        for trouble in ("not-ready", "unreachable")
    ]


def _apart(job: JobId) -> Object:
    """On two nodes, if there are two."""
    term = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": selector(job.name, JOBMANAGER)},
    }
    preferred = [{"weight": 100, "podAffinityTerm": term}]
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
