"""JobManagers that die, sleep, leave and stand by: the job goes on, exactly once, and mostly with the same tasks."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob.core.restart_strategy import FixedDelay
from flowjob.runtime.jobmanager.leading import Lead
from flowjob.testing.simulation.failover import (
    FailoverScenario,
    failover_of,
    main,
    simulate_failover,
)
from flowjob.testing.simulation.jobs import JobSpec
from flowjob.testing.simulation.ledger import Ledger
from flowjob.testing.simulation.scenario import Fault, FaultKind, Phase, Scenario

pytestmark = pytest.mark.slow

JOB = JobSpec(kind="union", splits=3, rows=200, waits=0.3)
CALM = Scenario(
    seed=1,
    job=JOB,
    run={"batch_rows": 4},
    checkpoints=CheckpointSettings(interval=0.1),
    restarts=FixedDelay(attempts=100, delay=0.1),
)


def struck(*kinds: FaultKind, at: float = 1.0, lasts: float = 0.0, steps: int = 0) -> Scenario:
    faults = tuple(
        Fault(kind, at + 2.5 * i, Phase.RUNNING, lasts=lasts, steps=steps)
        for i, kind in enumerate(kinds)
    )
    return replace(CALM, faults=faults)


def test_whatever_happens_to_jobmanagers_the_result_is_exact_and_tasks_often_go_on() -> None:
    adopted = 0
    for seed in range(8):
        outcome = simulate_failover(failover_of(seed))
        assert outcome.problems == [], f"seed {seed}"
        adopted += outcome.adopted
    assert adopted >= 2


def test_a_seed_is_the_same_every_time() -> None:
    one, other = (simulate_failover(failover_of(3)) for _ in range(2))
    assert (one.seconds, one.ends, one.adopted) == (other.seconds, other.ends, other.adopted)


def test_a_jobmanager_may_die_anywhere_and_the_next_one_goes_on_with_its_tasks() -> None:
    adopted = 0
    for steps in range(0, 400, 80):
        dies = struck(FaultKind.KILL_JOBMANAGER, steps=steps)
        outcome = simulate_failover(FailoverScenario(base=dies))
        assert outcome.problems == [], f"after {steps} steps"
        assert outcome.leaders == 1
        adopted += outcome.adopted
    assert adopted == 5


def test_one_jobmanager_after_the_other_goes_on_with_the_same_tasks() -> None:
    outcome = simulate_failover(FailoverScenario(base=struck(*[FaultKind.KILL_JOBMANAGER] * 3)))
    assert outcome.problems == []
    assert (outcome.leaders, outcome.adopted) == (3, 3)


def test_a_standby_takes_over_from_one_that_sleeps_which_then_ends() -> None:
    lost = 0
    for pick in (0.0, 0.9):  # one of them leads
        sleeps = struck(FaultKind.PAUSE_JOBMANAGER, lasts=8.0)
        base = replace(sleeps, faults=tuple(replace(f, pick=pick) for f in sleeps.faults))
        outcome = simulate_failover(FailoverScenario(base=base, jobmanagers=2, back_after=0.1))
        assert outcome.problems == []
        lost += outcome.ends["LostLeadership"]
    assert lost == 1


def test_one_that_is_told_to_leave_leaves_the_tasks_to_the_next_one() -> None:
    outcome = simulate_failover(FailoverScenario(base=struck(FaultKind.LEAVE)))
    assert outcome.problems == []
    assert outcome.adopted == 1
    assert outcome.ends == Counter(StoodDown=1, succeeded=1)


def test_without_a_jobmanager_taskmanagers_give_up_and_the_next_one_starts_all_again() -> None:
    dies = struck(FaultKind.KILL_JOBMANAGER)
    away = FailoverScenario(base=dies, back_after=20.0, grace=2.0)
    outcome = simulate_failover(away)
    assert outcome.problems == []
    assert (outcome.leaders, outcome.adopted) == (1, 0)


def test_a_run_whose_end_nobody_could_say_is_over_without_its_tasks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The leader was deposed when all was published and its TaskManagers had gone: a standby finds nothing to do."""

    async def deposed(self: Lead, clock: object, outcome: object) -> None:
        monkeypatch.setattr(Lead, "say_how_it_ended", said)

    said = Lead.say_how_it_ended
    monkeypatch.setattr(Lead, "say_how_it_ended", deposed)
    outcome = simulate_failover(FailoverScenario(base=CALM, jobmanagers=2), tracing=True)
    assert outcome.problems == []
    assert outcome.ends == Counter(succeeded=2)
    assert any("; nothing is left to do" in text for _, _, text in outcome.notes)


def test_seeds_are_played_side_by_side_and_a_failure_says_how_to_repeat_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--seeds", "2"]) == 0
    alone = capsys.readouterr().out
    assert main(["--seeds", "2", "--processes", "2"]) == 0
    assert Counter(capsys.readouterr().out) == Counter(alone), "the same, perhaps in another order"
    stage = Ledger.stage
    monkeypatch.setattr(Ledger, "stage", lambda s, name, rows, n: stage(s, name, rows[1:], n))
    seed = next(n for n in range(100) if failover_of(n).base.job.writes == "ledger")
    assert main(["--seeds", "1", "--first", f"{seed}"]) == 1
    again = f"python -m flowjob.testing.simulation.failover --seed {seed}"
    assert again in capsys.readouterr().out
