"""JobManagers and TaskManagers as processes of their own, kept up by somebody who starts again what ends, as a cluster
does: JobManagers die, sleep, are cut off and told to leave, and the next one goes on with the tasks that are there.

The processes are those of the other simulations; only who starts them differs. It must not know what a JobManager does
about any of this."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec.structs

from flowjob.core.checkpoint_settings import Unaligned
from flowjob.core.job_machine import JobState
from flowjob.errors import AlreadyEnded, FlowjobError
from flowjob.plan import compile_job
from flowjob.runtime.env import Env
from flowjob.runtime.jobmanager.cluster import Elsewhere
from flowjob.runtime.jobmanager.continuing import run_id
from flowjob.runtime.jobmanager.manager import JobManager
from flowjob.runtime.jobmanager.request import (
    JobEvent,
    JobRequest,
    JobResult,
    Listeners,
    Service,
    TookOver,
)
from flowjob.runtime.outbox import cancel_all
from flowjob.testing.simulation import faults, reference
from flowjob.testing.simulation.client import Life
from flowjob.testing.simulation.cluster import SimTaskManager
from flowjob.testing.simulation.env import make_env
from flowjob.testing.simulation.failover_scenario import FailoverScenario as FailoverScenario
from flowjob.testing.simulation.failover_scenario import failover_of as failover_of
from flowjob.testing.simulation.jobs import build
from flowjob.testing.simulation.judging import written
from flowjob.testing.simulation.ledger import Ledger
from flowjob.testing.simulation.loop import Stuck
from flowjob.testing.simulation.process import KILLED, SimProcess
from flowjob.testing.simulation.run import MEMORY, garbage_kept, noting_logs
from flowjob.testing.simulation.scenario import Phase
from flowjob.testing.simulation.side_by_side import played
from flowjob.testing.simulation.storage import SimStorage
from flowjob.testing.simulation.wishes import Granting, Wish, WishKind
from flowjob.testing.simulation.world import World

PORT, TOKEN = 7400, "the job's token"

PATIENCE = 600.0
"""Virtual seconds from the last fault's end within which everything must be over."""

MAX_STEPS = 3_000_000


@dataclass
class FailoverOutcome:
    """What came of it; `problems` is empty when every property held.

    ends      of JobManagers' processes, by kind
    adopted   JobManagers that went on with all tasks of the one before
    leaders   JobManagers that led
    rescaled  how often the job was
    """

    scenario: FailoverScenario
    problems: list[str] = field(default_factory=list)
    result: JobResult | None = None
    ends: Counter[str] = field(default_factory=Counter)
    adopted: int = 0
    leaders: int = 0
    rescaled: int = 0
    notes: list[tuple[float, str, str]] = field(default_factory=list)
    seconds: float = 0.0


def simulate_failover(scenario: FailoverScenario, *, tracing: bool = False) -> FailoverOutcome:
    """Runs it to its end."""
    outcome = FailoverOutcome(scenario)
    with tempfile.TemporaryDirectory(prefix="flowjob-simulation-", dir=MEMORY) as directory:
        world = World(scenario.base.seed, Path(directory), scenario.base.physics, tracing)
        world.ledger = Ledger()
        with garbage_kept(), noting_logs(world):
            try:
                world.inside(_run, world, scenario, outcome)
                outcome.notes = list(world.notes)
            finally:
                for process in world.processes:
                    process.terminated = process.kill  # lets go of its JobManager
                world.end()
    return outcome


def _run(world: World, scenario: FailoverScenario, outcome: FailoverOutcome) -> None:
    world.storage = SimStorage(world, scenario.base.store)
    world.ledger.is_published = world.storage.watch.is_published
    keeper = Keeper(world, scenario, outcome)
    keeper.begin()
    last = max((f.at + f.lasts for f in scenario.base.faults), default=0.0)
    try:
        world.run(keeper.is_over, until=last + PATIENCE, max_steps=MAX_STEPS)
    except Stuck as stuck:
        left = [p.name for p in world.processes if p.status is None]
        outcome.problems.append(f"it does not end: {stuck}; these live: {left}")
    outcome.seconds = world.loop.now
    found = [f"nobody handled this: {text}" for text in world.complaints]
    found += world.ledger.faults + world.storage.watch.faults
    if not keeper.is_done:
        found.append("no JobManager has brought the job to its end")
    else:
        in_order = scenario.base.checkpoints is None or (
            scenario.base.checkpoints.unaligned is Unaligned.NEVER
        )
        given = reference.given_to(scenario.base.job)
        rows, hidden = written(world, scenario.base.job)
        in_order = in_order and not scenario.wishes  # splits move to other subtasks
        found += reference.problems_of(scenario.base.job, given, rows, in_order=in_order)
        found += [f"nobody will finish {name}" for name in hidden]
    for process in world.processes:
        if process.left and process.status != KILLED:
            found.append(f"{process.name} returned while these still ran: {process.left}")
    outcome.problems += found


class Keeper:
    """Keeps JobManagers and TaskManagers up until the job has ended."""

    def __init__(self, world: World, scenario: FailoverScenario, outcome: FailoverOutcome) -> None:
        self._world = world
        self._scenario = scenario
        self._outcome = outcome
        self._count = 0
        self._done = False
        self._armed = False
        self._chance = world.chance("keeper")
        self._parallelism = scenario.base.parallelism
        self._leader: tuple[SimProcess, Granting] | None = None
        self._taskmanagers: dict[int, SimTaskManager] = {}
        graph = compile_job(build(scenario.base.job), parallelism=scenario.base.parallelism)
        self._slots = max((v.parallelism for v in graph.vertices), default=1)

    def begin(self) -> None:
        scenario = self._scenario
        for place in range(scenario.jobmanagers):
            self._jobmanager(place)
        for place in range(scenario.base.taskmanagers):
            self._taskmanager(place)

    @property
    def is_done(self) -> bool:
        """The job has ended, as a JobManager says."""
        return self._done

    def is_over(self) -> bool:
        return self._done and self._world.is_over()

    def _again(self, start: Callable[[int], None], place: int) -> None:
        if not self._done:
            world = self._world
            later = world.loop.now + self._scenario.back_after * self._chance.random()
            world.loop.post_at(later, world.loop.world, start, place)

    # -- JobManagers

    def _jobmanager(self, place: int) -> None:
        if self._done:
            return
        self._count += 1
        world = self._world
        process = world.add_process(f"jm{self._count}", f"host-jm{place}")
        process.start(lambda: self._lead(process))
        process.watch(world.loop.world, lambda _: self._again(self._jobmanager, place))

    async def _lead(self, process: SimProcess) -> int:
        world = self._world
        directory = world.directory / process.name
        directory.mkdir()
        missing: Any = None  # it starts nothing
        env = make_env(world, process, directory, missing, world.storage.open)
        request = partial(self._request, env, process)
        granting: list[Granting] = []

        def on_state(state: JobState) -> None:
            if state is JobState.RUNNING:
                self._leader = (process, granting[0])
            self._on_state(process, state)

        listeners = Listeners(on_state=on_state, on_event=self._on_event)
        manager = JobManager(env, request(self._parallelism), listeners)
        granting.append(Granting(env, manager, request, self._rescaled))
        process.terminated = lambda: manager.leave("got SIGTERM")
        beside = asyncio.ensure_future(granting[0].run())
        end = "succeeded"
        try:
            self._outcome.result = await manager.run(Elsewhere())
            self._done = True
        except AlreadyEnded:
            end, self._done = "already ended", True
        except FlowjobError as error:
            end = type(error).__name__
            world.note(process.name, f"{end}: {error}")
        finally:
            await cancel_all([beside])
        self._outcome.ends[end] += 1
        return 0

    def _request(self, env: Env, process: SimProcess, parallelism: int) -> JobRequest:
        scenario = self._scenario
        life = Life(self._world, scenario.base, 0, parallelism, scenario.base.taskmanagers)
        life.process = process
        request = life.request(env)
        run = run_id("main", env.random.token())
        return dataclasses.replace(
            request,
            job=msgspec.structs.replace(request.job, run_id=run),
            port=PORT,
            token=TOKEN,
            service=Service(
                "main",
                standby=scenario.jobmanagers > 1,
                adopt_within=scenario.adopt_within,
            ),
        )

    def _rescaled(self, parallelism: int) -> None:
        self._parallelism = parallelism
        self._outcome.rescaled += 1

    def _wish(self, wish: Wish) -> None:
        """An operator's, of who leads or is there then."""
        world = self._world
        world.note("operator", f"wants to {wish.kind.value}")
        if wish.kind is WishKind.LEAVE:
            living = [tm for tm in self._taskmanagers.values() if tm.status is None]
            if living:
                living[int(wish.aim * len(living))].told_to_end()
        elif self._leader is not None and self._leader[0].status is None:
            process, granting = self._leader
            world.loop.post(process, granting.ask, wish)

    def _on_state(self, process: SimProcess, state: JobState) -> None:
        self._world.note(process.name, f"the job is {state.value}")
        if state is JobState.RUNNING and not self._armed:
            self._armed = True
            faults.arm(self._world, self._scenario.base.faults, Phase.RUNNING, 0)
            loop = self._world.loop
            for wish in self._scenario.wishes:
                loop.post_at(loop.now + wish.at, loop.world, self._wish, wish)

    def _on_event(self, event: JobEvent) -> None:
        self._world.note(self._world.loop.current.name, event.text)
        if isinstance(event, TookOver):
            self._outcome.leaders += 1
            self._outcome.adopted += "its tasks go on" in event.text

    # -- TaskManagers

    def _taskmanager(self, place: int) -> None:
        if self._done:
            return
        self._count += 1
        world, scenario = self._world, self._scenario
        process = SimTaskManager(world, None, self._count, world.storage.open)
        self._taskmanagers[place] = process
        world.admit(process)
        urls = [f"ws://host-jm{n}:{PORT}" for n in range(scenario.jobmanagers)]
        settings = {
            "name": process.name,
            "urls": urls,
            "token": TOKEN,
            "slots": -(-self._slots // scenario.base.taskmanagers),
            "directory": "",
            "connect_within": 120.0,
            "grace": scenario.grace,
        }
        process.hear(json.dumps(settings).encode())
        process.begin()
        process.watch(world.loop.world, lambda _: self._again(self._taskmanager, place))


def main(arguments: list[str] | None = None) -> int:
    """`python -m flowjob.testing.simulation.failover`: many seeds, or one with all that happened in it. The exit
    status: 1 when any failed."""
    parser = argparse.ArgumentParser(prog="python -m flowjob.testing.simulation.failover")
    parser.add_argument("--seed", type=int, help="only this one, with all that happens")
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--processes", type=int, default=1, help="that play side by side")
    given = parser.parse_args(arguments)
    first, count = (given.first, given.seeds) if given.seed is None else (given.seed, 1)
    play = partial(_play, tracing=given.seed is not None)
    ends: Counter[str] = Counter()
    failed = adopted = leaders = 0
    with played(play, range(first, first + count), given.processes) as told:
        for outcome in told:
            ends += outcome.ends
            adopted += outcome.adopted
            leaders += outcome.leaders
            failed += outcome.failed
            sys.stdout.write(outcome.report)
            sys.stdout.flush()
    sys.stdout.write(
        f"{count} seeds, {failed} failed; JobManagers took over {leaders} times, {adopted} times with all tasks; "
        f"{dict(ends)}\n"
    )
    return 1 if failed else 0


class _Told(NamedTuple):
    """What is left to say of a seed."""

    report: str
    failed: bool
    ends: Counter[str]
    adopted: int
    leaders: int


def _play(seed: int, *, tracing: bool) -> _Told:
    outcome = simulate_failover(failover_of(seed), tracing=tracing)
    report = [f"{time:10.4f} {who:12} {what}\n" for time, who, what in outcome.notes]
    if outcome.problems:
        report.append(f"\nFAILED {outcome.scenario.base}\n{outcome.scenario}\n")
        report += [f"  - {problem}\n" for problem in outcome.problems]
        report.append(f"  python -m flowjob.testing.simulation.failover --seed {seed}\n")
    said, failed = "".join(report), bool(outcome.problems)
    return _Told(said, failed, outcome.ends, outcome.adopted, outcome.leaders)


if __name__ == "__main__":
    sys.exit(main())
