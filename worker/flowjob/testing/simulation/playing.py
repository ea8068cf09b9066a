"""Plays all lives of a simulated job, as a person would: what has ended before its time is continued until it is done.

Begins each life, from the snapshot that a person would name, and says when there is none to follow. It must not judge
what came of them."""

from __future__ import annotations

from flowjob.runtime.jobmanager.request import LATEST
from flowjob.testing.simulation import faults
from flowjob.testing.simulation.client import Life
from flowjob.testing.simulation.lives import Departure, Leave
from flowjob.testing.simulation.scenario import Phase, Scenario
from flowjob.testing.simulation.storage import SimStorage
from flowjob.testing.simulation.world import StoreHabits, World

PATIENCE = 400.0
"""Virtual seconds from a life's beginning, or its last fault's end, within which everything must be over."""

MAX_STEPS = 3_000_000

MOST_LIVES = 12

_LOOKS_AGAIN = 0.2
"""Seconds until who overtakes looks again whether there is a snapshot to begin from."""


class Play:
    """`problems`: a life that never comes to anything."""

    def __init__(self, world: World, scenario: Scenario) -> None:
        self.lives: list[Life] = []
        self.problems: list[str] = []
        self._world = world
        self._scenario = scenario
        self._storage: SimStorage = world.storage
        self._left = list(scenario.departures)

    def run(self) -> None:
        """Raises loop.Stuck."""
        world, scenario = self._world, self._scenario
        lasts = max((f.at + f.lasts for f in scenario.faults), default=0.0)
        lasts += sum(d.at + d.pause for d in scenario.departures)
        self._begin(None, scenario.parallelism, scenario.taskmanagers)
        while True:
            until = world.loop.now + lasts + PATIENCE
            world.run(world.is_over, until=until, max_steps=MAX_STEPS)
            if self._is_done():
                return
            if len(self.lives) == MOST_LIVES:
                self.problems.append(f"the job is not done after {MOST_LIVES} lives")
                return
            self._continue()

    @property
    def drained(self) -> str | None:
        """The savepoint into which the job was drained, if that is how it ended."""
        life = self.lives[-1]
        departure = life.departure
        return life.stopped_with if departure is not None and departure.is_last else None

    @property
    def went_well(self) -> bool:
        """One life, undisturbed."""
        scenario, store = self._scenario, self._scenario.store
        disturbed = scenario.faults or scenario.job.fail_at or store.failing or store.lying
        return len(self.lives) == 1 and self.lives[0].result is not None and not disturbed

    def _is_done(self) -> bool:
        life, scenario = self.lives[-1], self._scenario
        if scenario.checkpoints is None:
            return True
        if self.drained is not None or self._storage.is_damage(life.error):
            return True
        return life.result is not None and not self._storage.watch.log.stopped and not self._left

    def _begin(self, start: str | None, parallelism: int, taskmanagers: int) -> None:
        world, scenario, number = self._world, self._scenario, len(self.lives)
        departure = self._left.pop(0) if self._left else None
        life = Life(world, scenario, number, parallelism, taskmanagers, start, departure)
        if departure is not None and departure.leave is Leave.YIELD:
            life.on_running = lambda: self._overtake_at(life, departure)
        self.lives.append(life)
        world.note("people", f"begin life {number} from {start}")
        life.begin()
        faults.arm(world, scenario.faults, Phase.START, number)

    def _continue(self) -> None:
        """The newest life is over, the job is not."""
        life = self.lives[-1]
        if len(self.lives) > len(self._scenario.departures) + 3:
            self._storage.habits = StoreHabits(
                self._storage.habits.latency
            )  # somebody has repaired it
        if life.runs == 0:
            if life.departure is not None:
                self._left.insert(0, life.departure)
            self._begin(life.start, life.parallelism, life.taskmanagers)
            return
        parallelism, taskmanagers = _shape_after(life)
        self._begin(self._start_after(life), parallelism, taskmanagers)

    def _start_after(self, life: Life) -> str | None:
        savepoints = [place for known in self.lives for place in known.savepoints]
        if life.departure is not None and life.departure.from_savepoint and savepoints:
            newest = savepoints[-1]
            directory = newest.partition("://")[2].partition("/")[2]
            self._world.ledger.rewind(self._storage.watch.manifest(directory).id)
            return newest
        return life.stopped_with or self._latest()

    def _latest(self) -> str | None:
        """A person names the latest snapshot when there is one."""
        log = self._storage.watch.log
        return LATEST if log.newest is not None or log.source else None

    # -- overtaking

    def _overtake_at(self, life: Life, departure: Departure) -> None:
        loop = self._world.loop
        loop.post_at(loop.time() + departure.at, loop.world, self._overtake, life, departure)

    def _overtake(self, life: Life, departure: Departure) -> None:
        """Somebody takes the old JobManager for dead, and starts another one."""
        loop = self._world.loop
        if life.process.status is not None:
            return
        if self._latest() is None:
            loop.post_at(loop.time() + _LOOKS_AGAIN, loop.world, self._overtake, life, departure)
            return
        life.overtaken = True
        if departure.pause:
            self._world.note(life.process.name, f"is stopped for {departure.pause:.3f} s")
            loop.keep_busy(life.process, departure.pause)
        self._begin(LATEST, *_shape_after(life))


def _shape_after(life: Life) -> tuple[int, int]:
    departure = life.departure
    if departure is None:
        return life.parallelism, life.taskmanagers
    return departure.parallelism, departure.taskmanagers
