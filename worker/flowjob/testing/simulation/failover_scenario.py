"""What happens to the JobManagers of a simulated cluster, by seed: faults, and what an operator wants meanwhile.

Playing it is failover.py's."""

from __future__ import annotations

import dataclasses
import random  # noqa: TID251 - seeded
from dataclasses import dataclass

from flowjob.core.checkpoint_settings import CheckpointSettings, Mode
from flowjob.core.restart_strategy import FixedDelay
from flowjob.testing.simulation.scenario import Fault, FaultKind, Phase, Scenario, scenario_of
from flowjob.testing.simulation.wishes import Wish, wishes_of
from flowjob.testing.simulation.world import StoreHabits

_FAULTS = (
    [FaultKind.KILL_JOBMANAGER] * 6
    + [FaultKind.PAUSE_JOBMANAGER] * 3
    + [FaultKind.CUT, FaultKind.RESET] * 2
    + [FaultKind.LEAVE, FaultKind.KILL_SLOT, FaultKind.KILL_TASKMANAGER]
)


@dataclass(frozen=True, kw_only=True)
class FailoverScenario:
    """`jobmanagers`: processes at once, of which all but one stand by. `back_after`: seconds until what has ended is
    started again, at most. `grace`: TaskManagers' patience, `adopt_within` the JobManagers'."""

    base: Scenario
    jobmanagers: int = 1
    wishes: tuple[Wish, ...] = ()
    back_after: float = 1.0
    grace: float = 30.0
    adopt_within: float = 5.0


def failover_of(seed: int) -> FailoverScenario:
    """The scenario of a seed."""
    base = scenario_of(seed, faults=False)
    chance = random.Random(f"{seed}:failover")
    settings = base.checkpoints or CheckpointSettings(interval=0.1)
    settings = dataclasses.replace(
        settings, mode=Mode.EXACTLY_ONCE, interval=settings.interval or 0.1
    )
    # Long enough to be struck while it runs.
    job = dataclasses.replace(
        base.job,
        waits=chance.choice([0.03, 0.3, 0.3]),
        rows=max(base.job.rows, 40),
        splits=max(base.job.splits, 2),
    )
    store = base.store
    if chance.random() < 0.2:
        often = [0.0, 0.02, 0.1]
        store = StoreHabits(0.005, chance.choice(often), chance.choice(often), chance.choice(often))
    struck = tuple(_fault(chance) for _ in range(chance.choice([1, 1, 2, 3, 5])))
    base = dataclasses.replace(
        base,
        job=job,
        store=store,
        checkpoints=settings,
        restarts=FixedDelay(attempts=100, delay=0.1),
        faults=struck,
        departures=(),
        heartbeat_timeout=chance.choice([3.0, 10.0]),
    )
    return FailoverScenario(
        base=base,
        jobmanagers=chance.choice([1, 1, 2]),
        back_after=chance.choice([0.1, 1.0, 5.0]),
        grace=chance.choice([5.0, 30.0, 30.0]),
        adopt_within=chance.choice([2.0, 5.0]),
        wishes=wishes_of(seed, base.parallelism),
    )


def _fault(chance: random.Random) -> Fault:
    lasts = chance.choice([0.5, 2.0, 8.0, 20.0]) * chance.random()
    steps = int(10 ** (3 * chance.random()))
    at = chance.choice([0.1, 1.0, 5.0]) * chance.random()
    return Fault(chance.choice(_FAULTS), at, Phase.RUNNING, chance.random(), steps, lasts)
