"""JobManagers and TaskManagers as processes of their own: one JobManager is killed, and the next goes on with the same
worker processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.chaos

ROWS, KEYS = 1_600, 7
WITHIN = 90.0

PROGRAM = f"""
import flowjob as fj

class Row(fj.Schema):
    key: int
    value: int

job = fj.Job("counted")
made = fj.datagen(
    Row,
    {{"key": fj.values.sequence(), "value": fj.values.sequence()}},
    rows={ROWS}, rate=200, splits=2,
)
job.write(
    job.read(made).select(key=fj.col("key") % {KEYS}, value=fj.col("value")).key_by("key").agg(n=fj.count()),
    fj.files.jsonl("out"),
)
"""


class Processes:
    """Of one job, in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.all: list[subprocess.Popen[bytes]] = []
        (directory / "job.py").write_text(PROGRAM)

    def jobmanager(self, port: int, *more: str) -> subprocess.Popen[bytes]:
        return self._start(
            *("jobmanager", "job.py", "-p", "2", "--listen", f"127.0.0.1:{port}"),
            *("--checkpoint-interval", "300ms", *more),
        )

    def taskmanager(self, *ports: int, slots: int = 2) -> subprocess.Popen[bytes]:
        found = ",".join(f"127.0.0.1:{port}" for port in ports)
        return self._start("taskmanager", "--jobmanager", found, "--slots", str(slots))

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with open(self.directory / f"{len(self.all)}.log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "flowjob", *arguments],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "FLOWJOB_TOKEN": "secret"},
            )
        self.all.append(process)
        return process

    def said(self, process: subprocess.Popen[bytes]) -> str:
        return (self.directory / f"{self.all.index(process)}.log").read_text()

    def has(self, happened: Callable[[], object]) -> None:
        """Waits for it."""
        until = time.monotonic() + WITHIN
        while not happened():
            assert time.monotonic() < until, [self.said(p) for p in self.all]
            time.sleep(0.02)

    def committed(self) -> int:
        """The newest checkpoint that counts."""
        entries = sorted((self.directory / ".flowjob" / "counted" / "log").glob("*.json"))
        records = [json.loads(e.read_text())["record"] for e in entries]
        return max((r["snapshot"] for r in records if r["record"] == "commit"), default=0)

    def commits_beyond(self, checkpoint: int) -> Callable[[], bool]:
        return lambda: self.committed() > checkpoint

    def end(self, process: subprocess.Popen[bytes]) -> int:
        try:
            return process.wait(WITHIN)
        except subprocess.TimeoutExpired:
            raise AssertionError([self.said(p) for p in self.all]) from None

    def results(self) -> Counter[tuple[int, int]]:
        lines = [
            json.loads(line)
            for file in (self.directory / "out").glob("*.jsonl")
            for line in file.read_text().splitlines()
        ]
        return Counter((line["key"], line["n"]) for line in lines)


def expected() -> Counter[tuple[int, int]]:
    counts = Counter(n % KEYS for n in range(ROWS))
    return Counter((key, n) for key, count in counts.items() for n in range(1, count + 1))


def slots_of(taskmanager: subprocess.Popen[bytes]) -> set[int]:
    return {
        p.pid
        for zygote in psutil.Process(taskmanager.pid).children()
        for p in zygote.children()
        if p.status() != psutil.STATUS_ZOMBIE
    }


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    found = Processes(tmp_path)
    yield found
    for process in found.all:
        process.kill()
        process.wait()


def test_a_jobmanager_that_is_started_again_goes_on_with_the_same_worker_processes(
    processes: Processes,
) -> None:
    (port,) = free_ports(1)
    first = processes.jobmanager(port)
    taskmanager = processes.taskmanager(port)
    processes.has(processes.commits_beyond(1))
    slots = slots_of(taskmanager)
    assert len(slots) == 2
    first.kill()
    first.wait()
    second = processes.jobmanager(port)
    processes.has(lambda: "took the job over" in processes.said(second))
    assert slots_of(taskmanager) == slots
    assert "its tasks go on (2 worker processes)" in processes.said(second)
    assert processes.end(second) == 0
    assert processes.end(taskmanager) == 0
    assert processes.results() == expected()
    again = processes.jobmanager(port)
    assert processes.end(again) == 0
    assert "there is nothing to continue" in processes.said(again)


def test_a_standby_takes_over_and_one_that_is_told_to_leave_leaves_the_job_running(
    processes: Processes,
) -> None:
    ports = free_ports(2)
    first = processes.jobmanager(ports[0])
    taskmanager = processes.taskmanager(*ports)
    processes.has(processes.commits_beyond(0))
    standby = processes.jobmanager(ports[1], "--standby")
    processes.has(lambda: is_listening(ports[1]))
    slots = slots_of(taskmanager)
    first.send_signal(signal.SIGTERM)
    assert processes.end(first) == 3
    processes.has(lambda: "took the job over" in processes.said(standby))
    assert slots_of(taskmanager) == slots
    assert "its tasks go on (2 worker processes)" in processes.said(standby)
    assert processes.end(standby) == 0
    assert processes.results() == expected()


def test_a_taskmanager_that_finds_nobody_says_whom_it_has_asked(processes: Processes) -> None:
    (port,) = free_ports(1)
    alone = processes._start(
        *("taskmanager", "--jobmanager", f"127.0.0.1:{port}", "--connect-within", "500ms")
    )
    assert processes.end(alone) == 1
    assert f"no JobManager at ws://127.0.0.1:{port} for 0.5 s" in processes.said(alone)
