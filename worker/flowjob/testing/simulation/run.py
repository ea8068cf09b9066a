"""Runs one scenario and judges it: did the job end, was its end true, did everything else end with it?

Makes the world, and says what was left of it. It must not know how lives follow each other, nor how faults are
chosen."""

from __future__ import annotations

import gc
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowjob.errors import FlowjobError
from flowjob.runtime.jobmanager.request import JobResult
from flowjob.testing.simulation.audit import Audit
from flowjob.testing.simulation.judging import judge, written
from flowjob.testing.simulation.ledger import Ledger
from flowjob.testing.simulation.loop import Stuck
from flowjob.testing.simulation.playing import Play
from flowjob.testing.simulation.process import SimProcess
from flowjob.testing.simulation.scenario import Scenario
from flowjob.testing.simulation.storage import SimStorage
from flowjob.testing.simulation.world import World

_SHM = "/dev/shm"
MEMORY = _SHM if os.path.isdir(_SHM) else None
"""Where worlds are: directories on disk cost more than all the rest."""


@dataclass
class Outcome:
    """What came of a scenario. `problems` is empty when every property held.

    fingerprint  the same for the same scenario, whatever process ran it
    """

    scenario: Scenario
    problems: list[str] = field(default_factory=list)
    result: JobResult | None = None
    error: FlowjobError | None = None
    notes: list[tuple[float, str, str]] = field(default_factory=list)
    seconds: float = 0.0
    steps: int = 0
    fingerprint: int = 0
    rows: int = 0
    struck: int = 0
    restarts: int = 0
    lives: int = 1

    @property
    def end(self) -> str:
        """In a word or two: how the job ended."""
        if self.result is not None:
            return "succeeded"
        return "killed" if self.error is None else type(self.error).__name__


def simulate(scenario: Scenario, *, tracing: bool = False) -> Outcome:
    """Runs it to its end."""
    with tempfile.TemporaryDirectory(prefix="flowjob-simulation-", dir=MEMORY) as directory:
        world = World(scenario.seed, Path(directory), scenario.physics, tracing)
        world.ledger = Ledger()
        outcome = Outcome(scenario)
        with garbage_kept() as left_open, noting_logs(world):
            try:
                world.inside(_run, world, scenario, outcome)
                outcome.notes = list(world.notes)
            finally:
                world.end()
    outcome.problems += _left_open(world, left_open)
    return outcome


@contextmanager
def garbage_kept() -> Iterator[list[str]]:
    """Finalizers run when all is over: not at odd moments, and without a word about coroutines of killed processes.

    Gives, afterwards, what was found about files and the like that nobody has closed."""
    collecting = gc.isenabled()
    left_open: list[str] = []
    gc.disable()
    gc.freeze()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "coroutine .* was never awaited")
            warnings.simplefilter("always", ResourceWarning)
            show = warnings.showwarning

            def note(message: Warning | str, category: type[Warning], *more: Any) -> None:
                if issubclass(category, ResourceWarning):
                    left_open.append(str(message))
                else:
                    show(message, category, *more)

            warnings.showwarning = note  # type: ignore[assignment]
            yield left_open
            gc.collect()
    finally:
        gc.unfreeze()
        if collecting:
            gc.enable()


def _left_open(world: World, found: list[str]) -> list[str]:
    """What the kernel closes for a process that is killed is no fault; who returns closes its files itself. Who has
    opened what all of them may read is not known."""
    problems = []
    for text in found:
        theirs = [p for p in world.processes if p.directory != world.directory]
        owners = [p for p in theirs if f"{p.directory}/" in text]
        owner = max(owners, key=lambda p: len(p.directory.parts), default=None)
        if owner is not None and owner.returned:
            problems.append(f"{owner.name} returned and left this to the kernel: {text}")
    return problems


def _run(world: World, scenario: Scenario, outcome: Outcome) -> None:
    world.storage = SimStorage(world, scenario.store)
    world.ledger.is_published = world.storage.watch.is_published
    play = Play(world, scenario)
    audit: Audit | None = None
    try:
        play.run()
        if scenario.checkpoints is not None:
            audit = Audit(world, scenario, play.drained, tidy=play.went_well)
            audit.run()
    except Stuck as stuck:
        outcome.problems.append(_stuck(world, play.lives[-1].process, stuck))
    last = play.lives[-1]
    outcome.result, outcome.error, outcome.lives = last.result, last.error, len(play.lives)
    outcome.seconds, outcome.steps = world.loop.now, world.loop.steps
    outcome.fingerprint = world.loop.fingerprint
    outcome.restarts = sum(max(0, life.runs - 1) for life in play.lives)
    outcome.rows = len(written(world, scenario.job)[0])
    outcome.struck = world.happened.get("struck", 0)
    outcome.problems += judge(world, scenario, play, audit)


def _stuck(world: World, client: SimProcess, stuck: Stuck) -> str:
    left = [p for p in world.processes if p.status is None]
    if client.status is not None:
        return f"the job is over but these still run: {[p.name for p in left]} ({stuck})"
    for process in left:
        for task in process.living_tasks():
            frames = [f"{f.f_code.co_filename}:{f.f_lineno}" for f in task.get_stack()]
            world.note(process.name, f"waits: {task.get_name()} at {' < '.join(frames)}")
    return f"the job neither ends nor fails: {stuck}"


class _Notes(logging.Handler):
    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        self._world.note(self._world.loop.current.name, f"log: {record.getMessage()}")


@contextmanager
def noting_logs(world: World) -> Iterator[None]:
    """What processes log goes into the notes."""
    logger = logging.getLogger("flowjob")
    handler, level, up = _Notes(world), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO if world.tracing else logging.CRITICAL)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = up
