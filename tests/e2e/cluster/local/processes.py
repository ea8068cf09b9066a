"""Processes that go on when the command that started them has ended, and are found again by their number.

A number alone says nothing after a restart of the machine: when the process began is noted beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

LEAVE_SECONDS = 5.0


class DidNotStart(Exception):
    """What was waited for has not come; the message has the end of the log."""


class Processes:
    """Named, each with a log of its own."""

    def __init__(self, state: Path) -> None:
        self._numbers = state / "processes"
        self._logs = state / "logs"

    def start(self, name: str, command: Iterable[str | Path]) -> None:
        """In a session of its own. Nothing where it runs already."""
        if self.runs(name):
            return
        for folder in (self._numbers, self._logs):
            folder.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (self._numbers / name).write_text(f"{process.pid} {_began(process.pid)}")

    def runs(self, name: str) -> bool:
        return self.number(name) is not None

    def number(self, name: str) -> int | None:
        """Of the process, if it is still the one that was started."""
        try:
            number, began = (self._numbers / name).read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(number) if _began(int(number)) == began else None

    def names(self) -> list[str]:
        return sorted(path.name for path in self._numbers.glob("*"))

    def stop(self, names: Iterable[str], *, patience: float = LEAVE_SECONDS) -> None:
        """All at once: asked first, then killed. Returns when they are gone."""
        numbers = {name: self.number(name) for name in names}
        for number in numbers.values():
            _send(number, signal.SIGTERM)
        give_up = time.monotonic() + patience
        while any(self.runs(name) for name in numbers) and time.monotonic() < give_up:
            time.sleep(0.05)
        for name, number in numbers.items():
            if self.runs(name):
                _send(number, signal.SIGKILL)
            while self.runs(name):
                time.sleep(0.02)
            (self._numbers / name).unlink(missing_ok=True)

    def kill(self, name: str) -> None:
        """Without asking: what a loss of it looks like."""
        self.stop([name], patience=0.0)

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def wait(self, name: str, ready: Callable[[], bool], seconds: float = 60.0) -> None:
        """Until `ready`. Raises DidNotStart, at once if the process has ended."""
        give_up = time.monotonic() + seconds
        while not ready():
            if not self.runs(name) or time.monotonic() > give_up:
                state = "does not answer" if self.runs(name) else "has ended"
                text = self.log(name).read_text(errors="replace")
                raise DidNotStart(f"{name} {state}; the end of {self.log(name)}:\n{text[-3000:]}")
            time.sleep(0.05)


def succeeds(*command: str | Path) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _began(number: int) -> str | None:
    """In ticks since the machine started; None where there is no such process, or only what is left of one."""
    try:
        # Behind the name, which may have spaces and brackets.
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields[19]


def _send(number: int | None, which: signal.Signals) -> None:
    if number is not None:
        try:
            os.kill(number, which)
        except ProcessLookupError:
            pass
