"""The order in which a gate gives what its channels have brought."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.core.elements import Watermark
from flowjob.runtime.exchange.arrivals import OLDEST_EVERY, Arrival, AsArrived, BehindFirst

CONTROL, DATA = -2, 0
Queue = AsArrived | BehindFirst


def watermark(channel: int, time: int) -> Arrival:
    return channel, CONTROL, Watermark(time), 0


def data(channel: int, name: Any) -> Arrival:
    return channel, DATA, name, 1


def drained(queue: Queue) -> list[Arrival]:
    return [queue.popleft() for _ in iter(lambda: len(queue), 0)]


def test_without_watermarks_elements_come_as_they_arrived():
    queue = BehindFirst(3)
    given = [data(n % 3, n) for n in range(20)]
    for arrival in given:
        queue.append(arrival)
    assert drained(queue) == given


def test_a_channel_that_is_behind_goes_first():
    queue = BehindFirst(2)
    for arrival in (watermark(0, 100), watermark(1, 10), data(0, "ahead"), data(1, "behind")):
        queue.append(arrival)
    assert [a[2] for a in drained(queue)][2:] == ["behind", "ahead"]


def test_channels_with_the_same_time_take_turns_by_arrival():
    queue = BehindFirst(2)
    for arrival in (watermark(0, 5), watermark(1, 5), data(1, 1), data(0, 2), data(1, 3)):
        queue.append(arrival)
    assert [a[2] for a in drained(queue)][2:] == [1, 2, 3]


def test_a_channel_that_is_ahead_gets_on_while_another_stands_still():
    queue = BehindFirst(2)
    for arrival in (watermark(0, 100), watermark(1, 10)):
        queue.append(arrival)
    drained(queue)
    for n in range(3):
        queue.append(data(0, n))
    for n in range(10 * OLDEST_EVERY):
        queue.append(data(1, n))
    places = [i for i, arrival in enumerate(drained(queue)) if arrival[0] == 0]
    assert all(after - before <= OLDEST_EVERY for before, after in pairwise([0, *places]))


@pytest.mark.parametrize("make", [AsArrived, lambda: BehindFirst(4)])
@given(
    st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(0, 9)), max_size=60), st.data()
)
def test_each_channel_gives_all_it_got_in_order_and_nothing_while_it_is_blocked(
    make: Callable[[], Queue], steps: list[tuple[int, int | None]], choices: st.DataObject
):
    queue, waiting = make(), [deque[Arrival]() for _ in range(4)]
    blocked: set[int] = set()
    for number, (channel, time) in enumerate(steps):
        if choices.draw(st.integers(0, 3)) == 0:
            toggled = choices.draw(st.integers(0, 3))
            (queue.unblock if toggled in blocked else queue.block)(toggled)
            blocked ^= {toggled}
        arrival = data(channel, number) if time is None else watermark(channel, time)
        (queue.hold if channel in blocked else queue.append)(arrival)
        waiting[channel].append(arrival)
        while len(queue) and choices.draw(st.booleans()):
            taken = queue.popleft()
            assert taken[0] not in blocked
            assert taken == waiting[taken[0]].popleft()
    for taken in drained(queue):
        assert taken[0] not in blocked
        assert taken == waiting[taken[0]].popleft()
    for channel in blocked:
        queue.unblock(channel)
    for taken in drained(queue):
        assert taken == waiting[taken[0]].popleft()
    assert not any(waiting)
    assert not any(waiting)
