"""`flowjob run --web`: a job of real processes, shown and steered over HTTP until it is cancelled."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.processes

PROGRAM = """
import os, time
import flowjob as fj
class Row(fj.Schema):
    n: int
    key: int
def step(row: Row) -> Row:
    if row.n % 50 == 0: time.sleep(0.05)
    return row
job = fj.Job("numbers")
rows = job.read(fj.files.jsonl("in/*.jsonl", Row)).map(step)
counted = rows.key_by("key").agg(seen=fj.count())
job.write(counted, fj.files.jsonl("out"))
"""


class Running:
    """The job, and a client of its service."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.http = httpx.Client(base_url=url, timeout=20.0)
        self.job = "/api/v1/jobs/local/numbers"

    def get(self, path: str) -> Any:
        answer = self.http.get(self.job + path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def until(self, path: str, there: Any) -> Any:
        """What is at a path once it is as wanted; the test's own deadline bounds it."""
        while True:
            answer = self.http.get(self.job + path)
            assert answer.status_code in (200, 503), answer.text  # 503: it does not lead yet
            if answer.status_code == 200 and there(answer.json()):
                return answer.json()
            time.sleep(0.05)

    def do(self, path: str, body: dict[str, Any] | None = None, **headers: str) -> Any:
        """The operation, once it is over."""
        answer = self.http.post(self.job + path, json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        found, where = answer.json(), answer.headers["Location"]
        while found["state"] not in ("Done", "Failed"):
            found = self.http.get(where).json()
            time.sleep(0.05)
        return found


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "counting.py").write_text(PROGRAM)
    (tmp_path / "in").mkdir()
    for file in range(4):
        lines = (json.dumps({"n": n, "key": n % 7}) for n in range(20_000))
        (tmp_path / "in" / f"{file}.jsonl").write_text("\n".join(lines) + "\n")
    options = [
        "--batch-rows",
        "100",
        "--checkpoint-interval",
        "200ms",
        "--no-progress",
        "-p",
        "2",
        "--web",
        "0",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "flowjob", "run", "counting.py", *options],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    found = re.search(r"http://\S+/", process.stderr.readline())
    assert found is not None
    job = Running(process, found.group())
    for _ in range(600):
        try:
            if job.http.get("/healthz").status_code == 200:
                break
        except httpx.TransportError:
            time.sleep(0.05)
    yield job
    job.http.close()
    process.kill()
    process.communicate()


def test_a_local_job_is_shown_and_steered_until_it_is_cancelled(running: Running) -> None:
    running.until("", lambda job: job["state"] == "Running" and job["checkpoints"]["completed"] > 0)

    listed = running.http.get("/api/v1/jobs").json()
    assert [(job["namespace"], job["name"]) for job in listed["jobs"]] == [("local", "numbers")]
    graph = running.until(
        "/graph?subtasks=true", lambda g: sum(v["figures"]["rowsOut"] for v in g["vertices"])
    )
    assert [len(vertex["subtasks"]) for vertex in graph["vertices"]] == [2] * len(graph["vertices"])
    for path in (
        "/tasks",
        "/checkpoints",
        "/exceptions",
        "/metrics",
        "/logs",
        "/configuration",
        "/plan",
    ):
        running.get(path)

    saved = running.do("/savepoints", {"name": "first"}, **{"Idempotency-Key": "one"})
    assert saved["state"] == "Done", saved
    assert saved["result"]["snapshot"]["path"].endswith("/savepoints/first")
    again = running.do("/savepoints", {"name": "first"}, **{"Idempotency-Key": "one"})
    assert again["id"] == saved["id"]
    assert "first" in [one["name"] for one in running.get("/snapshots")["snapshots"]]

    scaled = running.do("/scale", {"parallelism": 1})
    assert scaled["state"] == "Done", scaled
    assert running.until("", lambda job: job["state"] == "Running")["parallelism"] == 1

    cancelled = running.do("/cancel")
    assert cancelled["state"] == "Done", cancelled
    assert running.process.wait(timeout=60) == 130
