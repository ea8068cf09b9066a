"""Plays a scenario: runs the verified job, strikes it, runs it again until it has finished, and judges what is left.

What is waited for are entries in the job's log: faults strike between commits, not at times of the clock alone."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.recovery import verifier
from tests.recovery.places import Place, opened
from tests.recovery.processes import Run, strike
from tests.recovery.scenario import ENDING, Fault, Kind, Scenario
from tests.recovery.store import last_run, leaks

JOB = Path(__file__).with_name("verified_job.py")
TICK = 0.02
MOST_WAIT = 5.0
"""Seconds until a fault strikes anyhow, when the log does not grow: faults may meet a job that stands."""

MOST_START = 60.0
MOST_LIVES = 12


class Play:
    """One scenario in a directory of its own."""

    def __init__(self, scenario: Scenario, directory: Path, place: Place) -> None:
        self.scenario = scenario
        self.directory = directory
        self.place = place
        self.chance = random.Random(scenario.seed)
        self.runs: list[Run] = []
        self.ended: list[Run] = []
        self.killed: list[Run] = []
        self.zombies: list[Run] = []
        self.continued: set[int] = set()
        self.before: list[int] = []
        self.ports: set[int] = set()
        self.found: list[str] = []
        self.struck: list[str] = []
        self.torn = False

    def play(self) -> list[str]:
        """What is wrong, in the end."""
        faults = self.directory / "faults"
        faults.mkdir()
        for marker in self.scenario.markers:
            (faults / marker).touch()
        try:
            self._live(list(self.scenario.faults))
        except subprocess.TimeoutExpired:
            self.found.append("the job hangs")
        finally:
            for run in self.runs:
                run.end()
        return [*self.found, *(self._judge() if not self.found else ())]

    def _live(self, faults: list[Fault]) -> None:
        for _ in range(MOST_LIVES):
            run = self._start()
            self._strike_while(run, faults)
            if self._end(run) == 0 or self._end(self.runs[-1]) == 0:
                return
        self.found.append(f"not done after {MOST_LIVES} lives")

    def _end(self, run: Run) -> int:
        """Waits for the run's end; its exit status."""
        status = run.wait()
        if run in self.ended:
            return status
        self.ended.append(run)
        self.found += [f"outlives its command: {p}" for p in run.left()]
        self.struck.append(f"run {run.number} ended with {status}: {run.last_words}")
        self.found += [f"run {run.number} said: {line}" for line in run.strange]
        if not self._may_end(run, status):
            self.found.append(f"run {run.number} ended with status {status}: {run.last_words}")
        return status

    def _may_end(self, run: Run, status: int) -> bool:
        """Whether a run is allowed to come to such an end."""
        if status == 0 or self._nothing_to_continue(run):
            return True
        if run in self.killed:
            return status == -signal.SIGKILL
        if run in self.zombies and status == 1:
            return True  # another one leads
        if "before it had registered" in run.last_words:
            return status == 1
        first_words = run.number not in self.continued and "Induced" in run.said
        return first_words and status == 1  # a function that fails before anything is saved

    def _nothing_to_continue(self, run: Run) -> bool:
        """`--from latest` is refused when the first life did not come to a checkpoint."""
        return "start without --from" in run.last_words

    def _start(self) -> Run:
        scenario, life = self.scenario, len(self.runs)
        parallelism = scenario.parallelisms[min(life, len(scenario.parallelisms) - 1)]
        arguments = [str(JOB), "-p", str(parallelism), "--taskmanagers", str(scenario.taskmanagers)]
        arguments += ["--batch-rows", str(scenario.batch_rows), "--no-progress"]
        arguments += ["--checkpoint-interval", f"{scenario.interval_ms}ms", *self.place.options()]
        given = {"rows": scenario.rows, "rate": scenario.rate, **scenario.job}
        if scenario.writes_there:
            given["out"] = self.place.out()
        for name, value in given.items():
            arguments += ["--arg", f"{name}={value}"]
        if self.runs and not self._nothing_to_continue(self.runs[-1]):
            arguments += ["--from", "latest"]
            self.continued.add(life)
        self.before.append(self._entries())
        self.runs.append(Run(self.directory, arguments, life, self.place.environment()))
        return self.runs[-1]

    # -- faults

    def _strike_while(self, run: Run, faults: list[Fault]) -> None:
        while faults and not run.ended:
            fault = faults[0]
            if not self._wait_for(run, fault):
                return
            faults.pop(0)
            self._note_ports(run)
            self.struck.append(f"{fault.kind.value} at entry {self._entries()}")
            self._apply(run, fault)
            if fault.kind in ENDING:
                return

    def _wait_for(self, run: Run, fault: Fault) -> bool:
        """False: the run has ended, or its claim is nowhere to be seen."""
        if not self._until(lambda: bool(run.slots()) and self._leads(run), run, MOST_START):
            return False
        since = self._entries()
        self._until(lambda: self._entries() - since >= fault.after, run, MOST_WAIT)
        time.sleep(fault.pause)
        return not run.ended

    def _until(self, happened: Callable[[], bool], run: Run, most: float) -> bool:
        until = time.monotonic() + most
        while time.monotonic() < until and not run.ended:
            if happened():
                return True
            time.sleep(TICK)
        return False

    def _leads(self, run: Run) -> bool:
        """Whether it has claimed the log, and said what it begins from: it is no zombie before."""
        if self._entries() >= self.before[run.number] + 2:
            self.before[run.number] = -2  # for good, also when the store is away
        return self.before[run.number] == -2

    def _apply(self, run: Run, fault: Fault) -> None:
        if fault.kind in ENDING:
            self.killed.append(run)
        match fault.kind:
            case Kind.SLOT | Kind.ZYGOTE | Kind.TASKMANAGER | Kind.CLIENT:
                victim = run.any_of(fault.kind.name.lower(), self.chance)
                if victim is not None:
                    strike(victim, signal.SIGKILL)
            case Kind.SEVERAL:
                for victim in run.several(self.chance):
                    strike(victim, signal.SIGKILL)
            case Kind.ALL:
                self.torn = True  # nobody was left to remove the temporary files
                for victim in run.mine():
                    strike(victim, signal.SIGKILL)
            case Kind.STOPPED_SLOT | Kind.STOPPED_TASKMANAGER:
                what = fault.kind.name.lower().removeprefix("stopped_")
                with _stopped(run.any_of(what, self.chance)):
                    time.sleep(fault.lasts)
            case Kind.ZOMBIE:
                self._zombie(run)
            case Kind.FULL_DISK | Kind.OUTAGE:
                self.place.strike()
                try:
                    time.sleep(fault.lasts)
                finally:
                    self.place.heal()

    def _zombie(self, run: Run) -> None:
        """Another run finishes the job while this one is stopped, which then wakes up and must do no harm."""
        self.zombies.append(run)
        with _stopped(run.client):
            if self._end(self._start()) != 0:
                self._end(self._start())
        self._end(run)

    # -- judgement

    def _judge(self) -> Iterator[str]:
        objects = self.place.objects()
        if self.scenario.writes_there:
            self.place.fetch(self.directory / "out")
        run = last_run(objects, "verified")
        yield from verifier.problems(self.directory / "out", self.scenario.rows, run)
        retained = self.scenario.job.get("retained", 2)
        assert isinstance(retained, int)
        torn = bool(self.scenario.faults)
        yield from leaks(objects, "verified", retained, torn=torn)
        for port in self.ports:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    yield f"port {port} is still served"
        if not self.torn:
            for path in (self.directory / "scratch").iterdir():
                yield f"temporary file: {path.name}"

    def _entries(self) -> int:
        """The number of the newest entry of the log; 0 while nobody knows."""
        try:
            names = self.place.names()
        except Exception:  # noqa: BLE001 - whatever a store raises while it is away
            return 0
        logs = [name for name in names if "/log/" in name]
        return max((int(name.rpartition("/")[2].partition(".")[0]) for name in logs), default=0)

    def _note_ports(self, run: Run) -> None:
        for process in run.mine():
            with contextlib.suppress(psutil.Error):
                self.ports |= {
                    c.laddr.port
                    for c in process.net_connections("tcp")
                    if c.status == psutil.CONN_LISTEN
                }


@contextlib.contextmanager
def _stopped(process: psutil.Process | None) -> Iterator[None]:
    if process is not None:
        strike(process, signal.SIGSTOP)
    try:
        yield
    finally:
        if process is not None:
            strike(process, signal.SIGCONT)


@dataclass(frozen=True, slots=True)
class Played:
    """problems  what is wrong; none: all went well
    story     what happened, and, where something is wrong, what the runs said
    lives     runs that it took
    slowest   seconds that the longest restart took; 0 without any
    """

    problems: list[str]
    story: str
    lives: int
    slowest: float


def play(scenario: Scenario, *, keep: bool = False) -> Played:
    """`keep`: the directory stays for whoever wants to look into it."""
    directory = Path(tempfile.mkdtemp(prefix="flowjob-chaos-"))
    try:
        with opened(scenario.store, directory) as place:
            playing = Play(scenario, directory, place)
            found = playing.play()
        story = [str(scenario), *(f"  - {line}" for line in playing.struck)]
        if found:
            story += [f"--- {run.log.name}\n{run.said[-3000:]}" for run in playing.runs]
        if keep:
            story.append(f"in {directory}")
        restarts = [seconds for run in playing.runs for seconds in run.restarts]
        return Played(found, "\n".join(story), len(playing.runs), max(restarts, default=0.0))
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)
