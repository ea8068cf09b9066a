"""The judge of simulated runs knows what the world makes slow, and still sees what stands for no reason."""

from __future__ import annotations

import pytest

from flowjob.core.coordinator_events import Kind
from flowjob.core.trigger_schedule import TriggerSchedule
from flowjob.testing.simulation.run import simulate
from flowjob.testing.simulation.scenario import scenario_of
from tests.simulation.small_worlds import world_of


def test_seconds_in_which_anything_was_held_up_are_nobodys_fault() -> None:
    with world_of() as world:
        for now, seconds in ((1.0, 2.0), (1.5, 0.1), (2.0, 2.0), (7.0, 10.0)):
            world.loop.now = now
            world.held_up(seconds)
        expected = {(0.0, 1.0): 1.0, (0.0, 5.0): 2.0, (2.0, 3.0): 0.0, (3.5, 8.0): 3.0}
        assert {(a, b): world.unhindered(a, b) for a, b in expected} == expected


SLOW_NETWORK = 1628
"""A seed whose rows take seconds from one host to the other, and barriers wait behind them."""


@pytest.mark.slow
def test_checkpoints_may_wait_for_a_slow_network_and_for_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scenario = scenario_of(SLOW_NETWORK, faults=False)
    assert scenario.physics.latency * scenario.physics.jitter >= 1.0
    assert simulate(scenario).problems == []
    due = TriggerSchedule.due

    def late(self: TriggerSchedule, kind: Kind) -> float | None:
        at = due(self, kind)
        return None if at is None else at + 8.0

    monkeypatch.setattr(TriggerSchedule, "due", late)
    (problem,) = simulate(scenario).problems
    assert problem.startswith("no checkpoint for ")
