"""Who reads which split: each split once, in order, and everybody learns when there are no more; after a loss each
split again from where the snapshot has it, and none that had been read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.core.split_assignment import Given, Remembered, SplitAssigner


class Part(NamedTuple):
    id: str
    position: int = 0


def parts(ids: Iterable[object]) -> tuple[Part, ...]:
    return tuple(Part(str(i)) for i in ids)


def ids(answers: Iterable[Given[Part]]) -> list[tuple[int, str, bool]]:
    return [(a.subtask, " ".join(s.id for s in a.splits), a.complete) for a in answers]


def assigner(parallelism: int, *, deal: bool) -> SplitAssigner[Part]:
    return SplitAssigner(parallelism, deal=deal)


def test_an_idle_subtask_pulls_the_next_split() -> None:
    splits = assigner(2, deal=False)
    assert splits.found(parts("abc"), complete=True) == []
    assert ids(splits.asked(1)) == [(1, "a", False)]
    assert ids(splits.asked(1)) == [(1, "b", False)]
    assert ids(splits.asked(0)) == [(0, "c", True)]
    assert ids(splits.asked(1)) == [(1, "", True)]


def test_who_asks_before_there_is_anything_waits_in_order() -> None:
    splits = assigner(3, deal=False)
    assert splits.asked(2) == splits.asked(0) == []
    assert ids(splits.found(parts("a"), complete=False)) == [(2, "a", False)]
    assert ids(splits.found((), complete=True)) == [(0, "", True)]


def test_asking_twice_while_waiting_is_answered_once() -> None:
    splits = assigner(1, deal=False)
    assert splits.asked(0) == splits.asked(0) == []
    assert ids(splits.found(parts("ab"), complete=False)) == [(0, "a", False)]
    assert splits.unassigned == 1


def test_dealt_splits_belong_to_a_subtask_whoever_asks_first() -> None:
    splits = assigner(2, deal=True)
    splits.found(parts(range(5)), complete=True)
    assert ids(splits.asked(1)) == [(1, "1 3", True)]
    assert ids(splits.asked(0)) == [(0, "0 2 4", True)]


def test_what_is_found_twice_is_read_once() -> None:
    splits = assigner(1, deal=False)
    splits.found(parts("ab"), complete=False)
    splits.asked(0)
    splits.found(parts("abc"), complete=True)
    assert ids(splits.asked(0) + splits.asked(0)) == [(0, "b", False), (0, "c", True)]


def test_a_subtask_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="subtask 2 of 2"):
        assigner(2, deal=False).asked(2)


def test_without_a_snapshot_everything_is_read_again_in_order() -> None:
    splits = assigner(2, deal=False)
    splits.found(parts("abcd"), complete=True)
    for subtask in (0, 1, 0):
        splits.asked(subtask)
    assert splits.reset((0, 1)) == []
    assert ids([*splits.asked(1), *splits.asked(1)]) == [(1, "a", False), (1, "b", False)]
    assert ids([*splits.asked(1), *splits.asked(0)]) == [(1, "c", False), (0, "d", True)]


def test_a_snapshot_says_what_was_read_and_how_far() -> None:
    splits = assigner(2, deal=False)
    splits.found(parts("abcd"), complete=True)
    for _ in "abc":
        splits.asked(0)
    splits.reset((0, 1), Remembered((Part("b", 7),), frozenset("a")))
    assert splits.asked(0) == [Given(0, (Part("b", 7),), False)]
    assert ids(splits.asked(0) + splits.asked(0)) == [(0, "c", False), (0, "d", True)]


@pytest.mark.parametrize("deal", [False, True])
@pytest.mark.parametrize("found_at_once", [False, True])
def test_an_older_snapshot_that_stands_in_for_the_newest_is_gone_back_to(
    deal: bool, found_at_once: bool
) -> None:
    """What only the newest knew to be read, or to be begun, is read from its beginning."""
    splits = assigner(1, deal=deal)
    if found_at_once:
        splits.found(parts("abcd"), complete=True)
    newest = Remembered((Part("c", 7),), frozenset("ab"))
    splits.reset((0,), newest)
    splits.asked(0)
    assert not splits.knows_more(newest)
    assert splits.knows_more(Remembered((), frozenset("ab"))), "that the third one was begun"
    if not found_at_once:
        splits.found(parts("abcd"), complete=True)
    older = Remembered((Part("b", 5),), frozenset("a"))
    assert splits.knows_more(older)
    splits.reset((0,), older)
    given: list[Part] = []
    while len(given) < 3:
        given += [split for answer in splits.asked(0) for split in answer.splits]
    assert sorted(given) == [Part("b", 5), Part("c"), Part("d")]
    assert ids(splits.asked(0)) == [(0, "", True)]


def test_splits_that_were_read_side_by_side_are_read_so_again_by_fewer_subtasks() -> None:
    splits = assigner(2, deal=False)
    splits.reset(range(2), Remembered(parts("abc"), frozenset("d")))
    splits.found(parts("abcde"), complete=True)
    assert ids(splits.asked(0)) == [(0, "a c", False)]
    assert ids(splits.asked(0)) == [(0, "e", True)]
    assert ids(splits.asked(1)) == [(1, "b", True)]


def test_a_new_jobmanager_finds_again_what_the_snapshot_knows_and_does_not_read_it_twice() -> None:
    splits = assigner(1, deal=False)
    splits.reset((0,), Remembered((Part("b", 7),), frozenset("a")))
    splits.found(parts("abc"), complete=True)
    assert splits.asked(0) == [Given(0, (Part("b", 7),), False)]
    assert ids(splits.asked(0)) == [(0, "c", True)]


def test_dealt_splits_keep_their_places_at_another_parallelism() -> None:
    splits = assigner(3, deal=True)
    splits.reset(range(3), Remembered((Part("4", 9), Part("1", 9)), frozenset({"0", "3"})))
    splits.found(parts(range(6)), complete=True)
    assert splits.asked(1) == [Given(1, (Part("1", 9), Part("4", 9)), True)]
    assert ids(splits.asked(0) + splits.asked(2)) == [(0, "", True), (2, "2 5", True)]


def test_dealt_splits_that_are_not_found_again_are_dealt_too() -> None:
    splits = assigner(2, deal=True)
    splits.reset(range(2), Remembered((Part("gone", 5),)))
    splits.found(parts("a"), complete=True)
    assert ids(splits.asked(0) + splits.asked(1)) == [(0, "a", True), (1, "gone", True)]


def test_what_a_lost_subtask_had_goes_to_nobody_whose_time_has_passed_it() -> None:
    splits = assigner(2, deal=False)
    splits.found(parts("abc"), complete=False)
    splits.asked(0), splits.asked(1), splits.asked(1)
    assert splits.asked(1) == []
    assert splits.reset((0,)) == []
    assert ids(splits.found((), complete=True)) == [(1, "", True)]
    assert ids(splits.asked(0)) == [(0, "a", True)]


def test_a_lost_subtask_is_not_answered_before_it_asks_again() -> None:
    splits = assigner(1, deal=False)
    splits.asked(0)
    splits.reset((0,))
    assert splits.found(parts("a"), complete=True) == []


Step = int | list[None] | tuple[int, ...]


@given(
    st.integers(1, 4),
    st.booleans(),
    st.lists(
        st.one_of(
            st.integers(0, 3),
            st.lists(st.none(), max_size=4),
            st.sets(st.integers(0, 3), min_size=1).map(tuple),
        ),
        max_size=30,
    ),
)
@settings(deadline=None)
def test_every_split_is_with_somebody_in_the_end_and_everybody_hears_of_the_end(
    parallelism: int, deal: bool, steps: list[Step]
) -> None:
    splits = assigner(parallelism, deal=deal)
    found = 0
    owned: dict[int, list[str]] = {i: [] for i in range(parallelism)}
    complete: set[int] = set()

    def take(answers: list[Given[Part]]) -> None:
        for answer in answers:
            owned[answer.subtask] += [s.id for s in answer.splits]
            assert answer.subtask not in complete
            complete.update([answer.subtask] if answer.complete else [])

    for step in steps:
        if isinstance(step, list):
            take(splits.found(parts(range(found, found + len(step))), complete=False))
            found += len(step)
        elif isinstance(step, tuple):
            lost = {i % parallelism for i in step}
            for subtask in lost:
                owned[subtask] = []
            take(splits.reset(lost))
        else:
            take(splits.asked(step % parallelism))
    take(splits.found((), complete=True))
    for subtask in range(parallelism):
        while subtask not in complete:
            take(splits.asked(subtask))
    given_out = sorted(int(i) for theirs in owned.values() for i in theirs)
    assert given_out == list(range(found))
    if deal:
        assert all(int(i) % parallelism == s for s, theirs in owned.items() for i in theirs)


@pytest.mark.parametrize("deal", [False, True])
def test_what_tasks_of_an_earlier_jobmanager_have_is_given_to_nobody_else(deal: bool) -> None:
    splits = assigner(2, deal=deal)
    splits.adopt({0: ["a"], 1: ["b", "d"]}, Remembered(finished=frozenset("d")))
    splits.asked(0)
    given = ids(splits.found(parts("abcd"), complete=True))
    assert [text for _, text, _ in given if text] == ["c"]


def test_when_such_a_task_is_lost_its_splits_come_back_as_the_snapshot_has_them_and_to_its_heirs() -> (
    None
):
    splits = assigner(2, deal=False)
    splits.adopt({0: ["a", "b"], 1: ["c"]}, Remembered((Part("a", 7),), frozenset("d")))
    splits.reset([0], Remembered((Part("a", 7),)))
    assert splits.owes
    assert splits.asked(0)[0].splits == (Part("a", 7),)
    assert not splits.owes
    assert splits.asked(1) == []
    found = splits.found(parts("abcd"), complete=True)
    assert ids(found) == [(1, "", True)]
    assert ids(splits.asked(0)) == [(0, "b", True)]


@pytest.mark.parametrize("deal", [False, True])
@pytest.mark.parametrize("found_first", [False, True])
def test_what_an_earlier_jobmanager_died_before_giving_out_is_given_out_as_the_snapshot_has_it(
    deal: bool, found_first: bool
) -> None:
    splits = assigner(1, deal=deal)
    splits.adopt({0: ["b"]}, Remembered((Part("a", 7),), frozenset("b")))
    assert splits.owes
    if found_first:
        splits.found(parts("abc"), complete=True)
    answers = splits.asked(0)
    if not found_first:
        answers += splits.found(parts("abc"), complete=True) + splits.asked(0)
    assert not splits.owes
    assert Part("a", 7) in [split for answer in answers for split in answer.splits]
    again = splits.asked(0) if not answers[-1].complete else []
    given = [split.id for answer in [*answers, *again] for split in answer.splits]
    assert sorted(given) == ["a", "c"]


@given(
    st.booleans(),
    st.integers(1, 3),
    st.lists(st.sampled_from(["held", "finished", "begun", "begun and held", "new"]), max_size=12),
)
def test_after_a_takeover_every_split_is_with_one_subtask_from_where_the_snapshot_has_it(
    deal: bool, parallelism: int, states: list[str]
) -> None:
    splits, every = assigner(parallelism, deal=deal), parts(range(len(states)))
    of = {part.id: state for part, state in zip(every, states)}
    had: dict[int, list[str]] = {subtask: [] for subtask in range(parallelism)}
    for part in every:
        if "held" in of[part.id]:
            had[int(part.id) % parallelism].append(part.id)
    begun = tuple(Part(id, 7) for id, state in of.items() if "begun" in state)
    finished = frozenset(id for id, state in of.items() if state == "finished")
    splits.adopt(had, Remembered(begun, finished))
    answers = splits.found(every, complete=True)
    complete: set[int] = set()
    for subtask in range(parallelism):
        while subtask not in complete:
            answers += splits.asked(subtask)
            complete.update(answer.subtask for answer in answers if answer.complete)
    given_out = sorted((p for answer in answers for p in answer.splits), key=lambda p: int(p.id))
    expected = {"new": 0, "begun": 7}
    assert given_out == [Part(id, expected[s]) for id, s in of.items() if s in expected]
    assert not splits.owes


def test_that_goes_to_those_who_were_never_answered_for_the_time_of_others_may_have_passed_it() -> (
    None
):
    splits = assigner(4, deal=False)
    had: dict[int, list[str]] = {0: ["b"], 1: [], 2: ["c"], 3: []}
    splits.adopt(had, Remembered((Part("a", 7), Part("b", 2)), frozenset("c")), ended=[1])
    assert splits.asked(0) == splits.asked(3) == []
    assert splits.asked(2) == [Given(2, (Part("a", 7),), complete=False)]


def test_it_owes_what_a_snapshot_had_begun_until_somebody_has_it() -> None:
    splits = assigner(2, deal=True)
    assert not splits.owes
    splits.reset([0, 1], Remembered((Part("a", 3), Part("b", 4)), frozenset("c")))
    splits.asked(0)
    splits.asked(1)
    assert splits.owes  # whose they are is known when they are found
    splits.found(parts("abc"), complete=True)
    assert not splits.owes
