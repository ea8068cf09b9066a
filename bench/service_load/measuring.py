"""`python -m bench.service_load.measuring`: starts everything, asks for a while, and prints one JSON line.

Memory is the service's, resident, sampled each second: at the start when everybody has come, and in the end. Nothing is
asserted; machines differ."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import psutil

from bench.service_load.followers import Followers
from bench.service_load.pieces import MANAGERS, SERVICE, job
from bench.service_load.requests import Readers, percentile
from bench.service_load.wire import Connection, Server
from flowjob.cluster.identity import JOBMANAGER
from flowjob.cluster.identity import SERVICE as SERVICE_ROLE
from tests.certificates import Authority
from tests.e2e.cluster.control_plane import free_ports

WARM_UP = 6.0


@dataclass(frozen=True)
class Load:
    """seconds   of measuring
    rate      requests a second
    changes   of FlowJobs, a second: 1,000 jobs that each tell of a checkpoint every 30 s
    job_rate  rows a second of the job beside; 0: as many as it can
    """

    seconds: float = 60.0
    rate: float = 200.0
    jobs: int = 1000
    followers: int = 100
    watched: int = 8
    changes: float = 33.0
    job_rate: float = 100_000.0


@dataclass
class Memory:
    """MiB, a sample a second."""

    process: psutil.Process
    samples: list[float] = field(default_factory=list)

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            self.samples.append(self.process.memory_info().rss / 2**20)
            await asyncio.sleep(1.0)


def measure(load: Load) -> dict[str, Any]:
    """The line to print."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flowjob-bench-")))
        context = _certificates(folder, load.watched)
        kubernetes, port, *managers = free_ports(2 + load.watched)
        ports = {MANAGERS: ",".join(map(str, managers))}
        here = (str(kubernetes), str(load.jobs), str(load.changes))
        stack.enter_context(_process("kubernetes", *here))
        stack.enter_context(_process("job", str(folder), str(load.job_rate), **ports))
        (folder / "token").write_text(SERVICE)
        settings = ports | {
            "FLOWJOB_API_KUBERNETES": f"http://127.0.0.1:{kubernetes}",
            "FLOWJOB_API_TOKEN_FILE": str(folder / "token"),
            "FLOWJOB_API_HOST": "127.0.0.1",
            "FLOWJOB_API_PORT": str(port),
            "FLOWJOB_API_IDENTITY": str(folder / "service"),
            "FLOWJOB_API_CERTIFICATE": str(folder / "service"),
        }
        service = stack.enter_context(_process("service", says=False, **settings))
        server = Server(port, context)
        return asyncio.run(_measured(server, psutil.Process(service.pid), load))


async def _measured(server: Server, service: psutil.Process, load: Load) -> dict[str, Any]:
    await _ready(server)
    followers = Followers(server, load.followers, load.watched)
    following = asyncio.ensure_future(followers.run())
    readers = Readers(server, load.rate, load.jobs, load.watched)
    await readers.run(WARM_UP)
    readers, before = Readers(server, load.rate, load.jobs, load.watched), followers.events
    memory = Memory(service)
    sampling = asyncio.ensure_future(memory.run())
    began, cpu = monotonic(), service.cpu_times()
    await readers.run(load.seconds)
    took, used = monotonic() - began, service.cpu_times()
    for task in (following, sampling):
        task.cancel()
    await asyncio.gather(following, sampling, return_exceptions=True)
    share = (used.user + used.system - cpu.user - cpu.system) / took
    values = [one for some in readers.seconds.values() for one in some]
    tenth = max(1, len(memory.samples) // 10)
    return {
        "name": "api_load",
        "seconds": round(took, 1),
        "jobs": load.jobs,
        "requests_per_second": round(len(values) / took, 1),
        "p50_ms": percentile(values, 0.5),
        "p99_ms": percentile(values, 0.99),
        "max_ms": percentile(values, 1.0),
        "p99_ms_by_kind": {k: percentile(v, 0.99) for k, v in sorted(readers.seconds.items())},
        "late_p99_ms": percentile(readers.late, 0.99),
        "statuses": {str(k): v for k, v in sorted(readers.statuses.items())},
        "failed": readers.failed,
        "mib_per_second": round(readers.read / took / 2**20, 1),
        "followers": load.followers,
        "followers_opened": followers.opened,
        "followers_left": followers.left,
        "follower_statuses": {str(k): v for k, v in sorted(followers.statuses.items())},
        "sse_events": followers.events - before,
        "core_share": round(share, 3),
        "rss_start_mib": round(sum(memory.samples[:tenth]) / tenth, 1),
        "rss_end_mib": round(sum(memory.samples[-tenth:]) / tenth, 1),
        "rss_max_mib": round(max(memory.samples), 1),
    }


async def _ready(server: Server) -> None:
    give_up = monotonic() + 60
    made = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    while True:
        with contextlib.suppress(OSError, EOFError):
            connection = await Connection.open(server)
            status, _, _ = await connection.ask(made)
            connection.close()
            if status == 200:
                return
        if monotonic() > give_up:
            raise TimeoutError("the service did not become ready")
        await asyncio.sleep(0.2)


def _certificates(folder: Path, watched: int) -> ssl.SSLContext:
    """Identities of service and JobManagers, and how a client of the service knows it."""
    authority = Authority()
    authority.identity(folder / "service", SERVICE_ROLE, None)
    for number in range(watched):
        authority.identity(folder / f"manager-{number}", JOBMANAGER, job(number))
    context = ssl.create_default_context(cafile=str(folder / "service" / "ca.crt"))
    context.check_hostname = False
    return context


@contextlib.contextmanager
def _process(
    name: str, *arguments: str, says: bool = True, **more: str
) -> Iterator[subprocess.Popen[bytes]]:
    """One of this package. `says`: when it is ready, it prints a line."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"bench.service_load.{name}", *arguments],
        env={**os.environ, **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        if says and not process.stdout.readline():
            raise RuntimeError(f"{name} has ended before it was ready")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _ended(signal_: int, _: object) -> None:
    raise SystemExit(128 + signal_)


def main(arguments: list[str] | None = None) -> int:
    signal.signal(signal.SIGTERM, _ended)
    parser = argparse.ArgumentParser(prog="python -m bench.service_load.measuring")
    for name, value in vars(Load()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    options = parser.parse_args(arguments)
    print(json.dumps(measure(Load(**vars(options)))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
