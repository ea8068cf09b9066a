"""Runs one scenario and judges it: did the job end, was its end true, did everything else end with it?

The JobManager's process is started here; all others are started by it. It must not know how faults are chosen."""

from __future__ import annotations

import copy
import gc
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flowjob.core.checkpoint_settings import Mode
from flowjob.core.job_machine import JobState
from flowjob.errors import FlowjobError
from flowjob.plan import compile_job, digest, job_graph_text
from flowjob.runtime.job_description import CheckpointPlan, EntrypointSource, JobDescription
from flowjob.runtime.jobmanager.manager import JobManager
from flowjob.runtime.jobmanager.request import JobRequest, JobResult, Listeners
from flowjob.runtime.minicluster import MiniCluster
from flowjob.testing.simulation import faults
from flowjob.testing.simulation.cluster import SimLauncher
from flowjob.testing.simulation.env import make_env
from flowjob.testing.simulation.jobs import build
from flowjob.testing.simulation.judging import judge
from flowjob.testing.simulation.ledger import Ledger
from flowjob.testing.simulation.loop import Stuck
from flowjob.testing.simulation.process import SimProcess
from flowjob.testing.simulation.scenario import Phase, Scenario
from flowjob.testing.simulation.storage import LOCATION, ROOT, SimStorage
from flowjob.testing.simulation.world import World

PATIENCE = 400.0
"""Virtual seconds from the last fault's end within which everything must be over."""

MAX_STEPS = 3_000_000

_MEMORY = "/dev/shm"


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

    @property
    def end(self) -> str:
        """In a word or two: how the job ended."""
        if self.result is not None:
            return "succeeded"
        return "killed" if self.error is None else type(self.error).__name__


def simulate(scenario: Scenario, *, tracing: bool = False) -> Outcome:
    """Runs it to its end."""
    memory = (
        _MEMORY if os.path.isdir(_MEMORY) else None
    )  # directories on disk cost more than all the rest
    with tempfile.TemporaryDirectory(prefix="flowjob-simulation-", dir=memory) as directory:
        world = World(scenario.seed, Path(directory), scenario.physics, tracing)
        world.ledger = Ledger()
        outcome = Outcome(scenario)
        with _garbage_kept() as left_open, _logging(world):
            try:
                world.inside(_run, world, scenario, outcome)
                outcome.notes = list(world.notes)
            finally:
                world.end()
    outcome.problems += _left_open(world, left_open)
    return outcome


@contextmanager
def _garbage_kept() -> Iterator[list[str]]:
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
    """What the kernel closes for a process that is killed is no fault; who returns closes its files itself."""
    problems = []
    for text in found:
        owners = [p for p in world.processes if f"{p.directory}/" in text]
        owner = max(owners, key=lambda p: len(p.directory.parts), default=None)
        if owner is not None and owner.returned:
            problems.append(f"{owner.name} returned and left this to the kernel: {text}")
    return problems


def _run(world: World, scenario: Scenario, outcome: Outcome) -> None:
    client = world.add_process("jm", "host-0")
    client.start(lambda: _client(world, client, scenario, outcome))
    faults.arm(world, scenario.faults, Phase.START)
    last = max((f.at + f.lasts for f in scenario.faults), default=0.0)
    try:
        world.run(world.is_over, until=last + PATIENCE, max_steps=MAX_STEPS)
    except Stuck as stuck:
        outcome.problems.append(_stuck(world, client, stuck))
    outcome.seconds, outcome.steps = world.loop.now, world.loop.steps
    outcome.fingerprint = world.loop.fingerprint
    outcome.restarts = max(0, world.happened.get("running", 1) - 1)
    outcome.rows = len(world.ledger.rows)
    outcome.struck = world.happened.get("struck", 0)
    outcome.problems += judge(world, client, scenario, (outcome.result, outcome.error))


async def _client(world: World, process: SimProcess, scenario: Scenario, outcome: Outcome) -> int:
    """What `flowjob run` does."""
    directory = world.directory / "jm"
    directory.mkdir()
    world.storage = SimStorage(world, scenario.store)
    open_store = world.storage.open
    launcher = SimLauncher(world, process, open_store)
    env = make_env(world, process, directory, launcher, open_store)
    request = _request(scenario, process.host, env.random.token()[:8], env.random.token())
    slots = max((v.parallelism for v in request.graph.vertices), default=1)
    cluster = MiniCluster(
        env, taskmanagers=scenario.taskmanagers, slots=-(-slots // scenario.taskmanagers)
    )
    try:
        listeners = Listeners(on_state=lambda state: _on_state(world, scenario, state))
        outcome.result = await JobManager(env, request, listeners).run(cluster)
    except FlowjobError as error:
        outcome.error = error
        world.note(process.name, f"{type(error).__name__}: {error}")
    return 0


def _on_state(world: World, scenario: Scenario, state: JobState) -> None:
    world.note("jm", f"the job is {state.value}")
    if state is JobState.STOPPING:
        world.stopped_at = world.loop.time()
    if state is JobState.RUNNING and world.count("running") == 1:
        faults.arm(world, scenario.faults, Phase.RUNNING)


def _request(scenario: Scenario, host: str, run_id: str, token: str) -> JobRequest:
    graph = compile_job(build(scenario.job), parallelism=scenario.parallelism)
    job = JobDescription(
        name=graph.name,
        run_id=run_id,
        source=EntrypointSource(
            target="flowjob.testing.simulation.jobs:build", args=asdict(scenario.job)
        ),
        parallelism=scenario.parallelism,
        digest=digest(graph),
        explain=job_graph_text(graph),
        token=token,
        run=scenario.run,
        checkpoints=_plan(scenario),
    )
    return JobRequest(
        graph=graph,
        job=job,
        timeouts=scenario.timeouts,
        heartbeat_interval=scenario.heartbeat_interval,
        heartbeat_timeout=scenario.heartbeat_timeout,
        stop_grace=scenario.stop_grace,
        host=host,
        restarts=copy.deepcopy(scenario.restarts),  # it counts
        checkpoints=scenario.checkpoints,
    )


def _plan(scenario: Scenario) -> CheckpointPlan | None:
    settings = scenario.checkpoints
    if settings is None:
        return None
    return CheckpointPlan(
        location=LOCATION,
        root=ROOT,
        exactly_once=settings.mode is Mode.EXACTLY_ONCE,
        alignment_timeout=settings.task_alignment_timeout,
        spill_bytes=settings.spill_bytes,
        expires=settings.timeout,
        inline_bytes=scenario.inline_bytes,
    )


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
def _logging(world: World) -> Iterator[None]:
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
