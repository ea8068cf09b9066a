"""Histories that never grow beyond their bounds."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flowjob.runtime.observing.rings import Ring, Steps


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 10), st.integers(1, 100))
def test_a_ring_holds_the_newest_within_its_bounds_and_counts_the_rest(
    weights: list[int], capacity: int, budget: int
) -> None:
    ring: Ring[int] = Ring(capacity, budget)
    for number, weight in enumerate(weights, 1):
        assert ring.add(number, weight) == number
        assert len(ring) <= capacity
        assert ring.weight <= budget or len(ring) == 1
        assert ring.dropped == number - len(ring)
    kept = [(n, item) for n, item in ring.behind(0)]
    assert kept == [(n, n) for n in range(ring.first, ring.last + 1)]
    assert [n for n, _ in ring.newest_first()] == [n for n, _ in kept][::-1]


def test_behind_a_number_come_larger_ones_also_when_it_is_forgotten() -> None:
    ring: Ring[str] = Ring(3)
    for text in "abcde":
        ring.add(text)
    assert list(ring.behind(4)) == [(5, "e")]
    assert list(ring.behind(1)) == [(3, "c"), (4, "d"), (5, "e")]
    assert list(ring.behind(9)) == []


def test_what_is_forgotten_cannot_be_replaced() -> None:
    ring: Ring[str] = Ring(2)
    for text in "abc":
        ring.add(text)
    ring.replace(1, "x")
    ring.replace(3, "z")
    assert [text for _, text in ring.behind(0)] == ["b", "z"]


@given(st.integers(0, 30))
def test_steps_are_read_oldest_first_and_take_the_same_memory_for_ever(count: int) -> None:
    steps = Steps(2, 8)
    before = steps.nbytes
    for step in range(count):
        steps.add(step, np.array([step, -step], np.float32))
    shown = list(range(max(0, count - 8), count))
    assert list(steps.times[steps.order()]) == shown
    assert list(steps.row(1)) == [-step for step in shown]
    assert steps.nbytes == before


def test_a_mean_leaves_out_what_is_not_known() -> None:
    steps = Steps(2, 8)
    for value in (1.0, np.nan, 3.0):
        steps.add(0, np.array([value, np.nan], np.float32))
    assert steps.mean_of_last(2)[0] == 3.0
    assert steps.mean_of_last(3)[0] == 2.0
    assert np.isnan(steps.mean_of_last(3)[1])
