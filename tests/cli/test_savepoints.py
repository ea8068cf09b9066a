"""Savepoints from the command line, of a job that runs: taken, looked at, stopped with, continued from, deleted."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

import flowjob as fj
from flowjob.cli.main import main
from flowjob.core.snapshot_log import Begin
from flowjob.runtime.env import StoreLocation
from flowjob.runtime.real.clock import RealClock, RealRandom
from flowjob.runtime.real.stores import OpenStore, with_stores
from flowjob.runtime.storage.job_log import JobLog
from flowjob.runtime.storage.paths import JobPaths

pytestmark = pytest.mark.processes

ROWS = 20_000

PROGRAM = """
import os, time
import flowjob as fj
class Row(fj.Schema):
    n: int
    key: int
def step(row: Row) -> Row:
    if os.path.exists("slow") and row.n % 50 == 0: time.sleep(0.1)
    return row
job = fj.Job("numbers")
rows = job.read(fj.files.jsonl("in/*.jsonl", Row)).map(step)
counted = rows.key_by("key").agg(seen=fj.count())
job.write(counted, fj.files.jsonl("out"))
"""


class Row(fj.Schema):
    n: int


class Directory:
    """Where a job is written, run and looked after."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "counting.py").write_text(PROGRAM)
        (path / "in").mkdir()
        lines = (json.dumps({"n": n, "key": n % 7}) for n in range(ROWS))
        (path / "in" / "numbers.jsonl").write_text("\n".join(lines) + "\n")
        (path / "slow").touch()

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "flowjob", *arguments],
            cwd=self.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        said, _ = process.communicate(timeout=60)
        return process.returncode, said

    def ask(self, *arguments: str) -> tuple[int, str]:
        """A command that ends at once, within this process: it need not start Python and import everything again."""
        said = io.StringIO()
        with (
            contextlib.chdir(self.path),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
            mock.patch.object(sys, "argv", ["flowjob", *arguments]),
            pytest.raises(SystemExit) as ended,
        ):
            main()
        return int(ended.value.code or 0), said.getvalue()

    def results(self) -> list[int]:
        return sorted(
            json.loads(line)["seen"]
            for file in (self.path / "out").glob("*.jsonl")
            for line in file.read_text().splitlines()
        )


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


@pytest.fixture
def running(directory: Directory) -> Iterator[subprocess.Popen[str]]:
    """The job, once it has taken a checkpoint."""
    options = ("--batch-rows", "100", "--checkpoint-interval", "100ms", "--no-progress")
    job = directory.start("run", "counting.py", *options)
    first = directory.path / ".flowjob" / "numbers" / "checkpoints" / "1"
    while not any(first.glob("*/manifest.json")):
        assert job.poll() is None, job.communicate()[0]
        os.sched_yield()
    yield job
    job.kill()
    job.communicate()


def test_a_job_is_stopped_with_a_savepoint_and_continued_from_it(
    directory: Directory, running: subprocess.Popen[str]
) -> None:
    status, said = directory.run("run", "counting.py")
    assert status == 2
    assert "ALREADY_RUNNING" in said
    first = str(directory.path / ".flowjob" / "numbers" / "savepoints" / "first")
    assert directory.ask("savepoint", "take", "numbers", "--name", "first") == (0, f"{first}\n")
    assert directory.ask("savepoint", "verify", first) == (0, "it is whole\n")
    status, said = directory.ask("savepoint", "take", "numbers", "--name", "first")
    assert status == 1
    assert said.startswith(f"error[NOT_DONE]: there is a savepoint in {first} already.")
    status, end = directory.ask("stop", "numbers", "--savepoint", "--name", "end")
    assert status == 0
    assert running.communicate(timeout=30)[0] == ""
    assert running.returncode == 0

    status, said = directory.ask("savepoint", "delete", end.strip())
    assert status == 2
    assert "is where job numbers would go on after a failure, and with `--from latest`" in said
    (directory.path / "slow").unlink()
    seen = directory.results()
    status, said = directory.run("run", "counting.py", "--no-progress", "--from", end.strip())
    assert status == 0, said
    assert said.startswith("starts from savepoint ")
    assert len(seen) < ROWS
    assert directory.results() == sorted(n // 7 + 1 for n in range(ROWS))

    listed = directory.ask("savepoint", "list", "numbers")[1]
    assert "savepoint  end" in listed
    assert "not complete" not in listed
    checkpoint = listed.splitlines()[0].split()[-1]
    assert directory.ask("savepoint", "verify", checkpoint) == (0, "it is whole\n")
    assert "belongs to its job" in directory.ask("savepoint", "delete", checkpoint)[1]
    inspected = directory.ask("savepoint", "inspect", first)[1]
    assert "aggregate (runningaggregate-" in inspected
    assert "\n      aggregates: 7 rows\n" in inspected
    assert directory.ask("savepoint", "delete", first)[0] == 0
    assert directory.ask("savepoint", "verify", first)[0] == 2


def test_a_savepoint_that_a_run_began_from_is_deleted_only_by_force(directory: Directory) -> None:
    """Before that run has a checkpoint of its own, a restart would need it."""
    root = directory.path / ".flowjob" / "numbers"
    begun = root / "savepoints" / "begun"
    job = fj.Job("numbers")
    job.write(job.read(fj.from_rows([Row(1)], Row)), fj.discard())
    fj.write_snapshot(begun, fj.new_snapshot(job))

    async def log(open_store: OpenStore) -> None:
        log = JobLog(open_store(StoreLocation(str(root))), JobPaths(""), RealClock(), RealRandom())
        generation = await log.claim("revision")
        await log.append(Begin(generation, "run", f"{begun}/manifest.json"))

    with_stores(log)
    status, said = directory.ask("savepoint", "delete", str(begun))
    assert (status, "or say --force" in said) == (2, True)
    assert directory.ask("savepoint", "delete", str(begun), "--force") == (0, "1 object deleted\n")


def test_what_does_not_run_cannot_be_asked(directory: Directory) -> None:
    status, said = directory.ask("savepoint", "take", "numbers")
    assert status == 2
    assert "error[NOT_RUNNING]: no job `numbers` is running with its checkpoints in" in said


def test_a_job_that_was_killed_does_not_answer(directory: Directory) -> None:
    """What it has left says where it was to be found."""
    left = {"job": "numbers", "pid": 1, "url": "ws://127.0.0.1:9", "token": "t"}
    place = directory.path / ".flowjob" / "numbers"
    place.mkdir(parents=True)
    (place / ".running.json").write_text(json.dumps(left))
    status, said = directory.ask("stop", "numbers")
    assert status == 2
    assert said.startswith("error[NOT_RUNNING]: job `numbers` (pid 1) does not answer: ")
    assert "--from latest" in said
