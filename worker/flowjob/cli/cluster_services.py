"""`flowjob jobmanager --job-file` and `flowjob taskmanager --job-file`: the processes of a cluster's pods.

All they are told is in the file. Their probes answer before anything else is imported, and SIGTERM is heard from the
first moment: process 1 of a container has no handler of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowjob.cluster.identity import JOBMANAGER, TASKMANAGER, JobId
from flowjob.cluster.job_file import FOR_EVER, JobFile, read_job_file
from flowjob.errors import PlanError, Unreachable
from flowjob.runtime.real.probes import Probes

if TYPE_CHECKING:
    from flowjob.checkpointing import Checkpoints
    from flowjob.cluster.job_history import CheckpointFacts
    from flowjob.cluster.metrics import Family
    from flowjob.cluster.pod_log import PodLog, RecordHandler
    from flowjob.cluster.requests import Loaded
    from flowjob.runtime.env import Env
    from flowjob.runtime.jobmanager.hosting import Host, Settings
    from flowjob.runtime.jobmanager.request import JobRequest

SCRATCH = Path("/var/lib/flowjob")
"""Where pods have a volume for it."""

GIVE_UP_AFTER = 300.0
"""Seconds that its workers go on without a JobManager, which may have to come up on another node."""

CERTIFIED = "certificates let in"
"""In place of the token, which is not looked at then."""


@dataclass(frozen=True, slots=True)
class PodOptions:
    """What may be said besides the file. `directory`: scratch space; None: SCRATCH, or a temporary one."""

    job_file: str
    token_file: str | None = None
    directory: str | None = None


def read(path: str) -> JobFile:
    """Raises PlanError, naming the field."""
    try:
        return read_job_file(Path(path).read_bytes())
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise PlanError(f"{path}: {error}") from None


def own_address() -> str:
    """Of this pod, as others reach it."""
    told = os.environ.get("POD_IP")
    if told:
        return told
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


def own_name() -> str:
    """Of this pod: it ends in the pod's ordinal."""
    return os.environ.get("POD_NAME") or os.uname().nodename


@contextlib.contextmanager
def scratch(given: str | None) -> Iterator[Path]:
    """A directory of this process's own."""
    from flowjob.runtime.real.scratch import remove, run_directory

    if given is None and SCRATCH.is_dir() and os.access(SCRATCH, os.W_OK):
        given = str(SCRATCH)
    if given is not None:
        directory = Path(given)
        directory.mkdir(parents=True, exist_ok=True)
        yield directory
        return
    directory = run_directory()
    try:
        yield directory
    finally:
        remove(directory)


def hide_token() -> None:
    """The pod's token is for nothing that this process or its user's code does: docs/security.md. Before any thread."""
    from flowjob.runtime.real.confining import TOKEN_DIRECTORY, forbid_reading

    why = forbid_reading(TOKEN_DIRECTORY)
    if why is not None:
        import logging

        told = "the job's code can read the token in %s: %s"
        logging.getLogger("flowjob.pod").warning(told, TOKEN_DIRECTORY, why)


def check_identity(file: JobFile, role: str) -> None:
    """Raises BadIdentity unless the certificate is that of this process: others would refuse it one by one."""
    if file.identity is None:
        return
    from flowjob.runtime.real.tls import TlsIdentity

    TlsIdentity(Path(file.identity)).check(JobId(file.namespace, file.name, file.uid), role)


def _begin_log(file: JobFile, process: str) -> tuple[PodLog, RecordHandler]:
    """For the whole process."""
    from flowjob.cluster.pod_log import begin

    common = {"namespace": file.namespace, "job": file.name, "process": process, "pod": own_name()}
    credentials = None if file.storage is None else file.storage.credentials
    return begin(sys.stderr, common, credentials)


def begin_probes(file: JobFile) -> Probes:
    """Raises Unreachable."""
    probes = Probes()
    try:
        probes.start("0.0.0.0", file.probe_port)
    except OSError as error:
        raise Unreachable(
            f"cannot listen on port {file.probe_port} for probes: {error.strerror}"
        ) from None
    return probes


def serve_jobmanager(options: PodOptions) -> None:
    """Until SIGTERM. Raises PlanError for a file that cannot be read, BadIdentity for certificates that cannot be used;
    whatever else is wrong is told by the API."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    file = read(options.job_file)
    log, records = _begin_log(file, "JobManager")
    hide_token()
    check_identity(file, JOBMANAGER)
    probes = begin_probes(file)
    import asyncio

    with scratch(options.directory) as directory:
        token = CERTIFIED if file.identity is not None else _token(options.token_file, make=True)
        planner = FilePlanner(file, directory, token)
        asyncio.run(_serve(file, planner, directory, probes, log, records))


def _token(path: str | None, *, make: bool) -> str:
    """Raises PlanError."""
    from flowjob.cli.tokens import token_of

    try:
        return token_of(path, make=make)
    except ValueError as error:
        raise PlanError(f"--token-file: {error}") from None


class FilePlanner:
    """See hosting.Planner. The program is imported when it is asked for first, and again until that has worked."""

    def __init__(self, file: JobFile, directory: Path, token: str) -> None:
        self._file = file
        self._directory = directory
        self._token = token
        self._loaded: Loaded | None = None

    @property
    def uid(self) -> str:
        return self._file.uid

    @property
    def revision(self) -> int:
        return self._file.revision

    @property
    def parallelism(self) -> int:
        return self._file.parallelism

    @property
    def api_port(self) -> int:
        return self._file.api_port

    @property
    def checkpoints(self) -> Checkpoints | None:
        return None if self._loaded is None else self._loaded.checkpoints

    @property
    def program_checkpoints(self) -> Checkpoints | None:
        return None if self._loaded is None else self._loaded.job.checkpoints

    def request(self, parallelism: int, settings: Settings) -> JobRequest:
        import dataclasses

        from flowjob.cluster.requests import load_program, request_of

        if self._loaded is None:
            self._loaded = load_program(self._file, self._directory)
        found = request_of(
            self._loaded, parallelism, own_address(), settings.checkpoints, settings.restarts
        )
        return dataclasses.replace(found, token=self._token)


async def _serve(
    file: JobFile,
    planner: FilePlanner,
    directory: Path,
    probes: Probes,
    log: PodLog,
    records: RecordHandler,
) -> None:
    import asyncio
    from importlib.metadata import version

    from flowjob.runtime.jobmanager.hosting import Host
    from flowjob.runtime.jobmanager.operating import Operations
    from flowjob.runtime.observing.details import ObservedJob
    from flowjob.runtime.observing.log_handler import is_taken, logging_into
    from flowjob.runtime.outbox import cancel_all
    from flowjob.runtime.real.internal_api import ApiServer, InternalApi

    host = Host(_env(file, directory), planner, version=version("flowjob"))
    # What happens to the job, and what its code says, is written as it is remembered.
    host.observer.logs.also, host.observer.logs.redact = log.line, log.redact
    operations = Operations(host)
    probes.ready = lambda: None if host.is_ready else "the job is not being led"
    probes.metrics = lambda: _metrics(file, host)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, host.leave, "got SIGTERM")
    loop.add_signal_handler(signal.SIGINT, host.leave, "got SIGINT")
    beside = [
        asyncio.ensure_future(probes.beat()),
        asyncio.ensure_future(_send_otlp(file, host)),
    ]
    api = InternalApi(host, operations, ObservedJob(host))
    server = ApiServer(api, _api_context(file))
    try:
        await server.listen("0.0.0.0", file.api_port)
        with logging_into(host.observer):
            records.left_out = is_taken
            await host.run()
    finally:
        records.left_out = None
        await operations.close()
        await server.close()
        await cancel_all(beside)


def _env(file: JobFile, directory: Path) -> Env:
    from flowjob.runtime.real.env import Security, real_env

    if file.identity is None:
        return real_env(directory)
    return real_env(directory, Security(Path(file.identity), file.data_plane == "TLS"))


def _api_context(file: JobFile) -> Any:
    if file.identity is None:
        return None
    from flowjob.cluster.identity import API_CLIENTS
    from flowjob.runtime.real.tls import api_ssl_context

    directory = Path(file.identity)
    return lambda: api_ssl_context(directory, API_CLIENTS)


def _metrics(file: JobFile, host: Host) -> bytes:
    from flowjob.cluster.metrics import text_of

    return text_of(_families(file, host))


def _families(file: JobFile, host: Host) -> list[Family]:
    from flowjob.runtime.observing.exposition import families_of

    view = host.view() if host.is_leading else None
    return families_of(host, view, per_subtask=file.metrics_detail == "Subtask")


async def _send_otlp(file: JobFile, host: Host) -> None:
    from flowjob.runtime.observing.checkpoint_view import checkpoints_of
    from flowjob.runtime.real.sending_otlp import send_otlp

    def gather() -> tuple[list[Family], list[CheckpointFacts]]:
        return _families(file, host), checkpoints_of(host.observer).history

    attributes = {
        "service.namespace": file.namespace,
        "service.instance.id": own_name(),
        "flowjob.job": file.name,
        "flowjob.run": file.run,
    }
    await send_otlp("jobmanager", attributes, gather)


def serve_taskmanager(options: PodOptions) -> None:
    """Never returns: exits 0 when it was told to end, 1 when it had no JobManager for too long. Raises PlanError,
    BadArtifact, StorageError, BadIdentity."""
    from flowjob.runtime.real.taskmanager_process import WITH_S3, control_urls, serve

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    file = read(options.job_file)
    if not file.jobmanagers:
        raise PlanError("jobmanagers: the job file does not say where JobManagers are")
    _begin_log(file, "TaskManager")
    check_identity(file, TASKMANAGER)
    probes = begin_probes(file)
    base = Path(options.directory) if options.directory else SCRATCH
    prepare(file, base)
    settings: dict[str, Any] = {
        "name": own_name(),
        "urls": control_urls(file.jobmanagers),
        "token": CERTIFIED if file.identity is not None else _token(options.token_file, make=False),
        "slots": file.slots,
        "host": own_address(),
        "connect_within": FOR_EVER,
        "grace": GIVE_UP_AFTER,
        "directory": _work(base),
        "identity": file.identity,
        "data_tls": file.data_plane == "TLS",
        "preload": WITH_S3 if in_s3(file) else (),
    }
    serve(settings, probes=probes)


def in_s3(file: JobFile) -> bool:
    """Whether the job's state is."""
    return file.storage is not None and file.storage.location.startswith("s3://")


def prepare(file: JobFile, directory: Path) -> None:
    """The code of this revision, verified, where workers will import it from. Light where nothing is to be fetched."""
    program = file.program
    if program.artifact is not None:
        from flowjob.cluster.artifacts import unpacked

        unpacked(file, directory)
    elif program.script is not None and program.digest is not None:
        from flowjob.cluster.artifacts import verify

        verify(Path(program.script), program.digest)


def _work(base: Path) -> str | None:
    """A directory of this process's own, which it removes: what it finds there may be from before a restart."""
    if not base.is_dir() or not os.access(base, os.W_OK):
        return None
    return str(base / f"taskmanager-{os.getpid()}")
