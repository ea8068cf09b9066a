"""What is simulated under a seed: a job, a cluster, a configuration, a world's physics and the faults that strike it.

Pure: the same seed is the same scenario, everywhere. Who carries faults out is faults.py."""

from __future__ import annotations

import random  # noqa: TID251 - seeded
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from flowjob.core.checkpoint_settings import CheckpointSettings, Mode, Unaligned
from flowjob.core.job_events import Timeouts
from flowjob.core.restart_strategy import ExponentialDelay, FixedDelay
from flowjob.core.restartable import RestartStrategy
from flowjob.testing.simulation.jobs import KINDS, JobSpec
from flowjob.testing.simulation.lives import Departure, departures_of
from flowjob.testing.simulation.world import Physics, StoreHabits

_SIMPLE = tuple(kind for kind in KINDS if kind != "cascade")


class FaultKind(Enum):
    """What can go wrong."""

    KILL_SLOT = "kill a slot"
    KILL_TASKMANAGER = "kill a TaskManager"
    KILL_JOBMANAGER = "kill the JobManager"
    LEAVE = "tell the JobManager to leave"
    PAUSE = "stop a process for a while"
    PAUSE_JOBMANAGER = "stop the JobManager for a while"
    CUT = "cut two hosts off from each other"
    RESET = "reset a connection"
    WALL_JUMP = "set a wall clock"
    DAMAGE = "change a byte of the newest checkpoint and kill a slot"


class Phase(Enum):
    """What a fault's time counts from."""

    START = "start"
    RUNNING = "running"
    AGAIN = "running again"


@dataclass(frozen=True, slots=True)
class Fault:
    """`at` virtual seconds after the phase's beginning. `pick` (0 … 1) chooses among those it may strike then, `steps`
    how many callbacks the victim of a kill runs before it dies, `lasts` seconds how long it is so, `life` in which of
    the job's lives it happens."""

    kind: FaultKind
    at: float
    phase: Phase = Phase.START
    pick: float = 0.0
    steps: int = 0
    lasts: float = 0.0
    life: int = 0

    def __str__(self) -> str:
        lasts = f" for {self.lasts:.3f} s" if self.lasts else ""
        life = f"life {self.life}, " if self.life else ""
        return f"{life}{self.phase.value} + {self.at:.4f} s: {self.kind.value}{lasts}"


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One simulated run."""

    seed: int
    job: JobSpec
    parallelism: int = 2
    taskmanagers: int = 2
    physics: Physics = field(default_factory=Physics)
    store: StoreHabits = field(default_factory=StoreHabits)
    run: dict[str, Any] = field(default_factory=dict)
    timeouts: Timeouts = field(default_factory=Timeouts)
    heartbeat_interval: float = 1.0
    heartbeat_timeout: float = 10.0
    stop_grace: float = 3.0
    restarts: RestartStrategy | None = None
    checkpoints: CheckpointSettings | None = None
    inline_bytes: int = 16_384
    faults: tuple[Fault, ...] = ()
    departures: tuple[Departure, ...] = ()

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}: {self.job}",
            f"  parallelism {self.parallelism} on {self.taskmanagers} TaskManagers, {self.run}",
            f"  {self.physics}",
            f"  {self.checkpoints}, {self.inline_bytes} bytes inline, {self.restarts}",
            f"  {self.store}",
        ]
        lines += [f"  life {n}: {departure}" for n, departure in enumerate(self.departures)]
        return "\n".join([*lines, *(f"  fault at {fault}" for fault in self.faults)])


def scenario_of(seed: int, *, faults: bool | None = None, kind: str | None = None) -> Scenario:
    """The scenario of a seed. `faults`: with them, without them, or as the seed says; `kind`: of the job, likewise."""
    chance = random.Random(f"{seed}:scenario")
    job = _job(seed, chance, kind)
    parallelism = chance.choice([1, 2, 2, 3])
    scenario = Scenario(
        seed=seed,
        job=job,
        parallelism=parallelism,
        taskmanagers=chance.randint(1, parallelism),
        physics=_physics(chance),
        run=_run(chance),
        timeouts=Timeouts(registration=20.0, slot_ready=20.0, deploy=20.0),
        heartbeat_timeout=chance.choice([3.0, 10.0]),
        stop_grace=chance.choice([0.0, 0.5, 3.0]),
    )
    if chance.random() < 0.8:
        scenario = _with_checkpoints(scenario, chance)
        if chance.random() < 0.4:
            scenario = _with_lives(scenario, chance)
    wanted = chance.random() < 0.5 if faults is None else faults
    if wanted:
        scenario = _with_faults(scenario, chance)
    scenario = _with_shipped(scenario, random.Random(f"{seed}:shipped"), kind)
    return _tried(scenario, random.Random(f"{seed}:trials"))


def _job(seed: int, chance: random.Random, kind: str | None) -> JobSpec:
    return JobSpec(
        seed=seed,
        kind=kind or chance.choice([*_SIMPLE, "windows", "sessions"]),  # event time is brittle
        splits=chance.choice([0, 1, 2, 3, 5]),
        rows=chance.choice([0, 1, 7, 40, 40, 150]),
        keys=chance.choice([1, 3, 10, 100]),
        waits=chance.choice([0.0, 0.0, 0.001, 0.03, 0.3]),
        found_late=chance.random() < 0.3,
        dealt=chance.random() < 0.3,
        watermark_every=chance.choice([None, 1, 7]),
        slow_sink=chance.choice([0.0, 0.0, 0.001, 0.02]),
        slow_commit=chance.choice([0.0, 0.0, 0.1, 1.0]),
        sink_width=chance.choice([0, 0, 0, 1, 2]),
        source_width=chance.choice([0, 0, 1, 3]),
        groups=chance.choice([3, 5, 16, 128]),
        edge=chance.choice(["direct", "direct", "rebalance", "rescale"]),
    )


def _physics(chance: random.Random) -> Physics:
    return Physics(
        latency=chance.choice([0.00005, 0.0005, 0.005]),
        jitter=chance.choice([1.0, 20.0, 200.0]),
        cpu=chance.choice([0.000002, 0.00002, 0.0005]),
        chunk=chance.choice([300, 4_000, 65_536]),
        crumbs=chance.choice([0.0, 0.1, 0.5]),
        window=chance.choice([500, 10_000, 65_536]),
        coarse=chance.random() < 0.7,
    )


def _run(chance: random.Random) -> dict[str, Any]:
    exchange: dict[str, Any] = {"flush_interval": chance.choice([0.0, 0.001, 0.02])}
    if chance.random() < 0.3:
        exchange["receive_budget"] = chance.choice([1_000, 20_000])
        exchange["exclusive_bytes"] = chance.choice([200, 2_000])
    if chance.random() < 0.3:
        exchange["frame_bytes"] = chance.choice([200, 2_000])
    if chance.random() < 0.2:
        exchange["compression"] = chance.choice(["lz4", "zstd"])
    return {
        "batch_rows": chance.choice([1, 7, 50, 16_384]),
        "checked": chance.random() < 0.2,
        "exchange": exchange,
    }


def _with_checkpoints(scenario: Scenario, chance: random.Random) -> Scenario:
    mode = chance.choice([Mode.EXACTLY_ONCE] * 7 + [Mode.AT_LEAST_ONCE])
    aligned = mode is Mode.AT_LEAST_ONCE or chance.random() < 0.6
    settings = CheckpointSettings(
        interval=chance.choice(
            [0.01, 0.1, 0.1, 1.0, None] if scenario.job.waits < 0.1 else [0.1, 1.0]
        ),
        min_pause=chance.choice([0.0, 0.01]),
        max_concurrent=chance.choice([1, 1, 3]),
        timeout=chance.choice([5.0, 60.0]),
        tolerable_failures=1000,
        retained=chance.choice([1, 3]),
        mode=mode,
        unaligned=Unaligned.NEVER if aligned else chance.choice([Unaligned.AUTO, Unaligned.ALWAYS]),
        alignment_timeout=chance.choice([0.0, 0.005, 0.1]),
        spill_bytes=chance.choice([0, 0, 500, 100_000]),
        resend=chance.choice([0.1, 5.0]),
    )
    restarts: RestartStrategy = FixedDelay(attempts=30, delay=chance.choice([0.0, 0.1, 2.0]))
    if chance.random() < 0.3:
        restarts = ExponentialDelay(initial=0.1, longest=1.0)
    inline = chance.choice([0, 300, 16_384])
    return replace(scenario, checkpoints=settings, restarts=restarts, inline_bytes=inline)


def _with_lives(scenario: Scenario, chance: random.Random) -> Scenario:
    return replace(scenario, job=_lively(scenario, chance), departures=departures_of(chance))


def _lively(scenario: Scenario, chance: random.Random) -> JobSpec:
    """A job that takes a while, mostly: else there is nothing left for faults and later lives."""
    job, settings = scenario.job, scenario.checkpoints
    if chance.random() < 0.2:
        return job
    few = settings is not None and settings.interval is not None and settings.interval > 0.05
    return replace(
        job,
        splits=max(job.splits, chance.choice([1, 2, 3])),
        rows=max(job.rows, 40),
        waits=max(job.waits, chance.choice([0.001, 0.03, 0.3 if few else 0.03])),
    )


_STRIKES = (
    [FaultKind.KILL_SLOT] * 4
    + [FaultKind.KILL_TASKMANAGER] * 3
    + [FaultKind.KILL_JOBMANAGER]
    + [FaultKind.PAUSE, FaultKind.CUT, FaultKind.RESET] * 2
    + [FaultKind.WALL_JUMP]
)


def _with_faults(scenario: Scenario, chance: random.Random) -> Scenario:
    job, store = _lively(scenario, chance), scenario.store
    if chance.random() < 0.2:
        job = replace(job, fail_at=chance.randint(1, max(1, job.rows * job.splits)))
    if chance.random() < 0.3:
        often = [0.0, 0.02, 0.2]
        store = StoreHabits(
            chance.choice([0.0, 0.005, 0.05]),
            chance.choice(often),
            chance.choice(often),
            chance.choice(often),
        )
    count = chance.choice([0, 1, 2] if job.fail_at or store is not scenario.store else [1, 1, 2, 4])
    faults = tuple(_fault(chance, number) for number in range(count))
    lives = len(scenario.departures)
    if lives:
        faults = tuple(replace(fault, life=chance.randint(0, lives)) for fault in faults)
    return replace(scenario, job=job, store=store, faults=faults)


def _with_shipped(scenario: Scenario, chance: random.Random, kind: str | None) -> Scenario:
    """Sources and sinks that users have. A drained job tells only of simulated splits how much of them was read, and
    files cannot be set back to where a savepoint was taken. Where something goes wrong, bytes may change, too."""
    job, departures, store = scenario.job, scenario.departures, scenario.store
    # So many tasks have state there that a bad store would never take all of it at once.
    if kind is None and chance.random() < 0.1 and store.failing + store.lying < 0.1:
        job = replace(job, kind="cascade")
    drains = any(departure.is_last for departure in departures)
    if chance.random() < 0.3 and job.splits and job.rows and not drains:
        job = replace(job, reads=chance.choice(["files", "generated"]))
    goes_back = any(departure.from_savepoint for departure in departures)
    if chance.random() < 0.3 and not goes_back:
        job = replace(job, writes="files")
    faults = scenario.faults
    if faults and scenario.checkpoints is not None and chance.random() < 0.1:
        struck = replace(_fault(chance, 0), kind=FaultKind.DAMAGE, phase=Phase.RUNNING)
        faults = (*faults, replace(struck, life=chance.randint(0, len(departures))))
    return replace(scenario, job=job, faults=faults)


def _tried(scenario: Scenario, chance: random.Random) -> Scenario:
    """Some of those in which something goes wrong: what only a coincidence would show otherwise."""
    trial = chance.random()
    if not scenario.faults or scenario.checkpoints is None or trial > 0.3:
        return scenario
    few = [0.2, 0.5, 0.9, 1.4, 2.0]
    kills = tuple(
        Fault(FaultKind.KILL_SLOT, at * (0.5 + chance.random()), Phase.RUNNING, chance.random())
        for at in few
    )
    job = replace(_lively(scenario, chance), waits=0.03, rows=150, splits=3)
    settings = replace(scenario.checkpoints, interval=0.1, timeout=60.0)
    scenario = replace(scenario, faults=(*scenario.faults, *kills))
    if (
        trial < 0.15
    ):  # one dies after the other, and sinks have not published what the last one left
        return replace(scenario, job=replace(job, slow_commit=1.0), checkpoints=settings)
    # Rows wait everywhere, and barriers overtake them.
    exchange = {"flush_interval": 0.0, "receive_budget": 1_000, "exclusive_bytes": 200}
    unaligned = Unaligned.NEVER
    if settings.mode is Mode.EXACTLY_ONCE:
        unaligned = Unaligned.ALWAYS
    return replace(
        scenario,
        job=replace(job, slow_sink=0.02, rows=60),
        checkpoints=replace(settings, unaligned=unaligned, max_concurrent=1),
        run={**scenario.run, "batch_rows": 1, "exchange": exchange},
    )


def _fault(chance: random.Random, number: int) -> Fault:
    """The first ones strike a job that runs well, later ones mostly one that is just recovering."""
    later = [Phase.START, Phase.RUNNING, Phase.AGAIN, Phase.AGAIN]
    phase = chance.choice(later if number else [Phase.START, Phase.RUNNING, Phase.RUNNING])
    # Processes start within the first second or so; jobs run for a hundredth of a second or for some seconds.
    at = 1.5 * chance.random() if phase is Phase.START else 3 * 10 ** (-4 * chance.random())
    lasts = chance.choice([0.01, 0.5, 2.0, 2.0, 8.0, 8.0, 40.0]) * chance.random()
    steps = int(10 ** (3 * chance.random()))
    return Fault(chance.choice(_STRIKES), at, phase, chance.random(), steps, lasts)
