"""The runner: a golden job at one parallelism with snapshots, killed, restored at another, killed, restored at a third.

It gives the golden result or says what differs, and asserts that there was something to restore."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import flowjob as fj
from flowjob.plan import compile_job
from flowjob.plan.specs import SinkSpec, SourceSpec
from flowjob.runtime.checkpoint.manifest import Manifest
from flowjob.testing.run import run_job
from tests.golden.cluster import Cluster, Life, Lived, Mode
from tests.golden.equality import Outputs, difference, placed, replayed, rows_of
from tests.golden.golden import Golden, Which, build, golden_jobs
from tests.golden.plans import PLANS
from tests.golden.sinks import with_collecting


@dataclass
class Recovered:
    """What came of a run. `problems`: empty when all was right. The counts are of restored snapshots: with state of
    operators, with splits not read to their end, with rows that barriers had overtaken. `stateful`: the job has
    operators that keep state. `again`: rows more than there should be, of a job that is at least once: where they
    depend on each other that is all that is known of them, and that it has ended well."""

    problems: list[str] = field(default_factory=list)
    lives: list[Lived] = field(default_factory=list)
    with_state: int = 0
    midway: int = 0
    in_flight: int = 0
    rows: int = 0
    stateful: bool = False
    again: int = 0


@contextmanager
def a_directory(golden: Golden) -> Iterator[Path]:
    """A fresh one, in memory where there is such a place; the current one meanwhile."""
    before = Path.cwd()
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="flowjob-golden-", dir=memory) as name:
        golden.prepare(Path(name))
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(before)


@cache
def expected(name: str) -> Outputs:
    """What an undisturbed run gives, one row at a time."""
    golden = golden_jobs()[name]
    found: Outputs = {}
    with a_directory(golden) as directory:
        job = with_collecting(golden.build(directory))
        run_job(
            job,
            lambda sink, data: found.setdefault(sink, []).extend(rows_of(data)),
            batch_rows=golden.batch or 1,
        )
        found.update(golden.written(directory))
        golden.bury(directory)
    return placed(found, str(directory))


def recover(golden: Golden, lives: Sequence[Life], mode: Mode, *, seed: int = 1) -> Recovered:
    """Runs the job through its lives, the last of which is to end well."""
    wanted = {} if golden.clocked else expected(golden.name)
    if golden.batch is not None:
        mode = replace(mode, batch_rows=golden.batch)
    recovered = Recovered()
    with a_directory(golden) as directory:
        which = Which(
            name=golden.name,
            directory=str(directory),
            pause=mode.pause * golden.pace,
            slow=mode.slow,
        )
        stateful = _stateful(build(which))
        recovered.stateful = bool(stateful)
        with Cluster.founded(which, mode, seed) as cluster:
            for life in lives:
                lived = cluster.live(life)
                recovered.lives.append(lived)
                golden.bury(directory)
                recovered.problems += _judge_life(lived)
            recovered.problems += cluster.ledger.faults
            got: Outputs = {}
            for row in cluster.ledger.rows:
                got.setdefault(row["sink"], []).extend(rows_of(row["report"]))
            got = placed({**got, **golden.written(directory)}, str(directory))
    _count(stateful, recovered)
    recovered.rows = sum(map(len, got.values()))
    if golden.check is not None and not mode.twice:
        golden.check(got)
    if golden.clocked:
        return recovered
    if mode.twice:
        recovered.again = sum(map(len, got.values())) - sum(map(len, wanted.values()))
        said = "" if stateful else replayed(golden, wanted, got, len(lives) - 1)
    else:
        said = difference(golden, wanted, got)
    recovered.problems += [said] if said else []
    return recovered


def _judge_life(lived: Lived) -> list[str]:
    life = lived.life
    found = list(lived.complaints)
    if lived.error is not None:
        found.append(f"{type(lived.error).__name__}: {lived.error}")
    elif life.killed is None and lived.result is None:
        found.append("it did not end")
    elif life.killed is not None and lived.commits < life.killed:
        found.append(f"it ended after {lived.commits} commits, before it could be killed")
    elif life.savepoint is not None and lived.place is None:
        found.append("there is no savepoint")
    if life.since is not None and lived.began is None:
        found.append("nothing was restored")
    return found


def _count(stateful: frozenset[str], recovered: Recovered) -> None:
    for lived in recovered.lives:
        if lived.began is not None:
            recovered.with_state += _holds_state(stateful, lived.began)
            recovered.midway += not all(task.ended for task in lived.began.tasks)
            recovered.in_flight += any(task.in_flight for task in lived.began.tasks)


def _stateful(job: fj.Job) -> frozenset[str]:
    """Uids of the operators between sources and sinks that keep state."""
    return frozenset(
        node.uid
        for vertex in compile_job(job).vertices
        for node in vertex.nodes
        if node.uid is not None and not isinstance(node.spec, SourceSpec | SinkSpec)
    )


def _holds_state(stateful: frozenset[str], manifest: Manifest) -> bool:
    """Whether any operator between sources and sinks has rows in the snapshot."""
    return any(
        part.rows
        for task in manifest.tasks
        for state in task.operators
        if state.uid in stateful
        for part in state.parts
    )


Outcome = tuple[str, str, list[str], Counter[str]]


def attempt(place: tuple[str, str, int]) -> Outcome:
    """(job, plan, seed): which it was, what is wrong, and how often what was covered."""
    name, plan, seed = place
    covered: Counter[str] = Counter()
    try:
        recovered = recover(golden_jobs()[name], PLANS[plan].lives, PLANS[plan].mode, seed=seed)
    except Exception:  # noqa: BLE001 - it is said, and the others go on
        return name, plan, [traceback.format_exc()], covered
    covered["restored with state"] = recovered.with_state
    covered["restored in the middle"] = recovered.midway
    covered["restored with rows in flight"] = recovered.in_flight
    problems = list(recovered.problems)
    if not recovered.midway:
        problems.append("nothing was left to do when it was restored")
    return name, plan, problems, covered
