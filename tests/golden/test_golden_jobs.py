"""Every golden job gives its result also with snapshots, killed, restored at another parallelism, killed, and restored
at a third. `make golden` does the same in many more ways."""

from __future__ import annotations

import pytest

from tests.golden.equality import replayed
from tests.golden.golden import golden_jobs
from tests.golden.plans import DEFAULT, FEW, PLANS
from tests.golden.recovering import Recovered, recover

pytestmark = pytest.mark.slow

JOBS = golden_jobs()
RARE = {
    *("window_shifted", "window_count", "two_phase_session", "apply_shifted", "apply_sliding"),
    *("apply_count", "apply_count_sliding", "trigger_count", "trigger_event", "trigger_purging"),
    *("two_phase_sliding", "by_function", "running_spread", "q0", "q1"),
}
"""Much like others: for `make golden` alone."""

HERE = [n for n in JOBS if n not in RARE and not n.startswith(("corpus_", "restarts_"))]
"""Also without those whose own tests kill them already."""

SAVED = ["everything", "window_session", "changelog", "three_formats", "database", "q5"]


SEEDS = (1, 2, 3)
"""When exactly a job dies is drawn by chance: some have state at some moments only."""


def disturbed(name: str, plan: str) -> Recovered:
    for seed in SEEDS:
        recovered = recover(JOBS[name], PLANS[plan].lives, PLANS[plan].mode, seed=seed)
        assert recovered.problems == [], "\n".join(recovered.problems)
        assert recovered.rows > 0
        assert recovered.midway > 0, "nothing was left to do when it was restored: read more slowly"
        if recovered.with_state or not recovered.stateful or name in EMPTY:
            return recovered
    raise AssertionError("there was no state when it was restored")


EMPTY = {"other_times", "side_by_side"}
"""Their operators have an identity, and nothing to keep."""


@pytest.mark.parametrize(("name", "plan"), [(n, DEFAULT[i % 2]) for i, n in enumerate(HERE)])
def test_killed_twice_it_gives_the_same_at_three_parallelisms(name: str, plan: str) -> None:
    disturbed(name, plan)


@pytest.mark.parametrize(("name", "plan"), [(n, FEW[i % 2]) for i, n in enumerate(SAVED)])
def test_from_savepoints_it_gives_the_same_at_three_parallelisms(name: str, plan: str) -> None:
    disturbed(name, plan)


def test_at_least_once_nothing_is_lost_and_only_what_is_read_again_is_there_twice() -> None:
    again = [disturbed(name, "at least once").again for name in ("q1", "unions", "ways")]
    assert all(count >= 0 for count in again)
    assert any(again), "nothing was read again: the plan tests nothing"


def test_rows_that_are_lost_or_made_up_are_told_from_those_that_are_read_again() -> None:
    golden = JOBS["q1"]
    expected = {"out": [{"a": 1}, {"a": 2}, {"a": 2}]}
    again = {"out": [{"a": 2}] * 4 + [{"a": 1}]}
    assert replayed(golden, expected, again, replays=1) == ""
    assert "1 rows lost" in replayed(golden, expected, {"out": [{"a": 2}] * 2}, replays=1)
    often = {"out": [*again["out"], {"a": 2}]}
    assert "0 rows lost [], nobody's" in replayed(golden, expected, often, replays=1)
    assert "nobody's" in replayed(golden, expected, {"out": [*again["out"], {"a": 3}]}, replays=1)


def test_barriers_overtake_rows_of_some_of_them() -> None:
    assert disturbed("running", "crowded").in_flight > 0
