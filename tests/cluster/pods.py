"""Processes of a cluster's pods on this machine: JobManagers and TaskManagers by a job file, and their APIs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from flowjob.cluster.control_api import JobManagerView, OperationView, Request
from flowjob.cluster.job_file import JobFile, Program, Storage

WITHIN = 240.0
KEYS = 7

PROGRAM = """
import flowjob as fj

class Row(fj.Schema):
    key: int
    value: int

class Args(fj.Args):
    rows: int = 1600
    rate: int = 200

def job(args: Args) -> fj.Job:
    made = fj.Job("counted")
    rows = fj.datagen(
        Row,
        {"key": fj.values.sequence(), "value": fj.values.sequence()},
        rows=args.rows, rate=args.rate, splits=4,
    )
    read = made.read(rows, parallelism=1)
    counted = read.select(key=fj.col("key") % 7, value=fj.col("value")).key_by("key").agg(n=fj.count())
    made.write(counted, fj.files.jsonl("OUT"))
    return made
"""


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Pods:
    """Of one job, in `directory`."""

    def __init__(self, directory: Path, rows: int = 1600, rate: int = 200) -> None:
        self.directory = directory
        self.rows = rows
        self.all: list[subprocess.Popen[bytes]] = []
        self.control, self.api, self.probe = free_ports(3)
        script = directory / "counted.py"
        script.write_text(PROGRAM.replace("OUT", str(directory / "out")))
        self.file = JobFile(
            namespace="data",
            name="counted",
            uid="u-1",
            revision=1,
            run="1",
            program=Program(script=str(script), args={"rows": str(rows), "rate": str(rate)}),
            parallelism=1,
            slots=1,
            storage=Storage(location=str(directory / "store")),
            checkpoints={"interval": "300ms", "minPause": "0s"},
            jobmanagers=f"127.0.0.1:{self.control}",
            control_port=self.control,
            api_port=self.api,
            probe_port=self.probe,
        )

    # -- processes

    def jobmanager(self, **changes: Any) -> subprocess.Popen[bytes]:
        return self._start("jobmanager", self._written(**changes), {})

    def taskmanager(self, ordinal: int, slots: int = 1) -> subprocess.Popen[bytes]:
        (probe,) = free_ports(1)
        path = self._written(slots=slots, probe_port=probe)
        return self._start("taskmanager", path, {"POD_NAME": f"counted-tm-{ordinal}"})

    def _written(self, **changes: Any) -> Path:
        file = msgspec.structs.replace(self.file, **changes)
        path = self.directory / f"job-{len(self.all)}.json"
        path.write_bytes(msgspec.json.encode(file))
        return path

    def _start(self, what: str, path: Path, more: dict[str, str]) -> subprocess.Popen[bytes]:
        with open(self.directory / f"{len(self.all)}.log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "flowjob", what, "--job-file", str(path)],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "FLOWJOB_TOKEN": "secret", "POD_IP": "127.0.0.1", **more},
            )
        self.all.append(process)
        return process

    def end(self) -> None:
        for process in self.all:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.wait()

    def said(self, process: subprocess.Popen[bytes]) -> str:
        return (self.directory / f"{self.all.index(process)}.log").read_text()

    def readiness(self, process: subprocess.Popen[bytes]) -> int:
        """Status of its /readyz; 0 where nobody answers."""
        path = self.directory / f"job-{self.all.index(process)}.json"
        port = msgspec.json.decode(path.read_bytes(), type=JobFile).probe_port
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    # -- the API

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """Status and JSON; 0 where nobody answers."""
        url = f"http://127.0.0.1:{self.api}/internal/v1/{path}"
        request = urllib.request.Request(url, data=body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())
        except OSError:
            return 0, None

    def view(self) -> JobManagerView | None:
        status, body = self.call("GET", "status")
        return msgspec.convert(body, JobManagerView) if status == 200 else None

    def ask(self, id: str, request: Request) -> OperationView:
        """Asked, and waited for."""
        status, body = self.call("PUT", f"operations/{id}", msgspec.json.encode(request))
        assert status == 200, body

        def over() -> OperationView | None:
            status, body = self.call("GET", f"operations/{id}")
            found = msgspec.convert(body, OperationView) if status == 200 else None
            return found if found is not None and found.state != "UnderWay" else None

        return self.until(over)

    def until(self, there: Callable[[], Any]) -> Any:
        """What `there` gives, once that is something."""
        give_up = time.monotonic() + WITHIN
        while not (found := there()):
            assert time.monotonic() < give_up, [self.said(p)[-3000:] for p in self.all]
            time.sleep(0.05)
        return found

    def is_in(self, *states: str) -> Callable[[], JobManagerView | None]:
        def there() -> JobManagerView | None:
            view = self.view()
            return view if view is not None and view.state in states else None

        return there

    def has_completed(self, checkpoints: int) -> Callable[[], bool]:
        def there() -> bool:
            view = self.view()
            return view is not None and view.checkpoints.completed >= checkpoints

        return there

    def has_taskmanagers(self, count: int) -> Callable[[], bool]:
        """They come when their fork servers have imported all: on a slow machine long after the first one."""

        def there() -> bool:
            view = self.view()
            return view is not None and view.slots.task_managers == count

        return there

    # -- what came of it

    def results(self) -> Counter[tuple[int, int]]:
        lines = [
            json.loads(line)
            for file in (self.directory / "out").glob("*.jsonl")
            for line in file.read_text().splitlines()
        ]
        return Counter((line["key"], line["n"]) for line in lines)

    def expected(self) -> Counter[tuple[int, int]]:
        counts = Counter(n % KEYS for n in range(self.rows))
        return Counter((key, n) for key, count in counts.items() for n in range(1, count + 1))
