"""The job file of a revision: what its pods are told (flowjob.cluster.job_file), and the ConfigMaps it travels in.

No secrets, only the directories they are mounted at. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from flowjob.cluster.identity import JobId
from flowjob.cluster.job_file import JobFile, Program, Restore, Storage
from flowjob_operator.core.revision import Revision
from flowjob_operator.rendering.naming import (
    API,
    CA_FILE,
    CONTROL,
    IDENTITY_DIRECTORY,
    JOB_FILE_KEY,
    PROBES,
    SCRIPT_FILE,
    SCRIPT_KEY,
    STORAGE_DIRECTORY,
    Names,
    digest,
)
from flowjob_operator.resources.fields import quantity
from flowjob_operator.resources.flowjob_spec import CheckpointSpec, FlowJobSpec
from flowjob_operator.resources.flowsnapshot import StorageAccess

_OF_STORAGE = frozenset({"storage", "endpoint", "region", "secretRef", "caBundleRef"})


def job_file(job: JobId, revision: Revision, restore: Restore | None = None) -> JobFile:
    """Of the pods that run the revision. Only what was said is in it: the engine has its own defaults, and the program
    may have others. `restore`: what is kept with a revision has none, `with_restore` puts it in."""
    spec = revision.spec
    names = Names(job)
    return JobFile(
        namespace=job.namespace,
        name=job.name,
        uid=job.uid,
        revision=revision.base,
        run=revision.run,
        program=_program(revision),
        parallelism=spec.job.parallelism or 1,
        max_parallelism=spec.job.max_parallelism,
        slots=spec.task_manager.slots or 1,
        storage=storage(spec.checkpoints, revision.prefix),
        checkpoints=checkpoint_settings(spec.checkpoints),
        restarts=spec.job.restarts.wire(),
        config=dict(spec.config),
        restore=restore or Restore(),
        data_plane="TLS" if _said(spec.security.data_plane) == "TLS" else "Plain",
        metrics_detail="Subtask" if _said(spec.metrics.detail) == "Subtask" else "Vertex",
        identity=IDENTITY_DIRECTORY,
        jobmanagers=names.control_address,
        control_port=CONTROL,
        probe_port=PROBES,
        api_port=API,
        standbys=(spec.job_manager.replicas or 1) - 1,
    )


def short_job_file(job: JobId, revision: Revision, restore: Restore | None = None) -> JobFile:
    """Of a pod that looks at a revision, or works on its storage: it has no identity, and talks to nobody."""
    file = job_file(job, revision, restore)
    return msgspec.structs.replace(file, identity=None, jobmanagers="", standbys=0)


def access_file(job: JobId, path: str, access: StorageAccess) -> JobFile:
    """Of a pod that works on what lies at `path`, of which no FlowJob says how it is reached. Where a job's own part of
    the storage begins is seen by its names."""
    root, mark, _ = path.partition(f"/{job.namespace}/{job.name}/{job.uid}/")
    return JobFile(
        namespace=job.namespace,
        name=job.name,
        uid=job.uid,
        revision=0,
        run="",
        program=Program(),
        parallelism=1,
        storage=Storage(
            location=root if mark and job.uid else path,
            endpoint=access.endpoint,
            region=access.region,
            credentials=None if access.secret_ref is None else STORAGE_DIRECTORY,
            ca_bundle=None if access.ca_bundle_ref is None else CA_FILE,
        ),
    )


def storage(checkpoints: CheckpointSpec, prefix: str | None = None) -> Storage | None:
    """None: nothing is kept. `prefix`: below the root, for a job that began anew."""
    if checkpoints.storage is None:
        return None
    location = checkpoints.storage.rstrip("/")
    return Storage(
        location=f"{location}/{prefix.strip('/')}" if prefix else location,
        endpoint=checkpoints.endpoint,
        region=checkpoints.region,
        credentials=None if checkpoints.secret_ref is None else STORAGE_DIRECTORY,
        ca_bundle=None if checkpoints.ca_bundle_ref is None else CA_FILE,
    )


def checkpoint_settings(checkpoints: CheckpointSpec) -> dict[str, str | int]:
    """As in the spec, for the job file and for ChangeSettings; quantities in bytes."""
    settings: dict[str, str | int] = {
        name: value for name, value in checkpoints.wire().items() if name not in _OF_STORAGE
    }
    if "spillBytes" in settings:
        settings["spillBytes"] = int(quantity(settings["spillBytes"]))
    return settings


def data(file: JobFile) -> dict[str, str]:
    """Of its ConfigMap: readable by people."""
    return {JOB_FILE_KEY: _text(msgspec.to_builtins(file))}


def with_restore(data: Mapping[str, str], restore: Restore) -> dict[str, str]:
    """The same file with another beginning. All else stays as it was written, by whatever version of the operator."""
    file = json.loads(data[JOB_FILE_KEY])
    file["restore"] = msgspec.to_builtins(restore)
    return {**data, JOB_FILE_KEY: _text(file)}


def _text(file: Any) -> str:
    return json.dumps(file, indent=2, ensure_ascii=False)


def is_job_file(data: Mapping[str, str]) -> bool:
    """Whether it is the data of a ConfigMap with a job file."""
    return JOB_FILE_KEY in data


def script_data(spec: FlowJobSpec) -> dict[str, str]:
    """Of the ConfigMap with the program."""
    return {SCRIPT_KEY: spec.job.script or ""}


def _program(revision: Revision) -> Program:
    job, code = revision.spec.job, revision.code
    args = {name: str(value) for name, value in job.args.items()}
    if job.script is not None:
        return Program(script=SCRIPT_FILE, digest=digest(job.script), args=args)
    if job.artifact is not None:
        return Program(
            artifact=code.location or job.artifact,
            main=job.main,
            digest=None if code.digest is None else code.digest.rpartition(":")[2],
            args=args,
        )
    return Program(entrypoint=job.entrypoint, args=args)


def _said(value: Any) -> str | None:
    return None if value is None else str(value.value)
