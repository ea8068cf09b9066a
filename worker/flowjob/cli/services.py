"""`flowjob jobmanager` and `flowjob taskmanager`: the processes of a cluster, one by one, for whoever keeps them up.

A JobManager that dies is simply started again, or has a standby beside it: the next one continues the job with the
tasks that still run (docs/failover.md). Which exit status says what is in docs/command-line.md."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import secrets
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from flowjob.cli import tokens
from flowjob.cli.checkpoint_options import CheckpointOptions
from flowjob.cli.exits import EXIT_CANCELLED
from flowjob.cli.run import RunOptions, Screen
from flowjob.core.job_events import HEARTBEAT_TIMEOUT, Timeouts
from flowjob.entrypoint import load, locate
from flowjob.errors import AlreadyEnded
from flowjob.runtime.jobmanager.cluster import Elsewhere
from flowjob.runtime.jobmanager.continuing import run_id
from flowjob.runtime.jobmanager.manager import JobManager
from flowjob.runtime.jobmanager.request import JobEvent, Listeners, Service
from flowjob.runtime.minicluster import LocalOptions, from_script, job_request
from flowjob.runtime.real.env import real_env
from flowjob.runtime.real.scratch import remove, run_directory
from flowjob.runtime.real.taskmanager_process import control_urls


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """What the command line says about a JobManager's process. `slots_within` in seconds."""

    listen: str
    service: Service
    token_file: str | None = None
    name: str | None = None
    slots_within: float = 300.0
    parallelism: int = 1
    checkpoints: CheckpointOptions = field(default_factory=CheckpointOptions)


def serve_job(target: str, arguments: Mapping[str, str], options: ServiceOptions) -> None:
    """Runs a job's JobManager until the job has ended, or somebody else leads it. Raises FlowjobError."""
    host, port = split_address(options.listen, "--listen")
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", options.service.run):
        raise typer.BadParameter(
            "letters, digits, `_`, `.` and `-` make a name of a run", param_hint="--run"
        )
    token = token_of(options.token_file, make=True)
    entrypoint = locate(target, arguments, Path.cwd())
    job = load(entrypoint)
    shown = RunOptions(parallelism=options.parallelism, progress=False)
    screen = Screen.of(job, shown, time.monotonic())
    local = LocalOptions(
        source=from_script(entrypoint.target, entrypoint.args, entrypoint.sys_path),
        timeouts=Timeouts(registration=options.slots_within),
        checkpoints=options.checkpoints.of(job),
        start=options.checkpoints.start,
        name=options.name,
    )
    id = run_id(options.service.run, secrets.token_hex(4))
    request = dataclasses.replace(
        job_request(job, options.parallelism, id, secrets.token_urlsafe(24), local),
        host=host,
        port=port,
        token=token,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        service=options.service,
    )
    directory = run_directory()
    try:
        listeners = Listeners(on_report=screen.on_report, on_output=screen.on_output, on_event=_say)
        manager = JobManager(real_env(directory), request, listeners)
        asyncio.run(_serve(manager))
    except AlreadyEnded as over:
        print(over, file=sys.stderr)
        raise typer.Exit(0 if over.outcome == "succeeded" else EXIT_CANCELLED) from None
    finally:
        remove(directory)
    screen.finish()


async def _serve(manager: JobManager) -> None:
    """SIGTERM is whoever keeps this process: the job goes on. SIGINT is a person: the job ends."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, manager.cancel, "got SIGINT")
    loop.add_signal_handler(signal.SIGTERM, manager.leave, "got SIGTERM")
    await manager.run(Elsewhere())


def _say(event: JobEvent) -> None:
    print(event.text, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What the command line says about a TaskManager's process. Times in seconds."""

    jobmanagers: str
    slots: int
    token_file: str | None
    name: str | None
    host: str
    connect_within: float
    give_up_after: float
    directory: str | None


def serve_slots(options: WorkerOptions) -> None:
    """Runs a TaskManager, and never returns: exits 0 when it was told to end, 1 when it found no JobManager."""
    from flowjob.runtime.real.taskmanager_process import serve

    for address in options.jobmanagers.split(","):
        split_address(address.strip().removeprefix("ws://"), "--jobmanager")
    settings: dict[str, Any] = {
        "name": options.name or f"{os.uname().nodename}-{os.getpid()}",
        "urls": control_urls(options.jobmanagers),
        "token": token_of(options.token_file, make=False),
        "slots": options.slots,
        "host": options.host,
        "connect_within": options.connect_within,
        "grace": options.give_up_after,
        "directory": options.directory,
    }
    serve(settings)


def split_address(text: str, hint: str) -> tuple[str, int]:
    """`host:port`. Raises a usage error."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise typer.BadParameter(f"`{text}` is not HOST:PORT", param_hint=hint)
    return host.strip("[]"), int(port)


def token_of(path: str | None, *, make: bool) -> str:
    """See tokens.py. Raises a usage error."""
    try:
        return tokens.token_of(path, make=make)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--token-file") from None
