"""What is mounted into the pods of a job, and where: files to read, and the two places where they may write.

Root file systems are read-only. Names begin with `flowjob-`, so that they meet none of a user's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from flowjob_operator.identity.identities import role_files
from flowjob_operator.rendering.naming import (
    CA_DIRECTORY,
    CA_KEY,
    IDENTITY_DIRECTORY,
    JOB_DIRECTORY,
    SCRATCH_DIRECTORY,
    SCRIPT_DIRECTORY,
    STORAGE_DIRECTORY,
    TMP_DIRECTORY,
)
from flowjob_operator.resources.fields import CaBundle, Reference

Object = dict[str, Any]

JOB: Final = "flowjob-job"
IDENTITY: Final = "flowjob-identity"
STORAGE: Final = "flowjob-storage"
CA: Final = "flowjob-ca"
SCRIPT: Final = "flowjob-script"
SCRATCH: Final = "flowjob-scratch"
TMP: Final = "flowjob-tmp"

PROTECTED_VOLUMES: Final = frozenset({JOB, IDENTITY, STORAGE, CA, SCRIPT})
"""Templates may give the other two another source: a faster disk, a limit."""

_READABLE_BY_US: Final = 0o440


@dataclass(frozen=True, slots=True)
class Mounted:
    """A volume and its mount. `volume` None: it comes from a claim template."""

    volume: Object | None
    mount: Object


def job_file(config_map: str) -> Mounted:
    return _read(JOB, JOB_DIRECTORY, {"configMap": {"name": config_map}})


def script(config_map: str) -> Mounted:
    return _read(SCRIPT, SCRIPT_DIRECTORY, {"configMap": {"name": config_map}})


def identity(secret: str, role: str) -> Mounted:
    """Only what the role needs: a TaskManager does not get the JobManager's key."""
    items = [{"key": key, "path": file} for key, file in role_files(role).items()]
    source = {"secretName": secret, "defaultMode": _READABLE_BY_US, "items": items}
    return _read(IDENTITY, IDENTITY_DIRECTORY, {"secret": source})


def storage(secret: Reference) -> Mounted:
    source = {"secretName": secret.name, "defaultMode": _READABLE_BY_US}
    return _read(STORAGE, STORAGE_DIRECTORY, {"secret": source})


def certificates(bundle: CaBundle) -> Mounted:
    items = [{"key": bundle.key or CA_KEY, "path": CA_KEY}]
    return _read(CA, CA_DIRECTORY, {"configMap": {"name": bundle.name, "items": items}})


def writable(*, claimed: bool) -> list[Mounted]:
    """For scratch files and what spills, and /tmp. `claimed`: scratch is a volume of its own, from a claim template."""
    scratch = None if claimed else {"name": SCRATCH, "emptyDir": {}}
    return [
        Mounted(scratch, {"name": SCRATCH, "mountPath": SCRATCH_DIRECTORY}),
        Mounted({"name": TMP, "emptyDir": {}}, {"name": TMP, "mountPath": TMP_DIRECTORY}),
    ]


def _read(name: str, path: str, source: Object) -> Mounted:
    mount = {"name": name, "mountPath": path, "readOnly": True}
    return Mounted({"name": name, **source}, mount)
