"""The log of a job has what its TaskManagers say, and how slots come and go; of all of it not too much."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from flowjob.cluster.job_details import LogQuery
from flowjob.core.job_events import (
    Address,
    Event,
    SlotExited,
    SlotReady,
    SlotStarted,
    TaskManagerLost,
    TaskManagerRegistered,
)
from flowjob.runtime import messages as m
from flowjob.runtime.observing.observer import Observer
from flowjob.runtime.observing.process_lines import line_of
from flowjob.runtime.real.telling_lines import TellingHandler
from flowjob.runtime.said_lines import LONGEST, MOST_LINES, SaidLines
from flowjob.runtime.wire import SaidLine

AT = "2026-01-01T00:00:00.000Z"


class Standing:
    """A clock that stands still."""

    def wall(self) -> int:
        return 1_767_225_600_000_000

    def monotonic(self) -> float:
        return 0.0


def observer() -> Observer:
    env: Any = type("World", (), {"clock": Standing()})()
    return Observer(env)


@pytest.mark.parametrize(
    ("event", "level", "text", "slot"),
    [
        (TaskManagerRegistered("tm-1", 4), "INFO", "tm-1 has come, with 4 slots", None),
        (TaskManagerLost("tm-1", "was silent"), "WARNING", "tm-1 is gone: it was silent", None),
        (SlotStarted(3, 1, 77), "INFO", "slot 3 has begun: pid 77", 3),
        (SlotReady(3, 1, Address("h", 9)), "INFO", "slot 3 is ready: it listens at h:9", 3),
        (SlotExited(3, 1, "exited with status 0"), "INFO", "slot 3 exited with status 0", 3),
        (SlotExited(3, 1, "was killed by signal 9 (SIGKILL)"), "WARNING",
         "slot 3 was killed by signal 9 (SIGKILL)", 3),
    ],
)  # fmt: skip
def test_processes_that_come_and_go_are_told_of_with_where_they_are(
    event: Event, level: str, text: str, slot: int | None
) -> None:
    line = line_of(event, AT, lambda number: "tm-1")
    assert line is not None
    assert (line.level, line.message, line.slot) == (level, text, slot)
    assert (line.source, line.task_manager) == ("TaskManager", "tm-1")


def test_what_a_taskmanager_says_is_in_the_log_with_its_time_slot_and_attempt() -> None:
    seen = observer()
    failed = "slot broke\nTraceback (most recent call last):\n  boom"
    lines = [
        SaidLine(1_767_225_600_000_000, "WARNING", "flowjob.taskmanager", "lost it"),
        SaidLine(1_767_225_601_000_000, "ERROR", "flowjob.x", failed, 2, 3),
    ]
    seen.said("tm-0", m.TaskManagerAlive(lines=lines))
    first, second = seen.logs.answer(LogQuery(source="TaskManager")).lines
    assert (first.level, first.message, first.task_manager) == ("WARNING", "lost it", "tm-0")
    assert (first.at, first.slot, first.attempt) == (AT, None, None)
    assert (second.message, second.slot, second.attempt) == ("slot broke", 2, 3)
    assert second.traceback == "Traceback (most recent call last):\n  boom"


def test_lines_that_a_taskmanager_has_dropped_are_counted_once() -> None:
    seen = observer()
    for dropped in (5, 5, 8, 2):  # then it was started again
        seen.said("tm-0", m.TaskManagerAlive(dropped=dropped))
    assert seen.logs.dropped == 10


def test_a_taskmanager_that_cannot_tell_keeps_the_first_lines_and_counts_the_others() -> None:
    said = SaidLines()
    for number in range(MOST_LINES + 7):
        said.add(SaidLine(number, "INFO", "x", "y" * (LONGEST + 9)))
    lines = said.take()
    assert (len(lines), said.dropped, lines[0].at) == (MOST_LINES, 7, 0)
    assert len(lines[0].text) == LONGEST + 1
    assert said.take() == []


def test_warnings_of_its_process_are_what_a_taskmanager_says() -> None:
    said = SaidLines()
    logger = logging.Logger("flowjob.somewhere")
    logger.addHandler(TellingHandler(said))
    logger.info("nothing")
    try:
        raise ValueError("boom")
    except ValueError:
        logger.exception("it broke %d times", 2)
    (line,) = said.take()
    assert (line.level, line.logger) == ("ERROR", "flowjob.somewhere")
    assert line.text.startswith("it broke 2 times\nTraceback (most recent call last):")


def test_lines_travel_with_the_beat_of_a_taskmanager() -> None:
    beat = m.TaskManagerAlive(lines=[SaidLine(1, "INFO", "l", "t", 2, 3)], dropped=4)
    assert m.to_jobmanager.decode(m.to_jobmanager.encode(beat)) == beat
