"""Histograms of durations: what is read off them is near what was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.core.durations import BOUNDS, COUNTS, Durations, longest, quantile


def histogram(*micros: int) -> Durations:
    found = Durations()
    for value in micros:
        found.add(value)
    return found


@given(st.lists(st.integers(0, BOUNDS[-1]), min_size=1), st.floats(0, 1))
def test_a_quantile_lies_between_the_bounds_that_the_true_one_lies_between(
    values: list[int], share: float
) -> None:
    place = max(0, min(len(values) - 1, -int(-share * len(values) // 1) - 1))
    true = sorted(values)[place]
    above = next(bound for bound in BOUNDS if bound >= true)
    below = max((bound for bound in BOUNDS if bound < true), default=0)
    assert below <= quantile(histogram(*values).counts, share) <= above


@given(st.lists(st.integers(-5, 2**40)))
def test_all_are_counted_and_added_up(values: list[int]) -> None:
    found = histogram(*values)
    assert sum(found.counts) == len(values)
    assert found.total == sum(max(0, value) for value in values)
    assert len(found.counts) == COUNTS


def test_what_seems_to_have_come_before_it_left_has_taken_no_time() -> None:
    found = histogram(-1_000_000)
    assert (found.counts[0], found.total) == (1, 0)


def test_a_value_at_a_bound_is_within_it() -> None:
    assert histogram(BOUNDS[4]).counts[4] == 1


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_of_nothing_there_is_nothing_to_say(share: float) -> None:
    assert quantile(Durations().counts, share) == 0.0
    assert longest(Durations().counts) == 0.0


def test_what_is_beyond_the_last_bound_counts_as_that() -> None:
    counts = histogram(10**10).counts
    assert quantile(counts, 0.5) == longest(counts) == BOUNDS[-1]
