"""Jobs say whose they are; whose claim on the namespace has passed to another installation, its jobs have, too."""

from __future__ import annotations

import dataclasses

import pytest

from flowjob_operator.core.reconcile import reconcile
from tests.operator.core.world import World, a_spec


@pytest.mark.parametrize("succeeds", [True, False])
def test_a_job_goes_to_who_has_succeeded_its_operator_and_to_nobody_else(succeeds: bool) -> None:
    observed = World(a_spec()).settle(20).observe()
    former = frozenset({observed.operator.owner if succeeds else "somebody-else"})
    heir = dataclasses.replace(observed.operator, owner="heir", succeeds=former)
    outcome = reconcile(dataclasses.replace(observed, operator=heir))
    assert outcome.status.operator is not None
    assert (outcome.status.operator.owner == "heir") is succeeds
    assert any(getattr(a, "reason", "") == "OwnedByAnother" for a in outcome.actions) != succeeds
