"""A job's life: what starts when, what counts as the cause of an end, and that every end is complete."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.core.failures import ErrorInfo, ErrorKind
from flowjob.core.job_events import (
    Address,
    CancelDeadline,
    Cancelled,
    CancelRequested,
    DeadlinePassed,
    Deploy,
    Deployed,
    EnumeratorFailed,
    Event,
    Failed,
    Finish,
    Instruction,
    JobShape,
    Lost,
    Run,
    SetDeadline,
    SlotExited,
    SlotFailed,
    SlotReady,
    SlotStarted,
    StartEnumerators,
    StartSlot,
    StopSlot,
    Succeeded,
    TaskFinished,
    TaskId,
    TaskManagerLost,
    TaskManagerRegistered,
    TaskPlace,
    VertexShape,
    Wait,
)
from flowjob.core.job_machine import JobMachine, JobState
from flowjob.core.slot_placement import place_slots

SHAPE = JobShape(
    (VertexShape(0, "read", 2), VertexShape(1, "window", 2), VertexShape(2, "sink", 1))
)
USER = ErrorInfo(ErrorKind.USER, "USER_CODE", "ZeroDivisionError")
PEER = ErrorInfo(ErrorKind.CONNECTION, "JOB_FAILED", "connection reset")


def only(kind: type[Instruction], instructions: list[Instruction]) -> list[Instruction]:
    return [i for i in instructions if isinstance(i, kind)]


def feed(machine: JobMachine, *events: Event) -> list[Instruction]:
    return [i for e in events for i in machine.handle(e)]


def started() -> JobMachine:
    machine = JobMachine(SHAPE)
    machine.start()
    feed(machine, TaskManagerRegistered("a", 1), TaskManagerRegistered("b", 1))
    return machine


def ready() -> JobMachine:
    machine = started()
    feed(machine, *(SlotStarted(i, 1, 100 + i) for i in (0, 1)))
    feed(machine, *(SlotReady(i, 1, Address("h", i)) for i in (0, 1)))
    return machine


def running() -> JobMachine:
    machine = ready()
    feed(machine, Deployed(0, 1), Deployed(1, 1))
    assert machine.state is JobState.RUNNING
    return machine


def outcome_of(machine: JobMachine) -> object:
    """Ends it by the exit of all slots and returns what it said."""
    finish = only(Finish, feed(machine, *(SlotExited(i, 1, "exited") for i in (0, 1))))
    assert len(finish) == 1
    assert isinstance(finish[0], Finish)
    return finish[0].outcome


def test_it_looks_for_splits_and_waits_for_taskmanagers_first() -> None:
    assert JobMachine(SHAPE).start() == [StartEnumerators(), SetDeadline(Wait.REGISTRATION, 30.0)]


def test_slots_start_when_enough_are_offered_and_not_before() -> None:
    machine = JobMachine(SHAPE)
    machine.start()
    assert machine.handle(TaskManagerRegistered("a", 1)) == []
    assert machine.handle(TaskManagerRegistered("b", 5)) == [
        CancelDeadline(Wait.REGISTRATION),
        SetDeadline(Wait.SLOT_READY, 60.0),
        StartSlot("b", 0, 1),
        StartSlot("b", 1, 1),
    ]


def test_slots_spread_over_taskmanagers() -> None:
    assert list(place_slots(4, {"a": 2, "b": 2})) == ["a", "b", "a", "b"]
    assert list(place_slots(3, {"a": 1, "b": 3})) == ["b", "b", "a"]


def test_slot_i_runs_subtask_i_of_every_vertex_that_has_one() -> None:
    assert SHAPE.slots == 2
    assert SHAPE.tasks_of(0) == ((0, 0), (1, 0), (2, 0))
    assert SHAPE.tasks_of(1) == ((0, 1), (1, 1))


def test_tasks_are_deployed_when_all_slots_are_ready_and_told_where_all_tasks_are() -> None:
    machine = started()
    assert machine.handle(SlotReady(1, 1, Address("h", 1))) == []
    deploys = only(Deploy, machine.handle(SlotReady(0, 1, Address("h", 0))))
    assert [(d.slot, d.tasks) for d in deploys if isinstance(d, Deploy)] == [
        (0, SHAPE.tasks_of(0)),
        (1, SHAPE.tasks_of(1)),
    ]
    assert isinstance(deploys[0], Deploy)
    assert TaskPlace(TaskId(1, 1), 1, Address("h", 1)) in deploys[0].places
    assert len(deploys[0].places) == 5


def test_nothing_runs_before_everything_is_deployed() -> None:
    machine = ready()
    assert only(Run, machine.handle(Deployed(0, 1))) == []
    assert only(Run, machine.handle(Deployed(1, 1))) == [Run("a", 0, 1), Run("b", 1, 1)]


def test_a_job_succeeds_when_all_tasks_finished_and_all_slots_are_gone() -> None:
    machine = running()
    for task in SHAPE.tasks():
        last = machine.handle(TaskFinished(task.subtask, 1, task))
    assert len(only(StopSlot, last)) == 2
    assert only(Finish, last) == []
    assert outcome_of(machine) == Succeeded()


def test_a_task_is_finished_only_by_the_slot_that_runs_it() -> None:
    machine = running()
    for task in SHAPE.tasks():
        machine.handle(TaskFinished(1 - task.subtask, 1, task))
    assert machine.state is JobState.RUNNING


def test_a_job_without_vertices_succeeds_at_once() -> None:
    assert JobMachine(JobShape(())).start() == [Finish(Succeeded())]


@pytest.mark.parametrize("make", [started, ready, running])
def test_a_user_error_ends_the_job_in_any_phase(make: Callable[[], JobMachine]) -> None:
    machine = make()
    assert len(only(StopSlot, machine.handle(SlotFailed(1, 1, USER)))) == 2
    outcome = outcome_of(machine)
    assert isinstance(outcome, Failed)
    assert outcome.error is USER


def test_a_killed_slot_is_named_with_what_it_did_and_said_last() -> None:
    machine = running()
    machine.handle(SlotExited(1, 1, "was killed by signal 9 (SIGKILL)", ("so long",)))
    assert machine.outcome == Lost(
        "slot 1 (pid 101) of b was killed by signal 9 (SIGKILL) while running read 2/2, window 2/2; last output:"
        "\n  so long"
    )


def test_a_lost_connection_waits_for_its_cause() -> None:
    machine = running()
    assert machine.handle(SlotFailed(0, 1, PEER)) == [
        SetDeadline(Wait.ROOT_CAUSE, machine.timeouts.root_cause)
    ]
    machine.handle(SlotExited(1, 1, "was killed by signal 9 (SIGKILL)"))
    assert isinstance(machine.outcome, Lost)
    assert "slot 1" in machine.outcome.message


def test_a_lost_connection_without_a_cause_is_told_itself() -> None:
    machine = running()
    feed(machine, SlotFailed(0, 1, PEER), SlotFailed(1, 1, PEER), DeadlinePassed(Wait.ROOT_CAUSE))
    assert machine.outcome == Failed(PEER, "slot 0 (pid 100) of a")


def test_a_later_failure_does_not_replace_the_first() -> None:
    machine = running()
    feed(machine, SlotFailed(0, 1, USER), SlotExited(1, 1, "exited with status 1"))
    assert isinstance(machine.outcome, Failed)


def test_a_lost_taskmanager_takes_its_slots_with_it() -> None:
    machine = running()
    stops = only(
        StopSlot, machine.handle(TaskManagerLost("a", "was killed by signal 9 (SIGKILL)", True))
    )
    assert [s.slot for s in stops if isinstance(s, StopSlot)] == [1]
    assert isinstance(machine.outcome, Lost)
    assert "slot 0: read 1/2, window 1/2, sink 1/1" in machine.outcome.message
    assert only(Finish, machine.handle(SlotExited(1, 1, "exited")))


def test_a_taskmanager_may_come_and_go_before_the_job_has_slots() -> None:
    machine = JobMachine(SHAPE)
    machine.start()
    feed(machine, TaskManagerRegistered("a", 1), TaskManagerLost("a", "left"))
    assert machine.handle(TaskManagerRegistered("b", 1)) == []
    assert machine.state is JobState.WAITING


def test_a_taskmanager_that_dies_before_it_registers_is_not_waited_for() -> None:
    machine = JobMachine(SHAPE)
    machine.start()
    end = machine.handle(TaskManagerLost("a", "exited with status 1", fatal=True))
    assert only(Finish, end) == [Finish(Lost("a exited with status 1 before it had registered"))]


def test_an_enumerator_that_fails_ends_the_job_and_names_the_source() -> None:
    machine = running()
    machine.handle(EnumeratorFailed(0, USER))
    assert machine.outcome == Failed(USER, "finding the splits of read")


@pytest.mark.parametrize(
    ("make", "wait", "said"),
    [
        (
            lambda: JobMachine(SHAPE),
            Wait.REGISTRATION,
            "needs 2 slots; registered within 30 s: none",
        ),
        (
            started,
            Wait.SLOT_READY,
            "not ready within 60 s of being started: slot 0 of a, slot 1 of b",
        ),
        (
            ready,
            Wait.DEPLOY,
            "not deployed within 60 s: slot 0 (pid 100) of a, slot 1 (pid 101) of b",
        ),
    ],
)
def test_every_wait_ends_and_says_who_is_missing(
    make: Callable[[], JobMachine], wait: Wait, said: str
) -> None:
    machine = make()
    if wait is Wait.REGISTRATION:
        machine.start()
    machine.handle(DeadlinePassed(wait))
    assert isinstance(machine.outcome, Lost)
    assert said in machine.outcome.message


def test_what_does_not_stop_is_killed_and_then_given_up_and_named() -> None:
    machine = running()
    machine.handle(CancelRequested("Ctrl-C"))
    kills = machine.handle(DeadlinePassed(Wait.STOP))
    assert [k.kill for k in kills if isinstance(k, StopSlot)] == [True, True]
    machine.handle(SlotExited(0, 1, "was killed"))
    assert machine.handle(DeadlinePassed(Wait.KILL)) == [
        Finish(Cancelled("Ctrl-C"), ("slot 1 (pid 101) of b",))
    ]


def test_a_second_cancel_kills_at_once_and_a_third_does_nothing() -> None:
    machine = running()
    machine.handle(CancelRequested("Ctrl-C"))
    second = machine.handle(CancelRequested("Ctrl-C"))
    assert [k.kill for k in second if isinstance(k, StopSlot)] == [True, True]
    assert machine.handle(CancelRequested("Ctrl-C")) == []


def test_events_of_another_attempt_do_nothing() -> None:
    machine = running()
    assert feed(machine, SlotFailed(0, 2, USER), SlotExited(0, 0, "?"), Deployed(7, 1)) == []


slots = st.integers(0, 2)
attempts = st.sampled_from([1, 1, 1, 1, 2])
errors = st.sampled_from([USER, PEER])
names = st.sampled_from(["a", "b", "c"])
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(TaskManagerRegistered, names, st.integers(0, 3)),
    st.builds(TaskManagerLost, names, st.just("left"), st.booleans()),
    st.builds(SlotStarted, slots, attempts, st.integers(1, 9)),
    st.builds(SlotReady, slots, attempts, st.just(Address("h", 1))),
    st.builds(SlotFailed, slots, attempts, errors),
    st.builds(Deployed, slots, attempts),
    st.builds(TaskFinished, slots, attempts, st.sampled_from(sorted(SHAPE.tasks()))),
    st.builds(SlotExited, slots, attempts, st.just("exited")),
    st.builds(EnumeratorFailed, st.just(0), errors),
    st.builds(CancelRequested, st.just("Ctrl-C")),
    st.builds(DeadlinePassed, st.sampled_from(Wait)),
)
usual: list[Event] = [
    TaskManagerRegistered("a", 2),
    *(SlotReady(i, 1, Address("h", i)) for i in (0, 1)),
    *(Deployed(i, 1) for i in (0, 1)),
    *(TaskFinished(t.subtask, 1, t) for t in sorted(SHAPE.tasks())),
]


@given(st.integers(0, len(usual)), st.lists(events, max_size=25))
@settings(deadline=None, max_examples=300)
def test_whatever_happens_a_job_ends_once_with_every_slot_stopped(
    n: int, strange: list[Event]
) -> None:
    machine = JobMachine(SHAPE)
    done = machine.start()
    done += feed(machine, *usual[:n], *strange)
    waits: set[Wait] = set()
    for instruction in done:
        if isinstance(instruction, SetDeadline):
            waits.add(instruction.wait)
        elif isinstance(instruction, CancelDeadline):
            waits.discard(instruction.wait)
    if machine.state is not JobState.ENDED and not waits & {Wait.STOP, Wait.KILL}:
        done += machine.handle(CancelRequested("the test has seen enough"))
    for wait in (Wait.STOP, Wait.KILL):
        done += machine.handle(DeadlinePassed(wait))

    assert machine.state is JobState.ENDED
    assert only(Finish, done) == done[-1:]
    gone = {e.slot for e in strange if isinstance(e, SlotExited)}
    # One that registers anew has ended its slots.
    left = TaskManagerLost | TaskManagerRegistered
    lost = {e.taskmanager for e in strange if isinstance(e, left)}
    began = {(i.taskmanager, i.slot) for i in done if isinstance(i, StartSlot)}
    stopped = {(i.taskmanager, i.slot) for i in done if isinstance(i, StopSlot)}
    assert all(s in stopped or s[1] in gone or s[0] in lost for s in began)
    assert feed(machine, *strange) == []
