"""One short story of the chaos tests in every run of the tests; `make chaos` plays many that are made of seeds."""

from __future__ import annotations

import pytest

from tests.recovery.chaos import play
from tests.recovery.scenario import Fault, Kind, Scenario

pytestmark = pytest.mark.chaos


def test_a_job_whose_processes_are_killed_one_by_one_and_together_gives_each_result_once() -> None:
    killed = (Fault(Kind.SLOT, 1, 0.0), Fault(Kind.ALL, 2, 0.0))
    scenario = Scenario(1, parallelisms=(2, 1), rows=4_000, rate=4_000, faults=killed)
    played = play(scenario)
    assert played.problems == [], played.story
