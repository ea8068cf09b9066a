"""Pods that do one thing and end: pre-flight of a revision, and work on storage without a live job.

Each is a Kubernetes Job, the ConfigMap it reads, and the network policy of its pod, of one name. They leave an answer
behind as their termination message (flowjob.cluster.preflight_answer): 0 and 1 are answers, any other status is none.
Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowjob.cluster.identity import JobId
from flowjob.cluster.job_file import JobFile, Restore
from flowjob_operator.core.revision import Revision
from flowjob_operator.rendering import job_files, volumes
from flowjob_operator.rendering.effective import complete, effective
from flowjob_operator.rendering.merging import PROBES
from flowjob_operator.rendering.naming import (
    CONTAINER,
    PREFLIGHT,
    STORAGE,
    WORK_LABEL,
    Names,
    labels,
)
from flowjob_operator.rendering.platform import Platform
from flowjob_operator.rendering.pods import Role, pod_template
from flowjob_operator.rendering.shared import an_object, config_map, script, work_policy
from flowjob_operator.rendering.workloads import lost_node, program_and_storage
from flowjob_operator.resources.flowjob_spec import CheckpointSpec, FlowJobSpec
from flowjob_operator.resources.flowsnapshot import StorageAccess
from flowjob_operator.resources.job_spec import JobSpec

Object = dict[str, Any]

KEPT_SECONDS = 3600
"""How long an answer is there to be read, should the operator be away."""
STORAGE_SECONDS = 3600
STORAGE_TRIES = 2

_NO_POLICIES = Platform(network_policies=False)


@dataclass(frozen=True, slots=True)
class StorageTask:
    """`name` of the Job; `command` of `flowjob storage`; `path` of a snapshot, None: all checkpoints of the job."""

    name: str
    command: str
    path: str | None = None


@dataclass(frozen=True, slots=True)
class _Work:
    name: str
    component: str
    revision: int
    arguments: Sequence[str]
    seconds: float
    tries: int


def preflight(
    job: JobId,
    revision: Revision,
    restore: Restore,
    deadline: float,
    platform: Platform = _NO_POLICIES,
) -> tuple[Object, ...]:
    """The Job, after what it mounts: the script too, which is not there yet. `deadline` in seconds."""
    revision = complete(revision)
    spec, name = revision.spec, Names(job).preflight(revision.number)
    file = job_files.short_job_file(job, revision, restore)
    work = _Work(name, PREFLIGHT, revision.number, ["preflight"], deadline, 0)
    return (*script(job, spec), *work_policy(job, name, platform), *_job(job, spec, file, work))


def storage_work(
    job: JobId,
    task: StorageTask,
    revision: Revision,
    platform: Platform = _NO_POLICIES,
) -> tuple[Object, ...]:
    """Of a job whose storage settings, volumes, image and identity are known by a revision. What is done to a snapshot,
    at the task's path, is none of its job's: that is not to be judged by it."""
    revision = complete(revision)
    file = job_files.short_job_file(job, revision)
    # The program is not looked at: it need not be there any more.
    spec = revision.spec.model_copy(update={"job": JobSpec()})
    whose = job if task.path is None else _nobody(job)
    made = _job(whose, spec, file, _storage(task, revision.number))
    return (*work_policy(whose, task.name, platform), *made)


def storage_work_by_access(
    job: JobId,
    task: StorageTask,
    access: StorageAccess,
    image: str,
    platform: Platform = _NO_POLICIES,
) -> tuple[Object, ...]:
    """Of a snapshot that no revision says how to reach. `image`: the default one. `job` may have no name and no uid."""
    said = FlowJobSpec(
        image=access.image,
        service_account_name=access.service_account_name,
        job=JobSpec(),
        checkpoints=CheckpointSpec(
            secret_ref=access.secret_ref, ca_bundle_ref=access.ca_bundle_ref
        ),
    )
    file = job_files.access_file(job, task.path or "", access)
    spec = effective(said, image=image).spec
    whose = _nobody(job)
    made = _job(whose, spec, file, _storage(task, 0))
    return (*work_policy(whose, task.name, platform), *made)


def _nobody(job: JobId) -> JobId:
    return JobId(job.namespace, "", "")


def _storage(task: StorageTask, revision: int) -> _Work:
    arguments = ["storage", task.command, *([] if task.path is None else [task.path])]
    return _Work(task.name, STORAGE, revision, arguments, STORAGE_SECONDS, STORAGE_TRIES)


def _job(job: JobId, spec: FlowJobSpec, file: JobFile, work: _Work) -> tuple[Object, Object]:
    mounted = [volumes.job_file(work.name), *program_and_storage(job, spec)]
    role = Role(
        component=work.component,
        revision=work.revision,
        arguments=work.arguments,
        mounted=[*mounted, *volumes.writable(claimed=False)],
        resources=spec.job_manager.resources,
        template=_alone(spec.job_manager.pod_template),
    )
    more = {"restartPolicy": "Never", "tolerations": lost_node()}
    made = an_object("batch/v1", "Job", job, work.name, work.component)
    made["metadata"]["labels"] = labels(job.name, work.component, work.revision)
    template = pod_template(job, spec, role, more)
    template["metadata"]["labels"][WORK_LABEL] = work.name
    made["spec"] = {
        "backoffLimit": work.tries,
        "activeDeadlineSeconds": max(1, math.ceil(work.seconds)),
        "ttlSecondsAfterFinished": KEPT_SECONDS,
        "podFailurePolicy": {"rules": [_ANSWERED, _TAKEN_AWAY]},
        "template": template,
    }
    return config_map(job, work.name, job_files.data(file)), made


_ANSWERED = {
    "action": "FailJob",
    "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [1]},
}
_TAKEN_AWAY = {
    "action": "Ignore",
    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
}


def _alone(template: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The JobManager's, without what would go on when the one thing is done, and without probes."""
    if template is None or not isinstance(template.get("spec"), Mapping):
        return template
    spec = dict(template["spec"])
    containers = [
        {k: v for k, v in container.items() if k not in PROBES and k != "lifecycle"}
        for container in spec.get("containers") or ()
        if container.get("name") == CONTAINER
    ]
    return {**template, "spec": {**spec, "containers": containers}}
