"""Removing the definition of FlowJobs deletes every one of them; nobody has said that their data goes."""

from __future__ import annotations

import pytest

from tests.operator.core.world import World, a_spec


@pytest.mark.parametrize("goes", [True, False])
@pytest.mark.parametrize("policy", ["Savepoint", "Discard"])
def test_a_job_is_retained_when_its_definition_goes_whatever_it_says(
    policy: str, goes: bool
) -> None:
    world = World(a_spec(deletionPolicy=policy)).settle(20)
    world.crd_going = goes
    world.delete()
    world.settle(120)
    assert world.job is None, "it is gone in any case"
    assert not world.violations
    assert bool(world.log) == (goes or policy == "Savepoint")
    assert bool(world.snapshots) == (policy == "Savepoint" and not goes)
