"""The job file: what the pods of a job are told about it, one JSON file mounted into JobManager and TaskManagers.

Written by the operator, read by `flowjob jobmanager --job-file` and `flowjob taskmanager --job-file`. Secrets are never
in it, only the directories they are mounted at. It must not know how pods are made."""

from __future__ import annotations

from typing import Literal

import msgspec

FOR_EVER = 365 * 24 * 3600.0
"""Seconds. Pods wait so long for each other: that some do not come is for the operator to say, who sees why."""


class Program(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What runs. Exactly one of the first three is given; with `artifact`, `main` says where in it the job is."""

    entrypoint: str | None = None
    """`module:attribute` in the image"""
    script: str | None = None
    """Path of a mounted .py"""
    artifact: str | None = None
    """Where it was kept at pre-flight, `<root>/<job>/artifacts/<sha256>/<name>`; before that, where it lies"""
    main: str | None = None
    digest: str | None = None
    """sha256 of the script or artifact in hexadecimal digits: every pod verifies it"""
    args: dict[str, str] = {}


class Storage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where checkpoints lie. Credentials are files named as the variables, AWS_ACCESS_KEY_ID and so on."""

    location: str
    endpoint: str | None = None
    region: str | None = None
    credentials: str | None = None
    """A directory; None: the workload's identity"""
    ca_bundle: str | None = None
    """A file"""


class Restore(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the JobManager begins with; it refuses rather than begin with less.

    Latest      the newest complete snapshot of this job's log. None there: `initial` if nothing was ever completed
                and nothing is expected, else refused.
    Snapshot    `path`, whatever the log has
    Empty       nothing. Only for mode Stateless, with a `Storage.location` and run of its own."""

    mode: Literal["Latest", "Snapshot", "Empty"] = "Latest"
    path: str | None = None
    since: int = 0
    """The revision that was the first to be started so. The log has a run of it or of a later one: then that has begun,
    and this start goes on as by Latest. So a decision can be repeated until it is known to have been carried out, and
    never goes back behind what was committed since. 0: `mode` as it says"""
    expected: str | None = None
    """Path of a snapshot known to be complete: where neither it nor a newer one can be found, the start is refused"""
    allow_non_restored: bool = False
    prior_state: Literal["Refuse", "Resume", "Ignore"] = "Refuse"


class JobFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All of it. Durations as text (`10s`), as on the command line."""

    protocol: int = 1
    namespace: str
    name: str
    uid: str
    revision: int
    """Claims carry it; a JobManager whose revision is older than the log's newest is refused"""
    run: str
    """Which run of the job this is: a new one begins by `restore`, one that the log has is continued"""
    program: Program
    parallelism: int
    max_parallelism: int | None = None
    slots: int = 1
    """Per TaskManager"""
    storage: Storage | None = None
    checkpoints: dict[str, str | int] = {}
    """Settings of `fj.Checkpoints` by name in camelCase, as in spec.checkpoints"""
    restarts: dict[str, str | int] = {}
    config: dict[str, str | int] = {}
    restore: Restore = Restore()
    data_plane: Literal["Plain", "TLS"] = "Plain"
    metrics_detail: Literal["Vertex", "Subtask"] = "Vertex"
    identity: str | None = None
    """Directory with ca.crt, tls.crt, tls.key, data.key; None: a token, on machines without an operator"""
    jobmanagers: str = ""
    """host:port of the headless Service of the JobManagers"""
    control_port: int = 7400
    """TaskManagers and other JobManagers: WebSockets"""
    probe_port: int = 7401
    """Plain HTTP: /livez, /readyz, /metrics, of JobManagers and TaskManagers"""
    api_port: int = 7402
    """The internal API (control_api.py)"""
    standbys: int = 0
    """JobManagers besides the one that leads"""

    @property
    def job_id(self) -> str:
        """The job's part of the storage: `<namespace>/<name>/<uid>`."""
        return f"{self.namespace}/{self.name}/{self.uid}"


def read_job_file(data: bytes) -> JobFile:
    """Raises ValueError with the field that is wrong."""
    try:
        file = msgspec.json.decode(data, type=JobFile)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a job file: {error}") from None
    if file.protocol != 1:
        raise ValueError(f"job file of protocol {file.protocol}: this image understands 1")
    return file
