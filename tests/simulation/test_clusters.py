"""Whole simulated clusters: every seed keeps its promises, is the same anywhere; broken promises are seen."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from flowjob.core.checkpoint_settings import CheckpointSettings, Unaligned
from flowjob.core.restart_strategy import FixedDelay
from flowjob.runtime.exchange.gate import InputGate
from flowjob.testing.simulation.__main__ import main
from flowjob.testing.simulation.jobs import KINDS, JobSpec
from flowjob.testing.simulation.ledger import Ledger, Row
from flowjob.testing.simulation.run import simulate
from flowjob.testing.simulation.scenario import Fault, FaultKind, Phase, Scenario, scenario_of
from flowjob.testing.simulation.transports import SimTransport

pytestmark = pytest.mark.slow

AGAIN = """
from flowjob.testing.simulation.run import simulate
from flowjob.testing.simulation.scenario import scenario_of
for seed in range(4):
    outcome = simulate(scenario_of(seed, faults=seed % 2 == 1))
    print(outcome.fingerprint, outcome.steps, outcome.end)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_gives_what_it_must_whatever_the_schedule_and_configuration(kind: str) -> None:
    for seed in range(12):
        outcome = simulate(scenario_of(seed, faults=False, kind=kind))
        assert outcome.end == "succeeded"
        assert outcome.problems == [], f"seed {seed} of {kind}"


@pytest.mark.parametrize("first", range(0, 90, 15))
def test_whatever_fails_the_job_ends_truthfully_and_leaves_nothing_running(first: int) -> None:
    for seed in range(first, first + 15):
        outcome = simulate(scenario_of(seed, faults=True))
        assert outcome.problems == [], f"seed {seed}"


def test_regions_may_start_and_end_one_after_the_other() -> None:
    # A job of two regions, one of which has ended before the other one runs.
    job = JobSpec(kind="stateless", splits=1, rows=7)
    often = CheckpointSettings(interval=0.1)
    for seed in range(6):
        outcome = simulate(Scenario(seed=seed, job=job, checkpoints=often))
        assert (outcome.end, outcome.problems) == ("succeeded", []), f"seed {seed}"


def test_restarts_give_every_row_exactly_once() -> None:
    job = JobSpec(kind="union", splits=3, rows=60, waits=0.3, edge="rebalance")
    kills = tuple(
        Fault(FaultKind.KILL_SLOT, at, Phase.RUNNING, pick=0.5, steps=20)
        for at in (0.1, 0.2, 0.4, 0.6)
    )
    scenario = Scenario(
        seed=1,
        job=job,
        faults=kills,
        checkpoints=CheckpointSettings(interval=0.05, min_pause=0.0),
        restarts=FixedDelay(attempts=30, delay=0.1),
    )
    for seed in range(4):
        outcome = simulate(replace(scenario, seed=seed))
        assert (outcome.end, outcome.problems) == ("succeeded", []), f"seed {seed}"
        assert outcome.restarts > 0
        assert outcome.rows == 2 * 3 * 60


@pytest.mark.parametrize("unaligned", [Unaligned.ALWAYS, Unaligned.AUTO])
def test_rows_that_barriers_overtake_are_not_lost(unaligned: Unaligned) -> None:
    job = JobSpec(kind="numbered", splits=3, rows=60, waits=0.03, slow_sink=0.05)
    kills = tuple(Fault(FaultKind.KILL_SLOT, at, Phase.RUNNING) for at in (0.5, 1.5))
    scenario = Scenario(
        seed=1,
        job=job,
        run={"batch_rows": 1, "exchange": {"receive_budget": 1000, "exclusive_bytes": 200}},
        faults=kills,
        checkpoints=CheckpointSettings(interval=0.1, unaligned=unaligned, alignment_timeout=0.01),
        restarts=FixedDelay(attempts=30, delay=0.1),
    )
    for seed in range(4):
        outcome = simulate(replace(scenario, seed=seed))
        assert (outcome.end, outcome.problems) == ("succeeded", []), f"seed {seed}"
        assert outcome.restarts > 0


def test_a_seed_is_the_same_in_every_process() -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-c", AGAIN],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert len(set(runs[0].splitlines())) == 4


def test_rows_that_are_lost_doubled_or_swapped_are_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lost(rows: list[Row]) -> list[Row]:
        return rows[1:]

    def doubled(rows: list[Row]) -> list[Row]:
        return rows[:1] + rows

    def swapped(rows: list[Row]) -> list[Row]:
        return rows[::-1]

    scenario = next(
        s
        for seed in range(1000)
        if (s := scenario_of(seed, faults=False, kind="numbered")).job.rows == 40
        and s.job.splits > 0
        and s.job.sink_width == 0
        and s.job.slow_sink == 0
        and s.checkpoints is None
    )
    assert simulate(scenario).problems == []
    stage = Ledger.stage
    for harm in (lost, doubled, swapped):
        monkeypatch.setattr(
            Ledger, "stage", lambda s, n, rows, c=0, h=harm: stage(s, n, h(rows), c)
        )
        assert simulate(scenario).problems, harm.__name__


def test_files_are_closed_by_who_opened_them_or_by_the_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spilling = CheckpointSettings(interval=0.05, min_pause=0.0, spill_bytes=100_000)
    job = JobSpec(kind="union", splits=3, rows=60, waits=0.03, slow_sink=0.02, edge="rebalance")
    scenario = Scenario(
        seed=1,
        job=job,
        run={"batch_rows": 5},
        checkpoints=spilling,
        restarts=FixedDelay(attempts=30),
    )
    kill = Fault(FaultKind.KILL_SLOT, 0.5, Phase.RUNNING, steps=500)
    assert simulate(replace(scenario, faults=(kill,))).problems == []
    monkeypatch.setattr(InputGate, "close", lambda self: None)
    assert "returned and left this to the kernel" in str(simulate(scenario).problems)


def test_bytes_lost_on_the_way_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = SimTransport._feed
    fed = []

    def lossy(self: SimTransport, data: bytes) -> None:
        fed.append(data)
        if len(fed) != 20:
            feed(self, data)

    monkeypatch.setattr(SimTransport, "_feed", lossy)
    job = JobSpec(kind="union", splits=3, rows=40)  # that is not started again
    assert simulate(Scenario(seed=2, job=job, run={"batch_rows": 7})).problems
    assert len(fed) >= 20


def test_every_kind_of_fault_strikes_and_jobs_end_in_every_way() -> None:
    scenarios = [scenario_of(seed, faults=True) for seed in range(300)]
    of_failover = {FaultKind.LEAVE, FaultKind.PAUSE_JOBMANAGER}  # where somebody starts another
    struck = {fault.kind for s in scenarios for fault in s.faults}
    assert struck | of_failover == set(FaultKind)
    assert any(s.job.fail_at for s in scenarios)


def test_the_command_says_how_to_repeat_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Ledger, "stage", lambda self, name, rows, checkpoint: None)
    assert main(["--seeds", "1", "--first", "3", "--faults", "no", "--kind", "union"]) == 1
    said = capsys.readouterr().out
    again = "python -m flowjob.testing.simulation --seed 3 --kind union --faults no --trace"
    assert again in said
    monkeypatch.undo()
    assert main(again.split()[3:]) == 0
    assert "tm1        started (pid" in capsys.readouterr().out
