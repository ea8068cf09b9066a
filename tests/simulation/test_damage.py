"""Bytes of checkpoints change in a store: a job goes on from an older one where that is exactly once, or says so."""

from __future__ import annotations

from collections import Counter

import pytest

from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob.core.restart_strategy import FixedDelay
from flowjob.runtime.jobmanager import standing_in
from flowjob.testing.simulation.jobs import JobSpec
from flowjob.testing.simulation.run import simulate
from flowjob.testing.simulation.scenario import Fault, FaultKind, Phase, Scenario

pytestmark = pytest.mark.slow


def damaged(kind: str, seed: int) -> Scenario:
    """In the middle of a job with a checkpoint twenty times a second."""
    struck = Fault(FaultKind.DAMAGE, 0.35, Phase.RUNNING, pick=seed / 5)
    return Scenario(
        seed=seed,
        job=JobSpec(kind=kind, splits=2, rows=150, keys=10, waits=0.03, seed=seed),
        run={"batch_rows": 4},
        inline_bytes=0,
        checkpoints=CheckpointSettings(interval=0.05, min_pause=0.0, retained=5),
        restarts=FixedDelay(attempts=30, delay=0.1),
        faults=(struck,),
    )


def test_an_older_checkpoint_stands_in_where_nothing_was_published_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stood_in: list[str] = []
    monkeypatch.setattr(standing_in, "OlderCheckpointUsed", _noting(stood_in))
    ends: Counter[str] = Counter()
    for seed in range(5):
        outcome = simulate(damaged("windows", seed))
        assert outcome.problems == [], f"seed {seed}"
        ends[outcome.end] += 1
    assert ends["succeeded"] >= len(stood_in) > 0
    assert any("section `windows`" in text for text in stood_in), "which slots have found"


def test_where_results_may_have_been_published_since_the_job_ends_and_says_what_can_be_done() -> (
    None
):
    refused = []
    for seed in range(5):
        outcome = simulate(damaged("stateless", seed))
        assert outcome.problems == [], f"seed {seed}"
        if outcome.error is not None:  # else nobody has read what was damaged
            refused.append(outcome.error)
    assert refused
    for error in refused:
        assert error.code == "SNAPSHOT_DAMAGED"
        assert "--from PATH" in str(error)


def _noting(found: list[str]) -> type:
    class Noted(standing_in.OlderCheckpointUsed):
        def __init__(self, text: str) -> None:
            super().__init__(text)
            found.append(text)

    return Noted
