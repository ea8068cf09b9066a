"""One life of a simulated job: the process that does what `flowjob run` does, and people who ask it for savepoints.

How the job comes to a life, and what follows, is playing.py's."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flowjob.core.checkpoint_settings import Mode
from flowjob.core.job_machine import JobState
from flowjob.errors import FlowjobError
from flowjob.plan import compile_job, digest, job_graph_text
from flowjob.runtime.env import Env
from flowjob.runtime.job_description import CheckpointPlan, EntrypointSource, JobDescription
from flowjob.runtime.jobmanager.asking import ask, read_whereabouts
from flowjob.runtime.jobmanager.manager import JobManager
from flowjob.runtime.jobmanager.request import JobRequest, JobResult, Listeners, StartFrom
from flowjob.runtime.messages import Answered, Ask
from flowjob.runtime.minicluster import MiniCluster
from flowjob.testing.simulation import faults
from flowjob.testing.simulation.cluster import SimLauncher
from flowjob.testing.simulation.env import make_env
from flowjob.testing.simulation.jobs import build
from flowjob.testing.simulation.lives import Departure, Leave
from flowjob.testing.simulation.process import SimProcess
from flowjob.testing.simulation.scenario import Phase, Scenario
from flowjob.testing.simulation.storage import LOCATION, ROOT
from flowjob.testing.simulation.world import World

USER_PATIENCE = 5.0
"""Seconds that people wait for a connection."""


@dataclass
class Life:
    """`number` from 0. `start`: the snapshot it begins from, None: nothing. `departure`: how it ends before its time.

    result, error  how it ended; neither: it was killed
    running_at     virtual time at which it first ran
    stopped_at     virtual time at which the job began to end
    on_running     called when it first runs
    asked          what people asked for, and what they heard: None when the job did not answer
    """

    world: World
    scenario: Scenario
    number: int
    parallelism: int
    taskmanagers: int
    start: str | None = None
    departure: Departure | None = None
    overtaken: bool = False
    result: JobResult | None = None
    error: FlowjobError | None = None
    running_at: float = 0.0
    stopped_at: float = 0.0
    runs: int = 0
    on_running: Callable[[], None] = lambda: None
    asked: list[tuple[Ask, Answered | None]] = field(default_factory=list)

    def begin(self) -> SimProcess:
        name = f"jm{self.number + 1}" if self.number else "jm"
        overtakes = self.number and self.world.living
        host = f"host-jm{self.number + 1}" if overtakes else "host-0"
        process = self.process = self.world.add_process(name, host)
        process.start(self._live)
        return process

    @property
    def stopped_with(self) -> str | None:
        """Where the savepoint is that it was stopped with."""
        stops = [a for wish, a in self.asked if wish.what == "stop" and a is not None]
        return next((a.place for a in stops if a.failure is None), None)

    @property
    def savepoints(self) -> list[str]:
        """Of all that people know to be there, in order."""
        return [a.place for _, a in self.asked if a is not None and a.place is not None]

    @property
    def control_file(self) -> Path:
        """An overtaking life is on another machine, and knows of no file."""
        directory = self.process.host
        return self.world.directory / directory / "running.json"

    async def _live(self) -> int:
        world, process = self.world, self.process
        directory = world.directory / process.name
        directory.mkdir()
        open_store = world.storage.open
        launcher = SimLauncher(world, process, open_store)
        env = make_env(world, process, directory, launcher, open_store)
        request = self.request(env)
        slots = max((v.parallelism for v in request.graph.vertices), default=1)
        per_taskmanager = -(-slots // self.taskmanagers)
        cluster = MiniCluster(env, taskmanagers=self.taskmanagers, slots=per_taskmanager)
        try:
            listeners = Listeners(on_state=self._on_state)
            self.result = await JobManager(env, request, listeners).run(cluster)
        except FlowjobError as error:
            self.error = error
            world.note(process.name, f"{type(error).__name__}: {error}")
        return 0

    def _on_state(self, state: JobState) -> None:
        world = self.world
        world.note(self.process.name, f"the job is {state.value}")
        if state is JobState.STOPPING:
            self.stopped_at = world.loop.time()
        if state is JobState.RUNNING:
            self.runs += 1
            world.count("running")
            if self.runs == 1:
                self.running_at = world.loop.time()
                faults.arm(world, self.scenario.faults, Phase.RUNNING, self.number)
                self.on_running()
                self._plan_departure()
            if self.runs == 2:
                faults.arm(world, self.scenario.faults, Phase.AGAIN, self.number)

    # -- people

    def _plan_departure(self) -> None:
        departure = self.departure
        if departure is None:
            return
        if departure.savepoint_at is not None:
            self._user(departure.savepoint_at, Ask(what="savepoint"))
        if departure.leave in (Leave.STOP, Leave.DRAIN):
            self._user(departure.at, Ask(what="stop", drain=departure.leave is Leave.DRAIN))
        if departure.leave is Leave.KILL:
            loop = self.world.loop
            loop.post_at(loop.time() + departure.at, loop.world, self.process.kill)

    def _user(self, after: float, wish: Ask) -> None:
        world = self.world
        user = world.add_process(f"user{world.count('users')}", self.process.host)
        missing: Any = None
        env = make_env(world, user, world.directory / user.name, missing, missing)

        async def live() -> int:
            await env.clock.sleep(after)
            answer = None
            where = await env.run_blocking(read_whereabouts, self.control_file)
            if where is not None:
                try:
                    answer = await ask(env.control, where, wish, USER_PATIENCE)
                except (OSError, TimeoutError, FlowjobError) as error:
                    world.note(user.name, f"is not answered: {error}")
            self.asked.append((wish, answer))
            world.note(user.name, f"asked for {wish} and got {answer}")
            return 0

        user.start(live)

    # -- the job

    def request(self, env: Env) -> JobRequest:
        scenario = self.scenario
        graph = compile_job(build(scenario.job), parallelism=self.parallelism)
        job = JobDescription(
            name=graph.name,
            run_id=env.random.token()[:8],
            source=EntrypointSource(
                target="flowjob.testing.simulation.jobs:build", args=asdict(scenario.job)
            ),
            parallelism=self.parallelism,
            digest=digest(graph),
            explain=job_graph_text(graph),
            token=env.random.token(),
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
            host=self.process.host,
            restarts=copy.deepcopy(scenario.restarts),  # it counts
            checkpoints=scenario.checkpoints,
            start=StartFrom(self.start),
            control_file=None if self.departure is None else self.control_file,
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
