"""How long a job is without a JobManager: from the SIGKILL of one to the first checkpoint that the next one commits.

All processes are on this machine and of their own. The tasks run through it, so that no row waits; what waits are
checkpoints, and with them what sinks publish."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

BEFORE_KILL = 3.0
WITHIN = 120.0

PROGRAM = """
import flowjob as fj

class Row(fj.Schema):
    key: int
    value: int

job = fj.Job("failover")
made = fj.datagen(Row, {{"key": fj.values.ints(0, 999)}}, rate={rate}, splits={splits})
job.write(job.read(made).key_by("key").agg(rows=fj.count()), fj.discard())
"""


def seconds_without(parallelism: int, rate: int, *, standby: bool) -> float:
    """`standby`: another JobManager waits already; else one is started in the moment of the kill."""
    processes: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="flowjob-bench-") as name:
        directory = Path(name)
        (directory / "job.py").write_text(PROGRAM.format(rate=rate, splits=parallelism))

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "flowjob", *arguments],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "FLOWJOB_TOKEN": "bench"},
            )
            processes.append(process)
            return process

        def lead(port: int, *more: str) -> subprocess.Popen[bytes]:
            where = ("--listen", f"127.0.0.1:{port}", "-p", str(parallelism))
            return start("jobmanager", "job.py", *where, "--checkpoint-interval", "500ms", *more)

        try:
            ports = _free_ports(2)
            first = lead(ports[0])
            addresses = ",".join(f"127.0.0.1:{port}" for port in ports)
            start("taskmanager", "--jobmanager", addresses, "--slots", str(parallelism))
            log = directory / ".flowjob" / "failover" / "log"
            _until(lambda: _leader_of_newest(log) == 1)
            if standby:
                lead(ports[1], "--standby")
            time.sleep(BEFORE_KILL)
            killed = time.monotonic()
            first.send_signal(signal.SIGKILL)
            if not standby:
                first.wait()
                lead(ports[0])
            _until(lambda: _leader_of_newest(log) > 1)
            return time.monotonic() - killed
        finally:
            for process in processes:
                process.kill()
                process.wait()


def _leader_of_newest(log: Path) -> int:
    """The generation that committed last, 0 for none yet."""
    records = [json.loads(entry.read_text())["record"] for entry in sorted(log.glob("*.json"))]
    commits = [record["generation"] for record in records if record["record"] == "commit"]
    return commits[-1] if commits else 0


def _until(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + WITHIN
    while not happened():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {WITHIN:g} s")
        time.sleep(0.005)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
