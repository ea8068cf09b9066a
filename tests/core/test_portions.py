"""Portions of batches behind a copy of the process: small, then larger, then none."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.core.portions import CALM, LEAST, LONGEST, WHOLE, Portions


def test_batches_are_whole_when_there_was_no_copy() -> None:
    assert Portions().rows == WHOLE


def test_portions_grow_when_they_are_quick() -> None:
    portions = Portions()
    portions.begin()
    assert portions.rows == LEAST
    portions.took(CALM / 2)
    assert portions.rows == 2 * LEAST
    portions.took(CALM * 2)
    assert portions.rows == 2 * LEAST


def test_quick_work_is_soon_whole_again() -> None:
    portions = Portions()
    portions.begin()
    for _ in range(9):
        portions.took(0.0)
    assert portions.rows == WHOLE


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(CALM, 1.0), min_size=200, max_size=200))
def test_work_that_is_slow_by_itself_is_cut_for_a_bounded_time(seconds: list[float]) -> None:
    portions = Portions()
    portions.begin()
    spent = 0.0
    for each in seconds:
        if portions.rows == WHOLE:
            break
        spent += each
        portions.took(each)
    assert portions.rows == WHOLE
    assert spent < LONGEST + 1.0


def test_a_further_copy_begins_again() -> None:
    portions = Portions()
    portions.begin()
    portions.took(LONGEST)
    portions.begin()
    assert portions.rows == LEAST
