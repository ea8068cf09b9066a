"""Event time of a source subtask: per split, with idleness by silence and not by back-pressure."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.core.elements import MAX_TIME, MIN_TIME, Status, Watermark
from flowjob.core.split_watermarks import SplitWatermarks

IDLE, ACTIVE = Status.IDLE, Status.ACTIVE


def test_a_splits_watermark_stays_max_delay_behind_its_latest_row() -> None:
    time = SplitWatermarks(max_delay=10, idle_after=None, now=0)
    assert time.add_split("a", 0) == ()
    assert time.observe("a", 100, 1) == (Watermark(89),)
    assert time.observe("a", 90, 2) == ()
    assert time.observe("a", 101, 3) == (Watermark(90),)


def test_the_slowest_split_leads_and_one_without_rows_holds() -> None:
    time = SplitWatermarks(0, None, now=0)
    time.add_split("a", 0)
    time.add_split("b", 0)
    assert time.observe("a", 100, 1) == ()
    assert time.observe("b", 50, 2) == (Watermark(49),)
    assert time.observe("b", 150, 3) == (Watermark(99),)


def test_a_finished_split_holds_nothing_back() -> None:
    time = SplitWatermarks(0, None, now=0)
    time.add_split("a", 0)
    time.add_split("b", 0)
    time.observe("a", 100, 1)
    assert time.finish_split("b", 2) == (Watermark(99),)


def test_a_silent_split_turns_idle_and_back() -> None:
    time = SplitWatermarks(0, idle_after=30, now=0)
    time.add_split("a", 0)
    time.add_split("b", 0)
    time.observe("a", 100, 20)
    assert time.idle_at() == 30
    assert time.on_time(29) == ()
    assert time.on_time(30) == (Watermark(99),)
    assert time.observe("a", 200, 40) == (Watermark(199),)
    assert time.observe("b", 150, 41) == ()
    assert time.observe("b", 260, 42) == ()
    assert time.observe("a", 300, 43) == (Watermark(259),)


def test_a_subtask_all_of_whose_splits_are_silent_is_idle() -> None:
    time = SplitWatermarks(0, idle_after=30, now=0)
    time.add_split("a", 0)
    time.add_split("b", 0)
    time.observe("a", 100, 1)
    time.observe("b", 50, 1)
    assert time.on_time(31) == (Watermark(99), IDLE)
    assert time.on_time(99) == ()
    assert time.idle_at() is None
    assert time.observe("b", 60, 100) == (ACTIVE,)
    assert time.observe("b", 110, 101) == (Watermark(109),)


def test_waiting_for_the_next_split_keeps_the_watermark_and_then_turns_idle() -> None:
    time = SplitWatermarks(0, idle_after=30, now=0)
    assert time.idle_at() == 30
    time.add_split("a", 5)
    time.observe("a", 100, 6)
    assert time.finish_split("a", 10) == ()
    assert time.on_time(39) == ()
    assert time.idle_at() == 40
    assert time.on_time(40) == (IDLE,)
    assert time.time == 99
    assert time.add_split("b", 50) == (ACTIVE,)
    assert time.observe("b", 70, 51) == ()
    assert time.observe("b", 170, 52) == (Watermark(169),)


def test_time_spent_blocked_is_not_silence() -> None:
    time = SplitWatermarks(0, idle_after=30, now=0)
    time.add_split("a", 0)
    time.observe("a", 100, 0)
    time.was_blocked(1000)
    assert time.on_time(1029) == ()
    assert time.idle_at() == 1030
    assert time.on_time(1030) == (IDLE,)


def test_without_idle_after_silence_holds_for_ever() -> None:
    time = SplitWatermarks(0, None, now=0)
    time.add_split("a", 0)
    assert time.idle_at() is None
    assert time.on_time(10**15) == ()


def test_a_restored_split_goes_on_where_it_was() -> None:
    time = SplitWatermarks(0, None, now=0)
    assert time.add_split("a", 0, reached=500) == (Watermark(499),)
    assert time.reached("a") == 500
    assert time.observe("a", 400, 1) == ()


def test_the_end_is_the_end_of_time_and_said_once() -> None:
    time = SplitWatermarks(0, idle_after=1, now=0)
    assert time.on_time(5) == (IDLE,)
    assert time.end() == (ACTIVE, Watermark(MAX_TIME))
    assert time.end() == ()
    assert time.idle_at() is None


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "finish", "observe", "wait"]),
            st.sampled_from("abc"),
            st.integers(0, 100),
        ),
        max_size=50,
    )
)
def test_watermarks_rise_and_never_pass_an_active_split(
    steps: list[tuple[str, str, int]],
) -> None:
    time = SplitWatermarks(5, 40, now=0)
    owned: dict[str, int] = {}
    now, last, status = 0, MIN_TIME, ACTIVE
    for what, split, number in steps:
        now += 1
        before = time.time
        if what == "add" and split not in owned:
            owned[split] = MIN_TIME
            said = time.add_split(split, now)
        elif what == "finish" and split in owned:
            del owned[split]
            said = time.finish_split(split, now)
        elif what == "observe" and split in owned:
            owned[split] = max(owned[split], number)
            said = time.observe(split, number, now)
        elif what == "wait":
            now += number
            said = time.on_time(now)
        else:
            continue
        for element in said:
            if isinstance(element, Watermark):
                assert element.time > last
                last = element.time
            else:
                assert element is not status
                status = element
        if what == "observe" and time.time > before:
            assert time.time <= owned[split] - 6
