"""Jobs in real processes: what a user gets in each way a job can end, and that nothing is left of it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from flowjob.errors import JobCancelled, JobFailed, UserCodeFailed, WorkerLost
from flowjob.runtime.jobmanager.request import Enough, JobResult
from flowjob.runtime.minicluster import run_local
from tests.runtime import fake_program

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("scratch")]


def run(
    does: dict[int, str] | None = None, *, job: dict[str, Any] | None = None, **more: Any
) -> JobResult:
    program = fake_program.FakeJob(does=does or {}, **(job or {}))
    return run_local(
        program,  # type: ignore[arg-type]  # its planner takes it
        parallelism=more.pop("parallelism", 2),
        planner="tests.runtime.fake_program",
        runner="tests.runtime.fake_program:FakeRunner",
        **more,
    )


def test_every_split_is_read_once_and_reported() -> None:
    reports: list[bytes] = []
    lines: list[str] = []
    result = run(
        job={"splits": 7},
        on_report=lambda sink, data: reports.append(data),
        on_output=lambda slot, stream, more: lines.extend(more),
    )
    assert sorted(r.split(b":")[1] for r in reports) == [str(i).encode() for i in range(7)]
    assert sum(values["rows_in"] for values in result.metrics.values()) == 7
    assert list(result.phases) == [
        "starting slots",
        "deploying tasks",
        "running",
        "stopping",
        "ended",
    ]
    assert "slot 0 closed" in lines


def test_dealt_splits_go_round_the_subtasks_of_several_taskmanagers() -> None:
    reports: list[bytes] = []
    run(job={"deal": True}, taskmanagers=2, on_report=lambda sink, data: reports.append(data))
    assert sorted(reports) == [b"0:0", b"0:2", b"1:1", b"1:3"]


def test_a_user_error_shows_the_users_traceback_operator_and_row() -> None:
    with pytest.raises(UserCodeFailed) as failed:
        run({1: "raise_user_error"})
    assert str(failed.value).splitlines()[-4:] == [
        "           ~~^~~" if "~~^~~" in str(failed.value) else "    return 1 / x",
        "ZeroDivisionError: division by zero",
        "in operator: map (subtask 0)",
        "row: {x: 0}",
    ]


def test_a_killed_slot_is_reported_with_its_signal_and_last_output_not_as_a_lost_connection() -> (
    None
):
    with pytest.raises(WorkerLost) as lost:
        run({0: "lose_peer", 1: "kill_itself"})
    assert "was killed by signal 9 (SIGKILL) while running read 2/2" in str(lost.value)
    assert "about to die" in str(lost.value)


def test_a_slot_that_ends_by_itself_is_a_lost_worker() -> None:
    with pytest.raises(WorkerLost, match="exited with status 3"):
        run({0: "exit"})


def test_sys_exit_in_a_function_fails_the_job() -> None:
    with pytest.raises(JobFailed, match="SystemExit: 4"):
        run({0: "sys_exit"})


def test_a_failing_enumerator_ends_the_job() -> None:
    with pytest.raises(UserCodeFailed, match="no numbers today") as failed:
        run(job={"splits": -1})
    assert failed.value.operator.endswith("finding its splits")
    assert "flowjob/runtime" not in failed.value.user_traceback


def test_a_plan_that_comes_out_differently_in_a_worker_is_refused_with_the_difference() -> None:
    with pytest.raises(JobFailed, match=r"builds another plan(.|\n)*-pid \d+\n\+pid \d+"):
        run(job={"drift": True})


def test_a_listener_that_has_seen_enough_ends_the_job_well() -> None:
    def stop(sink: str, data: bytes) -> None:
        raise Enough

    assert not run({0: "hang"}, on_report=stop).complete


def test_a_listener_that_fails_ends_the_job_with_its_own_exception() -> None:
    def broken(sink: str, data: bytes) -> None:
        raise BrokenPipeError("nobody reads this")

    with pytest.raises(BrokenPipeError, match="nobody reads this"):
        run({0: "hang"}, on_report=broken)


def test_a_job_runs_beside_a_running_loop() -> None:
    async def notebook() -> JobResult:
        return run()

    assert asyncio.run(notebook()).complete


def _when_running(act: Any) -> Any:
    """An on_report that calls `act` once, from another thread."""
    acted: list[threading.Timer] = []

    def on_report(sink: str, data: bytes) -> None:
        if not acted:
            acted.append(threading.Timer(0, act))
            acted[0].start()

    return on_report


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_and_slots_close_properly(number: signal.Signals) -> None:
    lines: list[str] = []
    before = signal.getsignal(number)
    with pytest.raises(JobCancelled, match=number.name):
        run(
            {0: "hang", 1: "hang"},
            on_report=_when_running(lambda: os.kill(os.getpid(), number)),
            on_output=lambda slot, stream, more: lines.extend(more),
        )
    assert {"slot 0 closed", "slot 1 closed"} <= set(lines)
    assert signal.getsignal(number) is before


def test_a_slot_in_a_function_that_never_returns_is_killed_on_cancel() -> None:
    began = time.monotonic()
    with pytest.raises(JobCancelled):
        run(
            {0: "block"},
            stop_grace=0.2,
            on_report=_when_running(lambda: os.kill(os.getpid(), signal.SIGINT)),
        )
    assert time.monotonic() - began < 60


def test_output_of_slots_is_complete_and_in_order() -> None:
    lines: list[str] = []
    run({0: "print_much"}, on_output=lambda slot, stream, more: lines.extend(more))
    assert [x for x in lines if x.startswith("line ")] == [f"line {i}" for i in range(20_000)]


def test_scratch_of_killed_slots_is_removed(scratch: Path) -> None:
    with pytest.raises(WorkerLost):
        run({0: "write_scratch", 1: "kill_itself"})
    assert list(scratch.iterdir()) == []


def test_a_slot_that_says_nothing_is_reported_with_its_stacks_and_lives(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines: list[str] = []

    def on_output(slot: int, stream: str, more: list[str]) -> None:
        lines.extend(more)
        if any("most recent call first" in line for line in lines) and "silent for" in caplog.text:
            raise Enough

    run({0: "block"}, stuck_after=0.2, stop_grace=0.2, on_output=on_output)
    assert "slot 0" in caplog.text


def test_a_result_tells_what_was_done_in_a_line() -> None:
    text = repr(run())
    assert text.startswith("<JobResult ")
    assert len(text) < 100
