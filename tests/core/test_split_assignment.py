"""Who reads which split: each split once, in order, and everybody learns when there are no more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.core.split_assignment import Given, SplitAssigner


def test_an_idle_subtask_pulls_the_next_split() -> None:
    splits: SplitAssigner[str] = SplitAssigner(2, deal=False)
    assert splits.found("abc", complete=True) == []
    assert splits.asked(1) == [Given(1, ("a",), False)]
    assert splits.asked(1) == [Given(1, ("b",), False)]
    assert splits.asked(0) == [Given(0, ("c",), True)]
    assert splits.asked(1) == [Given(1, (), True)]


def test_who_asks_before_there_is_anything_waits_in_order() -> None:
    splits: SplitAssigner[str] = SplitAssigner(3, deal=False)
    assert splits.asked(2) == splits.asked(0) == []
    assert splits.found("a", complete=False) == [Given(2, ("a",), False)]
    assert splits.found("", complete=True) == [Given(0, (), True)]


def test_asking_twice_while_waiting_is_answered_once() -> None:
    splits: SplitAssigner[str] = SplitAssigner(1, deal=False)
    assert splits.asked(0) == splits.asked(0) == []
    assert splits.found("ab", complete=False) == [Given(0, ("a",), False)]
    assert splits.unassigned == 1


def test_dealt_splits_belong_to_a_subtask_whoever_asks_first() -> None:
    splits: SplitAssigner[int] = SplitAssigner(2, deal=True)
    splits.found(range(5), complete=True)
    assert splits.asked(1) == [Given(1, (1, 3), True)]
    assert splits.asked(0) == [Given(0, (0, 2, 4), True)]


def test_a_subtask_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="subtask 2 of 2"):
        SplitAssigner(2, deal=False).asked(2)


@given(
    st.integers(1, 4),
    st.booleans(),
    st.lists(st.one_of(st.integers(0, 3), st.lists(st.none(), max_size=4)), max_size=30),
)
def test_every_split_is_given_once_and_everybody_hears_of_the_end(
    parallelism: int, deal: bool, steps: list[int | list[None]]
) -> None:
    assigner: SplitAssigner[int] = SplitAssigner(parallelism, deal=deal)
    found, answers = 0, []
    for step in steps:
        if isinstance(step, list):
            answers += assigner.found(range(found, found + len(step)), complete=False)
            found += len(step)
        else:
            answers += assigner.asked(step % parallelism)
    answers += assigner.found((), complete=True)
    for subtask in range(parallelism):
        while not any(a.complete for a in answers if a.subtask == subtask):
            answers += assigner.asked(subtask)
    given_out = [s for a in answers for s in a.splits]
    assert sorted(given_out) == list(range(found))
    assert deal or given_out == sorted(given_out)
    if deal:
        assert all(s % parallelism == a.subtask for a in answers for s in a.splits)
    for subtask in range(parallelism):
        theirs = [a for a in answers if a.subtask == subtask]
        assert [a.complete for a in theirs] == [False] * (len(theirs) - 1) + [True]
