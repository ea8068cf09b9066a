"""`flowjob run` of a job in real processes, ended in every way: what a person sees, and that nothing is left.

Nothing: no process of the job, no socket it listened on, no temporary file, and after an orderly end no half-written
result."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.processes

SCRIPT = """
from datetime import timedelta
import flowjob as fj

class Args(fj.Args):
    bad: int = -1

class Share(fj.Schema):
    auction: int
    share: float

def job(args: Args) -> fj.Job:
    def share(bid: fj.nexmark.Bid) -> Share:
        return Share(bid.auction, 1 / (bid.auction - args.bad))

    job = fj.Job("endless")
    bids = job.read(fj.nexmark.bids(tps=200_000))
    shares = bids.map(share)
    job.write(shares, fj.files.jsonl("out"))
    windows = shares.key_by("auction").window(fj.tumbling(timedelta(seconds=1)))
    seconds = windows.agg(bids=fj.count()).window(fj.tumbling(timedelta(seconds=1)))
    job.write(seconds.agg(bids=fj.sum("bids")), fj.print_())
    return job
"""
PRINTS = "'bids'"
MARK = "FLOWJOB_TEST_OF_ENDS"


class Job:
    """A job that runs in processes of its own session, like one in a terminal."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        (directory / "endless.py").write_text(SCRIPT)
        self.out = directory / "out"
        self.mark = str(directory)
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "flowjob",
                "run",
                "endless.py",
                "-p",
                "2",
                "--no-checkpoints",
                *arguments,
            ],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, MARK: self.mark},
        )
        self.client = psutil.Process(self.process.pid)
        self.known: list[psutil.Process] = []
        self.ports: set[int] = set()

    def wait_until_it_prints(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert PRINTS in line, line
        self.known = self.client.children(recursive=True)
        self.ports = {
            c.laddr.port
            for p in (self.client, *self.known)
            for c in p.net_connections("tcp")
            if c.status == psutil.CONN_LISTEN
        }
        assert len(self.ports) >= 3, "the JobManager and two slots listen"
        (self.taskmanager,) = self.client.children()
        (zygote,) = self.taskmanager.children()
        self.slots = zygote.children()
        assert len(self.slots) == 2

    def end(self) -> tuple[int, str]:
        """Exit status and stderr, once everything is over; asserts that nothing is left."""
        _, stderr = self.process.communicate(timeout=60)
        # A process that ends has no environment any more before its sockets are closed: hence those known, too.
        _, alive = psutil.wait_procs([*self.known, *self.mine()], timeout=10)
        assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
        assert self.mine() == []
        for port in self.ports:
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0, f"port {port} is still served"
        return self.process.returncode, stderr

    def mine(self) -> list[psutil.Process]:
        """All processes that inherited this job's environment, whoever their parents are now."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark:
                    found.append(process)
        return found

    def half_written(self) -> list[str]:
        return [p.name for p in self.out.glob(".*")]


@pytest.fixture
def start(tmp_path: Path, scratch: Path) -> Iterator[Callable[..., Job]]:
    """Starts a job; kills it if the test does not end it."""
    jobs: list[Job] = []

    def start(*arguments: str) -> Job:
        jobs.append(Job(tmp_path, *arguments))
        return jobs[-1]

    yield start
    for job in jobs:
        if job.process.poll() is None:
            os.killpg(job.process.pid, signal.SIGKILL)
            job.process.communicate()


def test_a_failing_function_shows_the_users_traceback_first_then_operator_and_row(
    start: Callable[..., Job],
) -> None:
    job = start("--arg", "bad=1234")
    status, stderr = job.end()
    lines = [line for line in stderr.splitlines() if line.strip()]
    first = next(i for i, line in enumerate(lines) if line.startswith("Traceback"))
    shown = "\n".join(lines[first:])
    assert 'endless.py", line' in lines[first + 1], "the user's own frame is the first one"
    assert "return Share(bid.auction, 1 / (bid.auction - args.bad))" in shown
    assert "flowjob/runtime" not in shown
    order = [
        shown.index(part)
        for part in ("Traceback", "ZeroDivisionError", "map(share)", "auction=1234")
    ]
    assert order == sorted(order)
    assert status == 1
    assert job.half_written() == []


def test_a_killed_slot_ends_the_job_with_a_clear_message(start: Callable[..., Job]) -> None:
    job = start()
    job.wait_until_it_prints()
    job.slots[0].kill()
    status, stderr = job.end()
    assert "was killed by signal 9 (SIGKILL)" in stderr
    assert "Traceback" not in stderr
    assert status == 1


def test_a_killed_taskmanager_ends_the_job_with_a_clear_message(start: Callable[..., Job]) -> None:
    job = start()
    job.wait_until_it_prints()
    job.taskmanager.kill()
    status, stderr = job.end()
    assert "taskmanager-1" in stderr
    assert "was killed by signal 9 (SIGKILL)" in stderr
    assert "Traceback" not in stderr
    assert status == 1


def test_a_killed_command_takes_everything_with_it(start: Callable[..., Job]) -> None:
    job = start()
    job.wait_until_it_prints()
    job.process.kill()
    assert job.end()[0] == -signal.SIGKILL


@pytest.mark.parametrize("whole_group", [True, False], ids=["in a terminal", "the command alone"])
def test_an_interrupt_stops_cleanly(start: Callable[..., Job], whole_group: bool) -> None:
    job = start()
    job.wait_until_it_prints()
    (os.killpg if whole_group else os.kill)(job.process.pid, signal.SIGINT)
    status, stderr = job.end()
    assert "Traceback" not in stderr
    assert "cancelled" in stderr
    assert status == 130
    assert job.half_written() == []


@pytest.mark.parametrize("processes", range(1, 4))
def test_an_interrupt_while_processes_start_stops_cleanly_too(
    start: Callable[..., Job], processes: int
) -> None:
    """As soon as so many have been started below the command."""
    job = start()
    while len(job.client.children(recursive=True)) < processes:
        assert job.process.poll() is None
    os.killpg(job.process.pid, signal.SIGINT)
    status, _ = job.end()
    assert status in (130, -signal.SIGINT)
    assert job.half_written() == []
