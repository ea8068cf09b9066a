"""Checkpoints, failures, changes and log lines, as they are remembered."""

from __future__ import annotations

import asyncio
import dataclasses

import msgspec.structs
import pytest

from flowjob.cluster.job_details import LogLine, LogQuery
from flowjob.core.checkpoint_records import CheckpointRecord, Status, TaskAck
from flowjob.core.coordinator_events import Kind
from flowjob.core.failures import ErrorInfo, ErrorKind
from flowjob.core.job_events import Cancelled, Failed, Lost, TaskId
from flowjob.runtime.observing import checkpoint_memory, exception_memory, log_ring
from flowjob.runtime.observing.change_memory import ChangeMemory
from flowjob.runtime.observing.checkpoint_memory import CheckpointMemory, Layout
from flowjob.runtime.observing.exception_memory import At, ExceptionMemory
from flowjob.runtime.observing.log_ring import LogRing
from flowjob.testing import MockClock
from flowjob.testing.virtual_time import run_virtually
from tests.runtime.observing.graphs import taken, two_vertices, wide

GRAPH = two_vertices()
LAYOUT = Layout(GRAPH)
SOURCE, SINK = (vertex.id for vertex in GRAPH.vertices)


def record(id: int, status: Status = Status.RUNNING, acks: int = 0) -> CheckpointRecord:
    said = tuple(TaskAck(TaskId(SOURCE, i), 0.5 + i) for i in range(acks))
    return CheckpointRecord(id, Kind.CHECKPOINT, status, 100.0, 4.0, 4, said)


def test_a_checkpoint_is_remembered_with_what_each_subtask_has_said() -> None:
    memory = CheckpointMemory()
    memory.sync([record(7)], LAYOUT, 2, 1_000_000)
    memory.heard(7, taken(SINK, 1, sync_ms=5, bytes=100, in_flight_bytes=3), LAYOUT, 2, 101.0)
    memory.heard(7, taken(SOURCE, 0, sync_ms=2, bytes=11), LAYOUT, 2, 102.0)
    memory.heard(7, taken(SOURCE, 0, sync_ms=99, bytes=99), LAYOUT, 2, 103.0)  # said already
    (ended,) = memory.sync([record(7, Status.COMPLETED, acks=2)], LAYOUT, 2, 1_000_000)
    sums = memory.sums(ended)
    assert (sums.sync_ms, sums.bytes, sums.in_flight_bytes, sums.last) == (5, 111, 3, 102.0)
    assert (ended.triggered, ended.acknowledged, ended.last_after) == (101_000_000, 2, 1.5)
    assert (memory.triggered, memory.completed, memory.newest_complete) == (1, 1, ended)
    assert memory.sync([record(7, Status.COMPLETED, acks=2)], LAYOUT, 2, 0) == []


def test_what_is_under_way_when_a_tenure_ends_was_called_off() -> None:
    memory = CheckpointMemory()
    memory.sync([record(1, Status.FAILED), record(2)], LAYOUT, 1, 0)
    memory.abandon("it is gone")
    found = memory.find(2)
    assert found is not None
    assert found.record is not None
    assert (found.record.status, found.record.reason) == (Status.ABORTED, "it is gone")
    assert (memory.failed, memory.aborted) == (1, 1)


def test_only_so_many_checkpoints_are_remembered() -> None:
    memory = CheckpointMemory()
    for id in range(1, 200):
        memory.sync([record(id, Status.COMPLETED)], LAYOUT, 1, 0)
    assert [e.id for e in memory.entries()] == list(range(199, 199 - checkpoint_memory.KEPT, -1))
    assert memory.completed == 199


def test_figures_of_subtasks_are_dropped_before_their_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_memory, "SUBTASK_ROWS", 3 * LAYOUT.rows)
    memory = CheckpointMemory()
    for id in range(1, 8):
        memory.heard(id, taken(SINK, 1, sync_ms=id, bytes=10), LAYOUT, 1, 1.0)
        memory.sync([record(id, Status.COMPLETED)], LAYOUT, 1, 0)
        assert memory.rows <= 3 * LAYOUT.rows
    oldest, newest = memory.find(1), memory.find(7)
    assert oldest is not None
    assert newest is not None
    assert oldest.parts is None
    assert (memory.sums(oldest).sync_ms, memory.sums(oldest).bytes) == (1, 10)
    assert newest.parts is not None


def test_checkpoints_of_200_vertices_with_128_subtasks_take_five_megabytes() -> None:
    layout = Layout(wide(200, 128))
    memory = CheckpointMemory()
    for id in range(1, 20):
        memory.heard(id, taken(0, 0, bytes=1), layout, 1, 1.0)
        memory.sync([record(id, Status.COMPLETED)], layout, 1, 0)
    assert memory.rows * 48 <= 5_000_000


USER = ErrorInfo(
    ErrorKind.USER,
    "USER_CODE",
    "ZeroDivisionError: division by zero",
    "the user's frames",
    "show n",
    "Row(1)",
    1,
)
PEER = ErrorInfo(ErrorKind.CONNECTION, "CONNECTION", "lost slot 2")
AT = At("now", 3, 1, "tm-1")


def failures() -> tuple[ExceptionMemory, list[str]]:
    told: list[str] = []
    return ExceptionMemory(lambda facts: told.append(facts.text)), told


def test_an_error_becomes_the_cause_of_a_restart_when_the_job_machine_says_so() -> None:
    memory, told = failures()
    memory.reported(USER, AT, GRAPH)
    memory.judged(Failed(USER, "slot 1"), "Restarted", AT, GRAPH)
    (facts,) = memory.newest_first()
    assert (facts.sequence, facts.kind, facts.code, facts.result) == (
        1,
        "User",
        "USER_CODE",
        "Restarted",
    )
    assert (facts.traceback, facts.row, facts.subtask) == ("the user's frames", "Row(1)", 1)
    assert (facts.attempt, facts.slot, facts.task_manager) == (3, 1, "tm-1")
    assert len(told) == 1


def test_errors_that_lead_to_nothing_are_symptoms_and_only_a_few_of_them_are_kept() -> None:
    memory, _ = failures()
    for _ in range(50):
        memory.reported(dataclasses.replace(PEER), AT, GRAPH)
    memory.judged(
        Lost("slot 2 was killed; last output: …", "slot 2 was killed"), "Restarted", AT, GRAPH
    )
    newest, *symptoms = memory.newest_first()
    assert (newest.kind, newest.text, newest.result) == ("Lost", "slot 2 was killed", "Restarted")
    assert [s.result for s in symptoms] == ["Symptom"] * exception_memory.MOST_SYMPTOMS


def test_a_cancellation_is_no_failure_and_old_ones_are_dropped() -> None:
    memory, _ = failures()
    memory.judged(Cancelled("somebody wants it"), "Ended", AT, GRAPH)
    assert memory.count == 0
    for _ in range(exception_memory.KEPT + 5):
        memory.judged(Lost("x" * 100_000), "Restarted", AT, GRAPH)
    kept = memory.newest_first()
    assert (len(kept), memory.dropped) == (exception_memory.KEPT, 5)
    assert all(len(facts.message) <= exception_memory.LONGEST for facts in kept)


def test_changes_are_followed_by_number_and_who_comes_too_late_is_told() -> None:
    memory = ChangeMemory()
    for number in range(600):
        memory.add("now", "note", str(number))
    assert memory.answer(598).changes[0].text == "598"
    assert (memory.answer(600).changes, memory.answer(600).next) == ([], 600)
    assert memory.answer(3).missed
    assert not memory.answer(None).missed
    assert memory.answer(7_000).changes == []  # of another life of the JobManager


def line(message: str, **more: object) -> LogLine:
    return LogLine(**{"sequence": 0, "at": "now", "message": message, **more})  # type: ignore[arg-type]


def test_lines_are_read_from_the_end_and_followed_from_there() -> None:
    ring = LogRing()
    ring.add("a", [line(str(i)) for i in range(10)], 0.0)
    tail = ring.answer(LogQuery(limit=3))
    assert [x.message for x in tail.lines] == ["7", "8", "9"]
    assert (tail.first, tail.next) == (1, 10)
    ring.add("a", [line("new")], 0.0)
    more = ring.answer(LogQuery(after=tail.next))
    assert [x.sequence for x in more.lines] == [11]
    pages = ring.answer(LogQuery(after=0, limit=4))
    assert ([x.sequence for x in pages.lines], pages.next) == ([1, 2, 3, 4], 4)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (LogQuery(level="WARNING"), ["c"]),
        (LogQuery(vertex=1), ["b", "c"]),
        (LogQuery(vertex=1, subtask=2), ["c"]),
        (LogQuery(source="Slot"), ["b"]),
        (LogQuery(text="A"), ["a"]),
    ],
)
def test_only_lines_that_are_asked_for_are_given(query: LogQuery, found: list[str]) -> None:
    ring = LogRing()
    ring.add(
        "x",
        [
            line("a"),
            line("b", vertex=1, source="Slot"),
            line("c", vertex=1, subtask=2, level="ERROR"),
        ],
        0.0,
    )
    assert [x.message for x in ring.answer(query).lines] == found
    behind = ring.answer(msgspec.structs.replace(query, after=0))
    assert [x.message for x in behind.lines] == found
    assert behind.next == 3  # the others were looked at, too


def test_one_that_prints_without_end_does_not_push_out_what_others_say() -> None:
    ring = LogRing()
    ring.add("loud", [line("x")] * 50_000, 0.0)
    ring.add("quiet", [line("hello")], 0.0)
    kept = ring.answer(LogQuery(after=0, limit=1))
    assert kept.dropped == 50_000 - int(log_ring.AT_ONCE)
    assert ring.answer(LogQuery(limit=1)).lines[0].message == "hello"
    ring.add("loud", [line("x")] * 1000, 1.0)  # a second later
    assert ring.answer(LogQuery()).next == int(log_ring.AT_ONCE) + 1 + int(log_ring.PER_SECOND)


def test_lines_take_four_megabytes_however_long_they_are() -> None:
    ring = LogRing()
    ring.redact = lambda text: text
    ring.add("a", [line("y" * 100_000)] * 1_500, 0.0)
    assert ring.weight <= log_ring.BUDGET
    assert len(ring.answer(LogQuery(limit=1)).lines[0].message) == log_ring.LONGEST + 1


def test_who_listens_is_woken_and_else_waits_so_long() -> None:
    async def scenario() -> None:
        ring, clock = LogRing(), MockClock()
        listening = asyncio.ensure_future(ring.bell.listen(clock, 10.0))
        await asyncio.sleep(0)
        ring.add("a", [line("new")], 0.0)
        began = clock.monotonic()
        await listening
        assert clock.monotonic() == began
        await ring.bell.listen(clock, 10.0)
        assert clock.monotonic() == began + 10.0

    run_virtually(scenario())


def test_secrets_are_in_no_line_and_lines_can_be_written_down_as_they_are_taken() -> None:
    ring, written = LogRing(), list[LogLine]()
    ring.also = written.append
    ring.add(
        "a", [LogLine(sequence=0, at="", message="token=abcd1234", traceback="x://u:p@h")], 0.0
    )
    (kept,) = ring.answer(LogQuery()).lines
    assert (kept.message, kept.traceback) == ("token=[redacted]", "x://[redacted]@h")
    assert written == [kept]
