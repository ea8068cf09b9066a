"""Timers: once per key and time, in order, deletable."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.runtime.state.timers import Timers


def test_timers_fire_by_time_and_then_by_registration() -> None:
    timers = Timers()
    for time, slot in [(20, 1), (10, 3), (10, 1), (20, 0), (10, 2)]:
        timers.add(time, slot)
    assert list(timers.due(15)) == [(10, 3), (10, 1), (10, 2)]
    assert timers.next_time() == 20
    assert list(timers.due(20)) == [(20, 1), (20, 0)]
    assert timers.next_time() is None


def test_a_timer_set_twice_for_a_key_and_time_fires_once() -> None:
    timers = Timers()
    for _ in range(2):
        timers.add(10, 1)
        timers.add(10, 2)
        timers.add(10, 1)
    assert len(timers) == 2
    assert list(timers.due(10)) == [(10, 1), (10, 2)]


def test_a_deleted_timer_does_not_fire_and_goes_to_the_end_when_set_again() -> None:
    timers = Timers()
    for slot in (1, 2, 3):
        timers.add(10, slot)
    assert timers.remove(10, 1)
    assert not timers.remove(10, 1)
    assert timers.remove(10, 2)
    timers.add(10, 1)
    assert list(timers.due(10)) == [(10, 3), (10, 1)]


def test_a_timer_set_while_its_time_is_fired_fires_too_after_the_others() -> None:
    timers = Timers()
    timers.add(10, 1)
    timers.add(10, 2)
    fired = []
    for time, slot in timers.due(10):
        fired.append((time, slot))
        if len(fired) == 1:
            timers.add(5, 1)
            timers.add(10, 1)
            timers.add(11, 1)
    assert fired == [(10, 1), (10, 2), (5, 1), (10, 1)]
    assert timers.next_time() == 11


def test_a_slot_that_loses_its_last_timer_is_reported() -> None:
    idle: list[int] = []
    timers = Timers(idle)
    timers.add(10, 1)
    timers.add(20, 1)
    timers.add(10, 2)
    assert list(timers.due(10)) == [(10, 1), (10, 2)]
    assert idle == [2]
    assert timers.holds(1)
    timers.remove(20, 1)
    assert idle == [2, 1]
    assert not timers.holds(1)


def test_timers_moved_again_and_again_do_not_pile_up() -> None:
    timers = Timers()
    for time in range(10_000):
        timers.add(time, 1)
        timers.remove(time, 1)
    assert len(timers._heap) < 200


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "due"]), st.integers(0, 8), st.integers(0, 3)),
    max_size=60,
)


@given(STEPS)
@settings(max_examples=150)
def test_timers_are_an_ordered_set_of_time_and_key(steps) -> None:
    timers = Timers()
    model: dict[tuple[int, int], int] = {}
    for number, (step, time, slot) in enumerate(steps):
        if step == "add":
            timers.add(time, slot)
            model.setdefault((time, slot), number)
        elif step == "remove":
            assert timers.remove(time, slot) == (model.pop((time, slot), None) is not None)
        else:
            due = sorted((t, n, s) for (t, s), n in model.items() if t <= time)
            assert list(timers.due(time)) == [(t, s) for t, _, s in due]
            for t, _, s in due:
                del model[t, s]
        assert timers.next_time() == min((t for t, _ in model), default=None)
        assert len(timers) == len(model)
        assert list(timers.entries()) == [
            (t, s) for t, _, s in sorted((t, n, s) for (t, s), n in model.items())
        ]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=30))
def test_loading_many_is_adding_each(pairs) -> None:
    added, loaded = Timers(), Timers()
    for time, slot in pairs:
        added.add(time, slot)
    half = len(pairs) // 2
    for part in (pairs[:half], pairs[half:]):
        loaded.load([time for time, _ in part], [slot for _, slot in part])
    assert len(loaded) == len(added)
    assert list(loaded.entries()) == list(added.entries())
    assert list(loaded.due(4)) == list(added.due(4))
    assert loaded.next_time() == added.next_time()
    assert all(loaded.holds(slot) == added.holds(slot) for slot in range(6))
