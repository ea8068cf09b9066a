"""What an operator asks of simulated jobs: they are rescaled in place, begun anew, and lose TaskManagers that leave in
time; and TaskManagers that lose their connection for a moment keep their tasks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob.core.restart_strategy import FixedDelay
from flowjob.runtime.jobmanager import tenure
from flowjob.runtime.jobmanager.leading import Lead
from flowjob.runtime.jobmanager.manager import JobManager
from flowjob.testing.simulation import failover
from flowjob.testing.simulation.failover import FailoverScenario, simulate_failover
from flowjob.testing.simulation.jobs import JobSpec
from flowjob.testing.simulation.scenario import Fault, FaultKind, Phase, Scenario
from flowjob.testing.simulation.wishes import Wish, WishKind

pytestmark = pytest.mark.slow

CALM = Scenario(
    seed=1,
    job=JobSpec(kind="union", splits=3, rows=40, waits=0.3),
    parallelism=2,
    run={"batch_rows": 4},
    checkpoints=CheckpointSettings(interval=0.1),
    restarts=FixedDelay(attempts=0, delay=0.1),
)


def test_a_job_is_rescaled_down_and_up_in_place_and_its_result_is_exact() -> None:
    wishes = (Wish(WishKind.RESCALE, 0.5, 1), Wish(WishKind.RESCALE, 1.5, 2))
    outcome = simulate_failover(FailoverScenario(base=CALM, wishes=wishes))
    assert outcome.problems == []
    assert outcome.rescaled == 2
    assert outcome.ends == {
        "succeeded": 1
    }  # by the only JobManager there was, and without a failure


def test_a_job_that_is_cancelled_while_it_is_rescaled_is_not_begun_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who has given its claim up for the next one cannot say in the log how the job ended: the next claim has to come,
    also for a job that ends meanwhile."""
    managers: list[JobManager] = []
    take_lead = tenure.take_lead

    class Manager(JobManager):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            managers.append(self)

    async def cancelled_meanwhile(env: Any, *arguments: Any) -> Lead | None:
        if managers[0].is_leading and len(managers) == 1:
            managers[0].cancel("not wanted any more")
            await env.clock.sleep(1.0)
        return await take_lead(env, *arguments)

    monkeypatch.setattr(failover, "JobManager", Manager)
    monkeypatch.setattr(tenure, "take_lead", cancelled_meanwhile)
    wishes = (Wish(WishKind.RESCALE, 0.5, 1),)
    outcome = simulate_failover(FailoverScenario(base=CALM, wishes=wishes))
    assert outcome.ends == {"JobCancelled": 1, "already ended": 1}


def test_a_new_attempt_is_no_failure() -> None:
    wishes = (Wish(WishKind.NEW_ATTEMPT, 0.5),)
    outcome = simulate_failover(FailoverScenario(base=CALM, wishes=wishes), tracing=True)
    assert outcome.problems == []
    assert outcome.ends == {"succeeded": 1}
    assert any("somebody wants it; restarted from" in text for _, _, text in outcome.notes)


def test_a_taskmanager_that_is_told_to_end_leaves_without_a_failure() -> None:
    wishes = (Wish(WishKind.LEAVE, 0.5),)
    outcome = simulate_failover(FailoverScenario(base=CALM, wishes=wishes), tracing=True)
    assert outcome.problems == []
    assert outcome.ends == {"succeeded": 1}
    assert any("leaves: it got SIGTERM; restarted from" in text for _, _, text in outcome.notes)


def test_a_taskmanager_that_loses_its_connection_keeps_its_tasks() -> None:
    reset = (Fault(FaultKind.RESET, 0.3, Phase.RUNNING, 0.5),)  # one of the JobManager's
    outcome = simulate_failover(FailoverScenario(base=replace(CALM, faults=reset)))
    assert outcome.problems == []
    assert outcome.ends == {"succeeded": 1}
    assert (outcome.leaders, outcome.adopted) == (1, 1)
