"""SIGKILL at each process of a running job: the others end, and nothing is left on the machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.processes

CLIENT = """
import sys
sys.path.insert(0, sys.argv[1])
from tests.runtime import fake_program
from flowjob.runtime.minicluster import run_local
does = {0: sys.argv[2], 1: "write_scratch"}
run_local(fake_program.FakeJob(does=does), parallelism=2, planner="tests.runtime.fake_program", stop_grace=0.5,
          runner="tests.runtime.fake_program:FakeRunner",
          on_state=lambda state: print(state.value, flush=True))
"""


class Run:
    """A client process with a running job."""

    def __init__(self, scratch: Path, does: str) -> None:
        here = str(Path(fake_program_path()).parents[2])
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, here, does],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        while (said := self.process.stdout.readline()) != "running\n":
            assert said, "it ended before it ran"
        client = psutil.Process(self.process.pid)
        self.all = [client, *client.children(recursive=True)]
        (self.taskmanager,) = client.children()
        (self.zygote,) = self.taskmanager.children()
        self.slots = self.zygote.children()
        assert len(self.slots) == 2

    def end(self) -> tuple[int, str]:
        """Exit status and stderr of the client, once all processes are gone."""
        _, stderr = self.process.communicate(timeout=30)
        _, alive = psutil.wait_procs(self.all[1:], timeout=10)
        assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
        return self.process.returncode, stderr


def fake_program_path() -> str:
    from tests.runtime import fake_program

    return fake_program.__file__


@pytest.fixture(params=["hang", "block"])
def job(request: pytest.FixtureRequest, scratch: Path) -> Iterator[Run]:
    """A job one slot of which waits in its loop, or in a user's function that never returns."""
    run = Run(scratch, request.param)
    yield run
    run.process.kill()


def test_a_killed_client_leaves_nothing(job: Run) -> None:
    job.process.kill()
    assert job.end()[0] == -9


def test_a_killed_taskmanager_ends_the_job_with_its_name(job: Run) -> None:
    job.taskmanager.kill()
    status, stderr = job.end()
    assert status == 1
    assert "taskmanager-1 (pid" in stderr
    assert "was killed by signal 9 (SIGKILL) while it had slot 0" in stderr


def test_a_killed_fork_server_ends_the_job(job: Run) -> None:
    job.zygote.kill()
    status, stderr = job.end()
    assert status == 1
    assert "its fork server (pid" in stderr


def test_a_killed_slot_ends_the_job(job: Run) -> None:
    job.slots[1].kill()
    status, stderr = job.end()
    assert status == 1
    assert "was killed by signal 9 (SIGKILL) while running" in stderr


def test_an_interrupt_of_the_whole_process_group_stops_it_cleanly(job: Run) -> None:
    for process in job.all:
        process.send_signal(2)
    status, stderr = job.end()
    assert status == 1
    assert "JobCancelled: the job was cancelled: got SIGINT" in stderr
