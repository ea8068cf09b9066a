"""Processes that die in a job that may be restarted: others take their place, and the job goes on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from flowjob.core.restartable import GiveUp, Restart
from flowjob.errors import UserCodeFailed, WorkerLost
from flowjob.runtime.jobmanager.request import (
    JobEvent,
    JobResult,
    RestartsExhausted,
    WorkersLost,
    WorkersRestarted,
)
from flowjob.runtime.minicluster import run_local
from tests.runtime import fake_program

pytestmark = [pytest.mark.processes, pytest.mark.usefixtures("scratch")]


class Times:
    """Restarts so many times."""

    def __init__(self, left: int) -> None:
        self.left = left

    def next(self, time: float, chance: float) -> Restart | GiveUp:
        self.left -= 1
        return Restart(0.0) if self.left >= 0 else GiveUp("2 restarts did not help")


class Watched:
    """One run, with what was heard of it."""

    def __init__(self, does: dict[int, str], **more: Any) -> None:
        self.events: list[JobEvent] = []
        self.reports: list[bytes] = []
        self.does = does
        self.more = more

    def run(self) -> JobResult:
        return run_local(
            fake_program.FakeJob(does=self.does),  # type: ignore[arg-type]  # its planner takes it
            parallelism=2,
            planner="tests.runtime.fake_program",
            runner="tests.runtime.fake_program:FakeRunner",
            restarts=Times(2),
            on_event=self.events.append,
            on_report=lambda sink, data: self.reports.append(data),
            **self.more,
        )


def test_a_killed_slot_is_replaced_and_told_in_a_line() -> None:
    watched = Watched({1: "kill_itself_at_first"})
    assert watched.run().complete
    lost, again = watched.events
    assert isinstance(lost, WorkersLost)
    assert isinstance(again, WorkersRestarted)
    assert re.fullmatch(
        r"slot 1 \(pid \d+\) of taskmanager-1 was killed by signal 9 \(SIGKILL\); "
        r"restarted from the beginning in \d+\.\d s \(attempt 2\)",
        again.text,
    )


def test_splits_of_a_lost_slot_are_read_again_by_its_successor() -> None:
    watched = Watched({0: "fail_at_first"})
    watched.run()
    read = {r.split(b":")[1] for r in watched.reports}
    assert read == {b"0", b"1", b"2", b"3"}


def test_a_function_that_fails_again_and_again_ends_the_job_with_its_error() -> None:
    watched = Watched({1: "raise_user_error"})
    with pytest.raises(UserCodeFailed, match="ZeroDivisionError"):
        watched.run()
    *restarts, last = watched.events
    assert len(restarts) == 4
    assert isinstance(last, RestartsExhausted)
    assert last.text == (
        "ZeroDivisionError: division by zero in map (subtask 0); not restarted: 2 restarts did not help"
    )


def test_a_killed_taskmanager_is_replaced(scratch: Path) -> None:
    watched = Watched({1: "kill_its_taskmanager_at_first"}, taskmanagers=2)
    assert watched.run().complete
    assert re.match(r"taskmanager-\d \(pid \d+\) was killed", watched.events[-1].text)
    assert list(scratch.iterdir()) == []


def test_taskmanagers_that_die_whenever_they_are_used_end_the_job() -> None:
    watched = Watched({0: "kill_its_taskmanager"})
    with pytest.raises(WorkerLost, match="taskmanager-1"):
        watched.run()
