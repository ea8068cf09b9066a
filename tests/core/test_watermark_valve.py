"""Combining the event time of inputs: the minimum over the active, unmoved by the idle and the finished."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.core.elements import MAX_TIME, MIN_TIME, Status, Watermark
from flowjob.core.watermark_valve import WatermarkValve

IDLE, ACTIVE = Status.IDLE, Status.ACTIVE
END = "end"
Step = tuple[int, int | Status | str]


def feed(valve: WatermarkValve, step: Step) -> list[int | Status]:
    channel, said = step
    if isinstance(said, Status):
        out = valve.on_status(channel, said)
    elif isinstance(said, int):
        out = valve.on_watermark(channel, said)
    else:
        out = valve.on_end(channel)
    return [o.time if isinstance(o, Watermark) else o for o in out]


@pytest.mark.parametrize(
    ("rule", "steps", "outputs"),
    [
        ("the minimum leads", [(0, 5), (1, 3), (1, 9)], [[], [3], [5]]),
        ("going back is ignored", [(0, 5), (1, 5), (0, 4), (1, 4)], [[], [5], [], []]),
        ("an idle input does not hold", [(0, 5), (1, IDLE), (0, 7)], [[], [5], [7]]),
        ("a finished input does not hold", [(0, 5), (1, END), (0, 7)], [[], [5], [7]]),
        ("a finished input does not drive", [(0, 5), (1, MAX_TIME), (1, END), (0, 6)], [[], [5], [], [6]]),
        ("an input at the end of time is finished", [(0, MAX_TIME), (1, 4)], [[], [4]]),
        ("idle is said once, ahead of it the furthest", [(0, 5), (1, 9), (0, IDLE), (1, IDLE)], [[], [5], [9], [IDLE]]),
        ("whoever falls silent first", [(0, 5), (1, 9), (1, IDLE), (0, IDLE)], [[], [5], [], [9, IDLE]]),
        ("awake again", [(0, IDLE), (1, IDLE), (1, ACTIVE), (1, 3)], [[], [IDLE], [ACTIVE], [3]]),
        ("idle twice", [(0, IDLE), (0, IDLE), (1, IDLE), (1, IDLE)], [[], [], [IDLE], []]),
        ("who wakes up behind holds", [(0, 5), (1, IDLE), (1, ACTIVE), (0, 9), (1, 7)], [[], [5], [], [], [7]]),
        ("the end of the last active leaves the idle", [(0, 5), (1, IDLE), (0, END)], [[], [5], [IDLE]]),
        ("all at the end of time", [(0, MAX_TIME), (1, MAX_TIME), (0, END), (1, END)], [[], [MAX_TIME], [], []]),
        ("an end without the end of time moves nothing", [(0, 5), (1, 5), (0, END), (1, END)], [[], [5], [], []]),
        ("an idle input may reach the end of time", [(0, IDLE), (1, END), (0, MAX_TIME)], [[], [IDLE], [MAX_TIME]]),
        ("but not for others who are idle", [(0, 5), (0, IDLE), (1, IDLE), (0, MAX_TIME)], [[], [], [5, IDLE], []]),
    ],
)  # fmt: skip
def test_combines(rule: str, steps: list[Step], outputs: list[list[int | Status]]) -> None:
    valve = WatermarkValve(2)
    assert [feed(valve, s) for s in steps] == outputs


def test_every_channel_must_end() -> None:
    valve = WatermarkValve(2)
    valve.on_end(0)
    valve.on_end(0)
    assert not valve.ended
    valve.on_end(1)
    assert valve.ended


def test_a_restored_watermark_is_not_sent_again() -> None:
    valve = WatermarkValve(1)
    valve.restore(10)
    assert valve.on_watermark(0, 10) == ()
    assert valve.on_watermark(0, 11) == (Watermark(11),)


steps = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.one_of(st.integers(0, 20), st.just(MAX_TIME), st.sampled_from([IDLE, ACTIVE, END])),
    ),
    max_size=40,
)


@settings(max_examples=200)
@given(steps)
def test_outputs_are_monotone_and_agree_with_the_definition(given_steps: list[Step]) -> None:
    valve = WatermarkValve(3)
    times, idle, ended = [MIN_TIME] * 3, [False] * 3, [False] * 3
    sent: list[int] = []
    statuses: list[Status] = []
    for channel, said in given_steps:
        if ended[channel]:
            continue
        for out in feed(valve, (channel, said)):
            if isinstance(out, Status):
                statuses.append(out)
            else:
                sent.append(out)
        if isinstance(said, Status):
            idle[channel] = said is IDLE
        elif isinstance(said, int):
            times[channel] = max(times[channel], said)
        else:
            ended[channel] = True
        open_ = [i for i in range(3) if not ended[i] and times[i] != MAX_TIME]
        active = [i for i in open_ if not idle[i]]
        # No active input has been overtaken beyond what was sent while it was away, and none is waited for in vain.
        if active:
            assert valve.time >= min(times[i] for i in active)
        assert (valve.status is IDLE) == (not active and bool(open_)) or not open_
        if open_:
            assert valve.time != MAX_TIME
    assert sent == sorted(set(sent))
    assert all(a is not b for a, b in itertools.pairwise(statuses))
    assert not statuses or statuses[0] is IDLE


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), max_size=40))
def test_without_idleness_it_is_the_minimum(watermarks: list[tuple[int, int]]) -> None:
    valve = WatermarkValve(4)
    best = [MIN_TIME] * 4
    for channel, time in watermarks:
        feed(valve, (channel, time))
        best[channel] = max(best[channel], time)
        assert valve.time == min(best)
