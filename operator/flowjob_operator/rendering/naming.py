"""Names, labels, ports and places of everything that a job has in Kubernetes. Said here once.

Names of FlowJobs have 45 characters at most, so that all of these fit into the 63 of a label. Knows no object."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from flowjob.cluster.identity import JobId

CONTAINER: Final = "flowjob"
COMMAND: Final = ("tini", "--", "flowjob")
"""Said here and not left to the image: one that is built on ours may have another entrypoint."""

CONTROL, PROBES, API = 7400, 7401, 7402
JM_PORTS: Final = {"control": CONTROL, "probes": PROBES, "api": API}
TM_PORTS: Final = {"probes": PROBES}
"""Rows travel by whatever ports are free."""

USER: Final = 10001
"""Of all processes, and group of their files."""

JOBMANAGER, TASKMANAGER = "jobmanager", "taskmanager"
PREFLIGHT, STORAGE = "preflight", "storage"
CONFIGURATION: Final = "configuration"
"""Component of what is no process: it must not be selected as one."""

NAME_LABEL: Final = "app.kubernetes.io/name"
MANAGER_LABEL: Final = "app.kubernetes.io/managed-by"
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
OURS: Final = "flowjob.dev/"
JOB_LABEL: Final = f"{OURS}job"
REVISION_LABEL: Final = f"{OURS}revision"
WORK_LABEL: Final = f"{OURS}work"
"""Of the pods of a short Job: its name, by which its network policy finds them, whosever they are."""
MANAGER: Final = "flowjob-operator"
"""Also the field manager of what is applied."""

ETC: Final = "/etc/flowjob"
JOB_DIRECTORY: Final = f"{ETC}/job"
JOB_FILE_KEY: Final = "job.json"
JOB_FILE: Final = f"{JOB_DIRECTORY}/{JOB_FILE_KEY}"
IDENTITY_DIRECTORY: Final = f"{ETC}/identity"
STORAGE_DIRECTORY: Final = f"{ETC}/storage"
CA_DIRECTORY: Final = f"{ETC}/ca"
CA_KEY: Final = "ca.crt"
CA_FILE: Final = f"{CA_DIRECTORY}/{CA_KEY}"
SCRIPT_DIRECTORY: Final = f"{ETC}/script"
SCRIPT_KEY: Final = "job.py"
SCRIPT_FILE: Final = f"{SCRIPT_DIRECTORY}/{SCRIPT_KEY}"
TOKEN_DIRECTORY: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
SCRATCH_DIRECTORY: Final = "/var/lib/flowjob"
TMP_DIRECTORY: Final = "/tmp"

LONGEST: Final = 63
_DIGITS: Final = 10


@dataclass(frozen=True, slots=True)
class Names:
    """Of one job's objects."""

    job: JobId

    @property
    def job_managers(self) -> str:
        """The Service of all JobManagers, their PodDisruptionBudget and NetworkPolicy."""
        return f"{self.job.name}-jm"

    def job_manager(self, base: int) -> str:
        """The Deployment."""
        return f"{self.job.name}-jm-{base}"

    @property
    def task_managers(self) -> str:
        """The StatefulSet, its Service, PodDisruptionBudget and NetworkPolicy."""
        return f"{self.job.name}-tm"

    @property
    def identity(self) -> str:
        """The Secret."""
        return f"{self.job.name}-identity"

    def file(self, base: int) -> str:
        """The ConfigMap with the job file."""
        return f"{self.job.name}-file-{base}"

    def script(self, script: str) -> str:
        """The ConfigMap with the program: another program is another object."""
        return f"{self.job.name}-script-{digest(script)[:_DIGITS]}"

    def revision(self, number: int) -> str:
        """The ControllerRevision."""
        return f"{self.job.name}-{number}"

    def preflight(self, number: int) -> str:
        """The Job, and the ConfigMap that it reads."""
        return f"{self.job.name}-preflight-{number}"

    @property
    def control_address(self) -> str:
        """Where TaskManagers find all JobManagers."""
        return f"{self.job_managers}.{self.job.namespace}.svc:{CONTROL}"


def digest(text: str) -> str:
    """sha256 in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def selector(job: str, component: str) -> dict[str, str]:
    """By which pods of a job are found. Never with what changes: selectors cannot be changed."""
    return {NAME_LABEL: "flowjob", COMPONENT_LABEL: component, JOB_LABEL: job}


def labels(job: str, component: str, revision: int | None = None) -> dict[str, str]:
    """Of an object or a pod."""
    of_revision = {} if revision is None else {REVISION_LABEL: str(revision)}
    return {**selector(job, component), MANAGER_LABEL: MANAGER, **of_revision}
