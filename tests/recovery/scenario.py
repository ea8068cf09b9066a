"""What happens in one run of the verified job, made of a seed: its configuration, and the faults that strike it.

Plain data. Real processes are never quite the same twice: a seed repeats the configuration and the order of faults, and
comes close with the moments."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from enum import Enum


class Kind(Enum):
    SLOT = "SIGKILL of a slot"
    ZYGOTE = "SIGKILL of a fork server"
    TASKMANAGER = "SIGKILL of a TaskManager"
    SEVERAL = "SIGKILL of several processes"
    CLIENT = "SIGKILL of the command, and so of the JobManager"
    ALL = "SIGKILL of all processes"
    STOPPED_SLOT = "SIGSTOP of a slot"
    STOPPED_TASKMANAGER = "SIGSTOP of a TaskManager"
    ZOMBIE = "SIGSTOP of the command until another run has finished its job"
    FULL_DISK = "no space where checkpoints are"
    OUTAGE = "the store is away"


ENDING = frozenset({Kind.CLIENT, Kind.ALL})
"""The run ends with them; the next one begins from the latest snapshot."""


BUCKETS = ("moto", "s3")
"""Kinds of store that are S3 servers."""


@dataclass(frozen=True)
class Fault:
    """after   entries in the job's log since the last fault, until this one is due
    pause   seconds from then on
    lasts   seconds, where it is nothing that happens at once
    """

    kind: Kind
    after: int
    pause: float
    lasts: float = 0.0


@dataclass(frozen=True)
class Scenario:
    """markers       induced failures (verified_job.fails_once)
    parallelisms  of the first life of the job, of the second, …, and of all others
    writes_there  whether sinks write to the store, too, and not to a directory beside
    """

    seed: int
    parallelisms: tuple[int, ...] = (2,)
    taskmanagers: int = 1
    rows: int = 10_000
    rate: int = 5_000
    interval_ms: int = 100
    batch_rows: int = 1000
    job: dict[str, object] = field(default_factory=dict)
    store: str = "directory"
    writes_there: bool = False
    faults: tuple[Fault, ...] = ()
    markers: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}: {self.rows} rows, parallelism {self.parallelisms}, {self.taskmanagers} TaskManagers, "
            f"every {self.interval_ms} ms, batches of {self.batch_rows}, {self.store}"
            f"{' for results, too' if self.writes_there else ''}, {self.job}"
        ]
        lines += [f"  fails in {marker}" for marker in self.markers]
        lines += [
            f"  {f.kind.value} after {f.after} entries and {f.pause:.2f} s"
            + (f", for {f.lasts:.1f} s" if f.lasts else "")
            for f in self.faults
        ]
        return "\n".join(lines)


def scenario_of(seed: int, *, stores: tuple[str, ...] = ("directory", "small disk")) -> Scenario:
    """`stores`: what there is."""
    chance = random.Random(seed)
    rows = chance.choice([4_000, 10_000, 20_000])
    store = chance.choice(stores)
    job: dict[str, object] = {
        "format": chance.choice(["jsonl", "parquet"]),
        "roll_rows": chance.choice([50, 500, 100_000]),
        "retained": chance.choice([1, 2, 3]),
        "max_concurrent": chance.choice([1, 1, 2]),
        "min_pause_ms": chance.choice([1, 10, 50]),
        "timeout_ms": chance.choice([1_000, 10_000]),
        "spill_bytes": chance.choice([0, 1 << 20]),
        "pad": chance.choice([0, 0, 5_000, 100_000]),
    }
    scenario = Scenario(
        seed,
        parallelisms=tuple(chance.choice([1, 2, 2, 4]) for _ in range(3)),
        taskmanagers=chance.choice([1, 2]),
        rows=rows,
        rate=chance.choice([3_000, 5_000]),
        interval_ms=chance.choice([50, 100, 200]),
        batch_rows=chance.choice([7, 100, 1000]),
        job=job,
        store=store,
        faults=tuple(_fault(chance, store) for _ in range(chance.choice([1, 1, 2, 3, 5]))),
        markers=_markers(chance, rows),
    )
    if store == "directory" or chance.random() < 0.5:
        return scenario
    # A server takes many small files slowly: committing them all must not take longer than it may.
    return replace(scenario, writes_there=True, job={**job, "timeout_ms": 30_000})


def _fault(chance: random.Random, store: str) -> Fault:
    kinds = [Kind.SLOT, *Kind]
    if store != "small disk":
        kinds.remove(Kind.FULL_DISK)
    if store not in BUCKETS:
        kinds.remove(Kind.OUTAGE)
    after = chance.choice([0, 1, 2, 3, 5, 8])
    return Fault(chance.choice(kinds), after, chance.uniform(0, 0.4), chance.uniform(0.3, 4.0))


def _markers(chance: random.Random, rows: int) -> tuple[str, ...]:
    points = [f"map-{chance.randrange(rows)}", "open", "snapshot", "restore", "close"]
    return tuple(p for p in points if chance.random() < 0.25)
