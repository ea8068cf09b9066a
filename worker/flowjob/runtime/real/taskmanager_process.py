"""`python -m flowjob.runtime.taskmanager`: a TaskManager as a process.

Its fork server is started before anything else is imported, so that the long imports overlap with everything. Owned by
a client on the same machine (`--owned`) it gets its settings as one line on standard input and ends when that closes;
in a cluster it gets them as arguments, the token in FLOWJOB_TOKEN."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowjob.runtime.real.processes import ignore_interrupts, spawn_zygote

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

    from flowjob.cluster.metrics import Family
    from flowjob.runtime.real.probes import Probes
    from flowjob.runtime.taskmanager import TaskManager

    Telling = Coroutine[None, None, None]

TOKEN_VARIABLE = "FLOWJOB_TOKEN"

WITH_S3 = (
    "flowjob.runtime.storage.s3",
    "botocore.session",
    "flowjob.runtime.storage.s3_sessions:read_interface",
)
"""Imported, or called, once for all slots of a job whose state is in S3: 0.4 s of CPU for each of them."""

WARM_WITHIN = 30.0
"""Seconds for the fork server's imports, behind which slots are offered all the same."""

STAYS_FOR = 10.0
"""Seconds in which a pod without work is expected to be ended."""


def main() -> None:
    """Exits 0 when it was told to end, 1 when it had no JobManager."""
    settings, owned = _arguments(sys.argv[1:])
    serve(settings, owned=owned)


def serve(settings: dict[str, Any], *, owned: bool = False, probes: Probes | None = None) -> None:
    """Never returns. `settings`: fields of TaskManagerSettings without `pid`; `directory`, which may be None; perhaps
    `identity`, a directory, `data_tls` (see env.Security), and `preload`, what slots will need (see zygote.import_all).
    A TaskManager that is `owned` gets them on standard input. `probes`: of a pod, begun already."""
    ignore_interrupts()
    # Process 1 of a container has no handler of its own: whoever is told to end before it has begun is to end.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    zygote = spawn_zygote(settings.pop("preload", ()))

    import asyncio
    import logging
    import tempfile

    logging.basicConfig(
        level=os.environ.get("FLOWJOB_LOG", "WARNING").upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    if owned:
        import websockets.asyncio.client  # noqa: F401 - while waiting for the settings

        settings = _settings_from_owner(zygote[0].kill)
    directory = Path(settings.pop("directory") or tempfile.mkdtemp(prefix="flowjob-"))
    directory.mkdir(parents=True, exist_ok=True)
    status = asyncio.run(_run(settings, owned, zygote, directory, probes))
    os._exit(status)  # nothing is left to clean up; a stuck thread must not hold the process


def _arguments(arguments: list[str]) -> tuple[dict[str, Any], bool]:
    import argparse

    parser = argparse.ArgumentParser(prog="flowjob taskmanager")
    parser.add_argument("--owned", action="store_true", help="settings come on standard input")
    parser.add_argument("--jobmanager", dest="urls", help="host:port of the JobManager")
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--name", default=f"taskmanager-{os.getpid()}")
    parser.add_argument("--host", default="127.0.0.1", help="address that slots listen on for data")
    parser.add_argument("--directory", default=None, help="scratch space on local disk")
    given = vars(parser.parse_args(arguments))
    owned = given.pop("owned")
    if not owned:
        if given["urls"] is None:
            parser.error("--jobmanager is needed (or --owned)")
        given["urls"] = control_urls(given["urls"])
        given["token"] = os.environ.pop(TOKEN_VARIABLE, None)
        if given["token"] is None:
            parser.error(f"{TOKEN_VARIABLE} must hold the job's token")
    return given, owned


def control_urls(addresses: str) -> tuple[str, ...]:
    """`host:port,host:port` as control addresses."""
    found = [address.strip().removeprefix("ws://") for address in addresses.split(",")]
    return tuple(f"ws://{address}" for address in found if address)


def _settings_from_owner(give_up: Any) -> dict[str, Any]:
    """One JSON line. The owner going away before it was written ends this process."""
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(0, 65_536)
        if not data:
            give_up()
            os._exit(0)
        line += data
    settings: dict[str, Any] = json.loads(line)
    return settings


async def _run(
    given: dict[str, Any], owned: bool, zygote: Any, directory: Path, probes: Probes | None = None
) -> int:
    import asyncio

    from flowjob.runtime.outbox import cancel_all
    from flowjob.runtime.real.env import Security, real_env
    from flowjob.runtime.real.scratch import remove
    from flowjob.runtime.real.slot_processes import ForkingLauncher
    from flowjob.runtime.real.telling_lines import tell
    from flowjob.runtime.taskmanager import TaskManager, TaskManagerSettings

    identity, data_tls = given.pop("identity", None), given.pop("data_tls", False)
    security = None if identity is None else Security(Path(identity), data_tls)
    settings = TaskManagerSettings(**given, pid=os.getpid())
    launcher = ForkingLauncher(directory, zygote, identity if data_tls else None)
    taskmanager = TaskManager(real_env(directory, security), settings, launcher)
    tell(taskmanager.said)
    if not owned:
        # Who has its slots counted as soon as they are offered stops a job for them: it is to go on at once.
        await launcher.warm(WARM_WITHIN)
    loop = asyncio.get_running_loop()
    leave = taskmanager.shut_down if owned else taskmanager.leave
    loop.add_signal_handler(signal.SIGTERM, leave, "it got SIGTERM")
    if not owned:
        loop.add_signal_handler(signal.SIGINT, taskmanager.shut_down, "it got SIGINT")
    telling = () if probes is None else _tell_others(probes, taskmanager, settings.name)
    beside = [asyncio.ensure_future(each) for each in telling]
    orphaned = False
    if owned:

        def owner_gone() -> None:
            nonlocal orphaned
            orphaned = True
            taskmanager.shut_down("its owner is gone")

        _watch_owner(loop, owner_gone)
    try:
        reason = await taskmanager.run()
        if probes is not None and taskmanager.dismissed:
            await _stay(loop)
    finally:
        await cancel_all(beside)
        # An owner that was killed cannot remove the run's directory: the last one to leave does.
        remove(directory.parent if orphaned else directory)
    if taskmanager.gave_up:
        print(f"flowjob taskmanager {settings.name}: {reason}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _tell_others(probes: Probes, taskmanager: TaskManager, name: str) -> tuple[Telling, ...]:
    return _beat(probes, taskmanager), _send_otlp(name, taskmanager)


async def _stay(loop: asyncio.AbstractEventLoop) -> None:
    """The job is over, and a pod that exits is started again at once, just when others start that the next revision
    needs. Whoever has made the pod ends it in a moment."""
    import asyncio

    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    with suppress(TimeoutError):
        await asyncio.wait_for(told.wait(), STAYS_FOR)


async def _beat(probes: Probes, taskmanager: TaskManager) -> None:
    def metrics() -> bytes:
        from flowjob.cluster.metrics import text_of

        return text_of(_families(taskmanager))

    probes.ready = lambda: None if taskmanager.registered else "no JobManager has taken it"
    probes.metrics = metrics
    await probes.beat()


def _families(taskmanager: TaskManager) -> list[Family]:
    from flowjob.cluster.metrics import of_taskmanager

    used, offered = taskmanager.slots
    return of_taskmanager(registered=taskmanager.registered, slots=offered, used=used)


async def _send_otlp(name: str, taskmanager: TaskManager) -> None:
    from flowjob.runtime.real.sending_otlp import send_otlp

    attributes = {"service.instance.id": name}
    await send_otlp("taskmanager", attributes, lambda: (_families(taskmanager), ()))


def _watch_owner(loop: asyncio.AbstractEventLoop, gone: Any) -> None:
    """Standard input says nothing more; its end is the owner's."""

    def on_readable() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            gone()

    loop.add_reader(0, on_readable)
