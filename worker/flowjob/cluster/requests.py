"""From a job file to what a JobManager is asked to run: the program, its plan at some parallelism, all settings.

Everything a user may have got wrong is found here, before anything is claimed, and named by its field. It must not know
who runs the request."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec.structs

from flowjob.args import parse_duration
from flowjob.checkpointing import Checkpoints
from flowjob.cluster.artifacts import entrypoint_of
from flowjob.cluster.identity import DATA_KEY
from flowjob.cluster.job_file import FOR_EVER
from flowjob.cluster.places import location_of
from flowjob.cluster.settings import checkpoints_of, restarts_of
from flowjob.core.beginning import Mode, Prior, Wish
from flowjob.core.job_events import HEARTBEAT_TIMEOUT, Timeouts
from flowjob.entrypoint import Entrypoint, load
from flowjob.errors import BadIdentity, PlanError
from flowjob.runtime.job_description import JobDescription
from flowjob.runtime.jobmanager.continuing import run_id
from flowjob.runtime.jobmanager.request import InCluster, JobRequest, Service, StartFrom
from flowjob.runtime.minicluster import LocalOptions, from_script, job_request
from flowjob.runtime.storage.paths import Lives

if TYPE_CHECKING:
    from flowjob.cluster.job_file import JobFile
    from flowjob.core.restartable import RestartStrategy
    from flowjob.job import Job

TIMEOUTS = Timeouts(registration=FOR_EVER, slot_ready=180.0, deploy=600.0)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A job file and its program, imported. `token`: what slots prove to each other to have."""

    file: JobFile
    entrypoint: Entrypoint
    job: Job
    token: str

    @property
    def checkpoints(self) -> Checkpoints | None:
        """By the file; None: the job keeps nothing."""
        if self.file.storage is None:
            return None
        return checkpoints_of(self.file.checkpoints, self.job.checkpoints)

    @property
    def restarts(self) -> RestartStrategy | None:
        """By the file, else by the program; None: the first failure ends the job."""
        checkpoints = self.checkpoints
        base = None if checkpoints is None else checkpoints.strategy()
        return restarts_of(self.file.restarts, base)


def load_program(file: JobFile, directory: Path) -> Loaded:
    """Imports the user's code, verified. Raises PlanError and its kin, BadArtifact, StorageError, BadIdentity."""
    check(file)
    entrypoint = entrypoint_of(file, directory)
    job = load(entrypoint)
    if file.max_parallelism is not None:
        job.max_parallelism = file.max_parallelism
    loaded = Loaded(file, entrypoint, job, data_token(file))
    loaded.restarts  # noqa: B018 - errors in settings are found now
    run_options(file.config)
    return loaded


def data_token(file: JobFile) -> str:
    """The data-plane key of the identity; without one a new secret."""
    if file.identity is None:
        return secrets.token_urlsafe(24)
    path = Path(file.identity) / DATA_KEY
    try:
        return path.read_bytes().strip().decode("latin-1")
    except OSError as error:
        raise BadIdentity(f"{path} cannot be read: {error.strerror}") from None


def request_of(
    loaded: Loaded,
    parallelism: int,
    address: str,
    checkpoints: Checkpoints | None = None,
    restarts: RestartStrategy | None = None,
) -> JobRequest:
    """To run the job at that parallelism. `checkpoints`, `restarts`: in place of the file's. Raises PlanError."""
    file, kept = loaded.file, checkpoints or loaded.checkpoints
    lives = Lives(file.namespace, file.name, file.uid)
    local = LocalOptions(
        source=from_script(
            loaded.entrypoint.target, loaded.entrypoint.args, loaded.entrypoint.sys_path
        ),
        timeouts=TIMEOUTS,
        run=run_options(file.config),
        checkpoints=False if kept is None else replace(kept, **_place(file)),
    )
    run = run_id(file.run, secrets.token_hex(4))
    planned = job_request(loaded.job, parallelism, run, loaded.token, local)
    restore = file.restore
    cluster = InCluster(
        lives,
        Wish(Mode(restore.mode), restore.path, restore.since, restore.expected, Prior(restore.prior_state)),
        file.revision,
        file.parallelism,
    )  # fmt: skip
    service = Service(
        file.run,
        address=f"{address}:{file.control_port}",
        standby=True,
        misses=3 if file.standbys else 1,
        cluster=cluster,
    )
    return replace(
        planned,
        job=_described(planned.job, file, lives),
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        host="0.0.0.0" if file.identity is not None else address,
        port=file.control_port,
        restarts=restarts or loaded.restarts,
        start=StartFrom(allow_non_restored=restore.allow_non_restored),
        control_file=None,
        service=service,
    )


def _described(job: JobDescription, file: JobFile, lives: Lives) -> JobDescription:
    if job.checkpoints is not None and file.storage is not None:
        location = location_of(file.storage)
        plan = msgspec.structs.replace(job.checkpoints, root=lives.paths.root, location=location)
        job = msgspec.structs.replace(job, checkpoints=plan)
    return msgspec.structs.replace(job, max_parallelism=file.max_parallelism)


def _place(file: JobFile) -> dict[str, Any]:
    assert file.storage is not None
    return {"location": file.storage.location}


def check(file: JobFile) -> None:
    """Raises PlanError for numbers and names that cannot be."""
    for name, value, least in (
        ("parallelism", file.parallelism, 1),
        ("slots", file.slots, 1),
        ("revision", file.revision, 0),
    ):
        if value < least:
            raise PlanError(f"{name}: {value} is less than {least}")
    if file.max_parallelism is not None and not 1 <= file.max_parallelism <= 32_768:
        raise PlanError(f"maxParallelism: {file.max_parallelism} is not between 1 and 32768")
    for name in ("namespace", "name", "uid", "run"):
        word = getattr(file, name)
        if not word or "/" in word:
            raise PlanError(f"{name}: `{word}` is not a name")


def run_options(config: Mapping[str, str | int]) -> dict[str, Any]:
    """What workers are told, of a FlowJob's `config`. Raises PlanError, naming the setting."""
    options: dict[str, Any] = {}
    for name, value in config.items():
        if name.startswith("artifacts."):
            continue  # for those who fetch code
        read = _CONFIG.get(name)
        if read is None:
            known = ", ".join([*_CONFIG, "artifacts.*"])
            raise PlanError(f"config.{name}: there is no such setting; there are {known}")
        try:
            found = read(value)
        except ValueError:
            raise PlanError(f"config.{name}: `{value}` cannot be meant") from None
        group, dot, field = name.partition(".")
        if dot:
            options.setdefault(group, {})[_SNAKE[field]] = found
        else:
            options[_SNAKE[group]] = found
    return options


def _count(value: str | int) -> int:
    found = int(value)
    if found < 1:
        raise ValueError
    return found


def _interval(value: str | int) -> float:
    """Seconds; 0 is `Off`."""
    if value == "Off":
        return 0.0
    found = float(value) if isinstance(value, int) else parse_duration(value).total_seconds()
    if not SHORTEST_INTERVAL <= found <= 3600:
        raise ValueError
    return found


def _compression(value: str | int) -> str | None:
    known = {"none": None, "lz4": "lz4", "zstd": "zstd"}
    if value not in known:
        raise ValueError
    return known[str(value)]


SHORTEST_INTERVAL = 0.01
"""Seconds between markers: more of them would be more work than they tell."""

_CONFIG: Mapping[str, Callable[[str | int], Any]] = {
    "batchRows": _count,
    "latencyInterval": _interval,
    "exchange.compression": _compression,
    "exchange.receiveBudget": _count,
}

_SNAKE = {
    "batchRows": "batch_rows",
    "latencyInterval": "latency_interval",
    "compression": "compression",
    "receiveBudget": "receive_budget",
}
