"""A job run by `flowjob run` as a tree of real processes, of which any can be struck at any moment.

All processes below the command carry a mark in their environment, by which they are found whoever their parents are."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

COMMAND = Path(__file__).with_name("quick_heartbeats.py")
MARK = "FLOWJOB_TEST_OF_RECOVERY"
ENDS_WITHIN = 150.0
"""Seconds, on a busy machine; what takes longer hangs."""

GONE_WITHIN = 15.0
RESTARTED = re.compile(r"; restarted from .* in (\d+\.\d) s \(attempt")
STRANGE = re.compile(
    "never retrieved|was never awaited|was destroyed|Exception ignored|AssertionError"
)


class Run:
    """One `flowjob run`, in a session of its own."""

    def __init__(
        self,
        directory: Path,
        arguments: Sequence[str],
        number: int,
        environment: Mapping[str, str],
    ) -> None:
        self.directory = directory
        self.number = number
        self.mark = f"{directory}#{number}"
        self.log = directory / f"run-{number}.log"
        scratch = directory / "scratch"
        scratch.mkdir(exist_ok=True)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(COMMAND), "run", *arguments],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **environment, MARK: self.mark, "TMPDIR": str(scratch)},
            )
        self.client = psutil.Process(self.process.pid)

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def last_words(self) -> str:
        lines = [line for line in self.said.splitlines() if line.strip()]
        return lines[-1] if lines else ""

    @property
    def strange(self) -> list[str]:
        """Lines that no user should ever read. A traceback may be of a function that was made to fail."""
        lines = self.said.splitlines()
        ours = "verified_job.py" not in self.said
        return [li for li in lines if STRANGE.search(li) or (ours and li.startswith("Traceback"))]

    @property
    def restarts(self) -> list[float]:
        """Seconds that each took."""
        return [float(found) for found in RESTARTED.findall(self.said)]

    def taskmanagers(self) -> list[psutil.Process]:
        return _children(self.client)

    def zygotes(self) -> list[psutil.Process]:
        return [z for t in self.taskmanagers() for z in _children(t)]

    def slots(self) -> list[psutil.Process]:
        return [s for z in self.zygotes() for s in _children(z)]

    def any_of(self, what: str, chance: random.Random) -> psutil.Process | None:
        """`slot`, `zygote`, `taskmanager` or `client`; None when there is none at the moment."""
        found = [self.client] if what == "client" else getattr(self, f"{what}s")()
        return chance.choice(found) if found else None

    def several(self, chance: random.Random) -> list[psutil.Process]:
        """Not the client."""
        found = [*self.taskmanagers(), *self.zygotes(), *self.slots()]
        return chance.sample(found, chance.randint(1, len(found))) if found else []

    def wait(self) -> int:
        """The exit status. Raises subprocess.TimeoutExpired for one that hangs."""
        return self.process.wait(ENDS_WITHIN)

    def left(self) -> list[str]:
        """Processes that outlive the command for longer than they may; they are killed then."""
        mine = self.mine()
        _, alive = psutil.wait_procs(mine, timeout=GONE_WITHIN)
        found = []
        for process in [*alive, *self.mine()]:
            with contextlib.suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(f"{process.pid} {' '.join(process.cmdline())}")
                    process.kill()
        return found

    def mine(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark:
                    found.append(process)
        return found

    def end(self) -> None:
        """Whatever state it is in: nothing of it lives after this."""
        for process in self.mine():
            strike(process, signal.SIGKILL)
        strike(self.client, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GONE_WITHIN)


def strike(process: psutil.Process, number: signal.Signals) -> None:
    """One that has ended meanwhile feels nothing."""
    with contextlib.suppress(psutil.Error):
        process.send_signal(number)


def _children(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        found: list[psutil.Process] = process.children()
        return found
    return []
