"""Window assigners and triggers as users declare them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flowjob import triggers
from flowjob.windows import (
    GLOBAL_SPAN,
    Window,
    WindowAssigner,
    count_window,
    global_window,
    pane_size,
    session,
    sliding,
    tumbling,
)

HOUR = timedelta(hours=1)
MICRO = timedelta(microseconds=1)


def test_a_row_is_in_the_tumbling_window_that_begins_at_or_before_it() -> None:
    assert tumbling(MICRO * 10).assign(19) == ((10, 20),)
    assert tumbling(MICRO * 10).assign(-1) == ((-10, 0),)
    assert tumbling(MICRO * 10, MICRO * 3).assign(12) == ((3, 13),)


def test_a_row_is_in_each_sliding_window_that_covers_it() -> None:
    assert sliding(MICRO * 10, MICRO * 4).assign(9) == ((0, 10), (4, 14), (8, 18))
    assert sliding(MICRO * 4, MICRO * 10).assign(5) == ()


def test_panes_divide_size_and_slide() -> None:
    assert pane_size(sliding(MICRO * 15, MICRO * 10)) == 5
    assert pane_size(tumbling(MICRO * 15)) == 15


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: tumbling(3600), r"tumbling\(size=…\) takes a timedelta"),
        (lambda: tumbling(timedelta(0)), "must be longer than zero"),
        (lambda: tumbling(HOUR, HOUR), "must be shorter than 1:00:00"),
        (lambda: tumbling(HOUR, time="wall"), '"event" or "processing", got \'wall\''),
        (lambda: sliding(HOUR, -HOUR), "must be longer than zero"),
        (lambda: session(gap=5), r"session\(gap=…\) takes a timedelta"),
        (lambda: count_window(0), "must be at least 1"),
        (lambda: count_window(2.5), "takes a number of rows"),
        (lambda: triggers.count(True), "takes a number of rows"),
        (lambda: triggers.early(every=1), r"early\(every=…\) takes a timedelta"),
        (lambda: triggers.continuous(HOUR, time="x"), '"event" or "processing"'),
        (lambda: triggers.purging(5), "takes a trigger"),
    ],
)
def test_wrong_arguments_are_refused_with_what_is_wanted(
    declare: Callable[[], Any], message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        declare()


def test_declarations_read_as_they_were_written() -> None:
    shown = [
        tumbling(HOUR),
        sliding(HOUR, timedelta(minutes=5), time="processing"),
        session(gap=HOUR),
        global_window(),
        count_window(3, 2),
        triggers.purging(triggers.count(5)),
        triggers.early(every=timedelta(seconds=1)),
    ]
    assert [str(s) for s in shown] == [
        "tumbling(1:00:00)",
        'sliding(1:00:00, 0:05:00, time="processing")',
        "session(1:00:00)",
        "global_window()",
        "count_window(3, 2)",
        "purging(count(5))",
        "early(every=0:00:01)",
    ]


def test_declarations_of_ones_own_read_the_same_in_every_process() -> None:
    """Plans are compared as text, between the processes of a job and with those of snapshots."""

    class Custom(triggers.Trigger):
        def on_row(self, row: Any, at: int, ctx: Any) -> triggers.TriggerResult:
            return triggers.FIRE

    @dataclass(frozen=True)
    class Every(Custom):
        n: int

    class Mine(WindowAssigner):
        def assign(self, time: int) -> list[Any]:
            return [GLOBAL_SPAN]

    assert [str(Custom()), str(triggers.purging(Custom())), str(Mine())] == [
        "Custom",
        "purging(Custom)",
        "Mine",
    ]
    assert str(Every(3)).endswith("Every(n=3)")


def test_only_custom_triggers_say_that_they_run_row_by_row() -> None:
    class Custom(triggers.Trigger):
        def on_row(self, row: Any, at: int, ctx: Any) -> triggers.TriggerResult:
            return triggers.FIRE

    assert Custom().row_wise
    assert triggers.purging(Custom()).row_wise
    assert not triggers.early(every=HOUR).row_wise


def test_a_window_shows_datetimes_and_none_without_bounds() -> None:
    window = Window.of((0, 1_000_000), "k")
    assert window == Window(
        datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), "k"
    )
    assert Window.of(GLOBAL_SPAN, 1) == Window(None, None, 1)
