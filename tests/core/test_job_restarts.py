"""What a failure leads to when jobs may be restarted: whose slots are replaced, when, and what is never tried again."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    GaveUp,
    Instruction,
    JobShape,
    Lost,
    ReplaceTaskManager,
    ResetTasks,
    Restarted,
    Restarting,
    Run,
    SetDeadline,
    SlotExited,
    SlotFailed,
    SlotReady,
    SlotStarted,
    StartSlot,
    StopSlot,
    Succeeded,
    TaskFinished,
    TaskId,
    TaskManagerLost,
    TaskManagerRegistered,
    Tell,
    VertexShape,
    Wait,
)
from flowjob.core.job_machine import JobMachine, JobState
from flowjob.core.restartable import GiveUp, Restart

VERTICES = (VertexShape(0, "read", 2), VertexShape(1, "window", 2))
JOINED = JobShape(VERTICES)
APART = JobShape(VERTICES, regions=((0,), (1,)))
USER = ErrorInfo(ErrorKind.USER, "USER_CODE", "ZeroDivisionError")
PEER = ErrorInfo(ErrorKind.CONNECTION, "JOB_FAILED", "connection reset")
KILLED = "was killed by signal 9 (SIGKILL)"


@dataclass
class Times:
    """Restarts `left` times, each after `after` seconds."""

    left: int = 1
    after: float = 0.0
    asked: list[tuple[float, float]] = field(default_factory=list)

    def next(self, time: float, chance: float) -> Restart | GiveUp:
        self.asked.append((time, chance))
        self.left -= 1
        return Restart(self.after) if self.left >= 0 else GiveUp("tried often enough")


def feed(machine: JobMachine, *events: Event) -> list[Instruction]:
    return [i for e in events for i in machine.handle(e)]


def only(kind: type[Instruction], instructions: list[Instruction]) -> list[Instruction]:
    return [i for i in instructions if isinstance(i, kind)]


def bring_up(machine: JobMachine, *slots: int) -> list[Instruction]:
    """Has the slots of the current attempts started, ready and deployed."""
    made = feed(machine, *(SlotStarted(i, machine.attempt_of(i), 100 + i) for i in slots))
    for i in slots:
        made += machine.handle(SlotReady(i, machine.attempt_of(i), Address("h", i)))
    return made + feed(machine, *(Deployed(i, machine.attempt_of(i)) for i in slots))


def running(shape: JobShape = JOINED, restarts: Times | None = None) -> JobMachine:
    machine = JobMachine(shape, restarts=restarts or Times())
    machine.start()
    feed(machine, TaskManagerRegistered("a", 1), TaskManagerRegistered("b", 1))
    bring_up(machine, 0, 1)
    assert machine.state is JobState.RUNNING
    return machine


def test_a_killed_slot_has_all_slots_of_its_region_killed() -> None:
    machine = running()
    done = machine.handle(SlotExited(1, 1, KILLED))
    assert only(StopSlot, done) == [StopSlot("a", 0, 1, "it is being restarted", kill=True)]
    assert machine.state is JobState.RESTARTING
    assert only(StartSlot, done) == []


def test_the_next_attempt_starts_when_the_last_slot_is_gone() -> None:
    machine = running()
    machine.handle(SlotExited(1, 1, KILLED))
    tasks = (TaskId(0, 0), TaskId(1, 0), TaskId(0, 1), TaskId(1, 1))
    assert machine.handle(SlotExited(0, 1, "was killed")) == [
        CancelDeadline(Wait.CLEAR),
        ResetTasks((0, 1), tasks),
        SetDeadline(Wait.SLOT_READY, machine.timeouts.slot_ready),
        StartSlot("a", 0, 2),
        StartSlot("b", 1, 2),
    ]


def test_it_is_told_that_slots_are_replaced_and_when_they_run_again() -> None:
    machine = running()
    first = feed(machine, SlotExited(1, 1, KILLED), SlotExited(0, 1, "?"))
    told = only(Tell, first + bring_up(machine, 0, 1))
    restarting, restarted = (t.notice for t in told if isinstance(t, Tell))
    assert isinstance(restarting, Restarting)
    assert isinstance(restarted, Restarted)
    assert (restarted.attempt, restarted.cause) == (2, restarting.cause)
    assert isinstance(restarting.cause, Lost)
    assert restarting.cause.short == f"slot 1 (pid 101) of b {KILLED}"


def test_the_new_attempt_waits_for_the_pause_and_the_old_slots() -> None:
    for last in (SlotExited(0, 1, "?"), DeadlinePassed(Wait.PAUSE)):
        machine = running(restarts=Times(after=1.5))
        done = machine.handle(SlotExited(1, 1, KILLED))
        assert SetDeadline(Wait.PAUSE, 1.5) in done
        assert SetDeadline(Wait.CLEAR, machine.timeouts.clear) in done
        both = [SlotExited(0, 1, "?"), DeadlinePassed(Wait.PAUSE)]
        both.remove(last)
        assert only(StartSlot, feed(machine, *both)) == []
        assert len(only(StartSlot, machine.handle(last))) == 2


def test_the_strategy_is_asked_once_per_failure_with_its_moment() -> None:
    strategy = Times(left=5)
    machine = running(restarts=strategy)
    machine.handle(SlotExited(1, 1, KILLED), 17.0, 0.25)
    machine.handle(SlotFailed(0, 1, USER), 18.0, 0.5)
    assert strategy.asked == [(17.0, 0.25)]


def test_what_the_old_attempt_still_says_means_nothing() -> None:
    machine = running()
    feed(machine, SlotExited(1, 1, KILLED), SlotExited(0, 1, "?"))
    bring_up(machine, 0, 1)
    late = [
        SlotFailed(0, 1, USER),
        SlotExited(1, 1, KILLED),
        TaskFinished(0, 1, TaskId(0, 0)),
        Deployed(0, 1),
        SlotReady(1, 1, Address("h", 9)),
    ]
    assert feed(machine, *late) == []
    assert machine.state is JobState.RUNNING


def test_a_job_succeeds_after_a_restart() -> None:
    machine = running()
    machine.handle(TaskFinished(0, 1, TaskId(0, 0)))
    feed(machine, SlotExited(1, 1, KILLED), SlotExited(0, 1, "?"))
    bring_up(machine, 0, 1)
    tasks = sorted(JOINED.tasks())
    feed(machine, *(TaskFinished(t.subtask, 2, t) for t in tasks[1:]))
    assert machine.outcome is None, "what the lost attempt had finished does not count"
    machine.handle(TaskFinished(0, 2, tasks[0]))
    assert machine.outcome == Succeeded()


def test_when_the_strategy_gives_up_the_job_ends_with_the_last_failure() -> None:
    machine = running(restarts=Times(left=0))
    done = machine.handle(SlotFailed(1, 1, USER))
    assert only(Tell, done) == [
        Tell(GaveUp(Failed(USER, "slot 1 (pid 101) of b"), "tried often enough"))
    ]
    finish = feed(machine, SlotExited(0, 1, "?"), SlotExited(1, 1, "?"))[-1]
    assert isinstance(finish, Finish)
    assert finish.outcome == Failed(USER, "slot 1 (pid 101) of b")


@pytest.mark.parametrize(
    "error",
    [
        ErrorInfo(ErrorKind.REFUSED, "PLAN", "another plan"),
        ErrorInfo(ErrorKind.ENGINE, "PLAN", "this connection cannot be used so"),
        ErrorInfo(ErrorKind.ENGINE, "MALFORMED_INPUT", "row 3"),
        ErrorInfo(ErrorKind.ENGINE, "LOST_DATA", "a file is gone"),
    ],
)
def test_what_would_fail_again_or_must_be_seen_is_not_restarted(error: ErrorInfo) -> None:
    strategy = Times(left=9)
    machine = running(restarts=strategy)
    machine.handle(SlotFailed(0, 1, error))
    assert machine.outcome == Failed(error, "slot 0 (pid 100) of a")
    assert strategy.asked == []


def test_an_error_before_anything_ever_ran_is_not_restarted_and_a_death_is() -> None:
    for event, restarts in ((SlotFailed(0, 1, USER), False), (SlotExited(0, 1, KILLED), True)):
        machine = JobMachine(JOINED, restarts=Times())
        machine.start()
        machine.handle(TaskManagerRegistered("a", 2))
        machine.handle(event)
        assert (machine.state is JobState.RESTARTING) == restarts


def test_an_error_while_starting_again_is_the_next_failure() -> None:
    machine = running(restarts=Times(left=2))
    feed(machine, SlotExited(1, 1, KILLED), SlotExited(0, 1, "?"), SlotFailed(0, 2, USER))
    assert machine.attempt_of(0) == 2
    feed(machine, SlotExited(0, 2, "?"), SlotExited(1, 2, "?"))
    assert machine.attempt_of(0) == 3


def test_a_lost_connection_restarts_when_no_cause_shows_up() -> None:
    machine = running()
    assert only(StopSlot, machine.handle(SlotFailed(0, 1, PEER))) == []
    assert len(only(StopSlot, machine.handle(DeadlinePassed(Wait.ROOT_CAUSE)))) == 2


def test_the_reason_of_a_lost_connection_is_what_is_told() -> None:
    machine = running()
    machine.handle(SlotFailed(0, 1, PEER))
    done = machine.handle(SlotExited(1, 1, KILLED))
    assert CancelDeadline(Wait.ROOT_CAUSE) in done
    (told,) = only(Tell, done)
    assert isinstance(told, Tell)
    assert isinstance(told.notice, Restarting)
    assert isinstance(told.notice.cause, Lost)


def test_a_lost_taskmanager_is_replaced_and_waited_for() -> None:
    machine = running()
    feed(machine, TaskManagerLost("b", KILLED, fatal=True))
    done = machine.handle(SlotExited(0, 1, "?"))
    assert done[-2:] == [
        ReplaceTaskManager("b"),
        SetDeadline(Wait.REGISTRATION, machine.timeouts.registration),
    ]
    assert machine.state is JobState.RESTARTING
    done = machine.handle(TaskManagerRegistered("b", 1))
    assert only(StartSlot, done) == [StartSlot("a", 0, 2), StartSlot("b", 1, 2)]


def test_slots_go_to_the_taskmanagers_that_are_left_where_there_is_room() -> None:
    machine = JobMachine(JOINED, restarts=Times())
    machine.start()
    feed(machine, TaskManagerRegistered("a", 2), TaskManagerRegistered("c", 0))
    bring_up(machine, 0, 1)
    feed(machine, TaskManagerRegistered("b", 2))
    done = machine.handle(TaskManagerLost("a", KILLED, fatal=True))
    assert only(StartSlot, done) == [StartSlot("b", 0, 2), StartSlot("b", 1, 2)]


def test_a_replacement_that_does_not_come_up_is_the_next_failure() -> None:
    machine = running(restarts=Times(left=2))
    feed(machine, TaskManagerLost("b", KILLED, fatal=True), SlotExited(0, 1, "?"))
    done = machine.handle(TaskManagerLost("b", "exited with status 1", fatal=True))
    assert ReplaceTaskManager("b") in done
    machine.handle(TaskManagerLost("b", "exited with status 1", fatal=True))
    assert machine.outcome == Lost("b exited with status 1 before it had registered")


def test_a_taskmanager_that_comes_back_has_lost_its_slots() -> None:
    machine = running()
    done = machine.handle(TaskManagerRegistered("b", 1))
    assert [s.slot for s in only(StopSlot, done) if isinstance(s, StopSlot)] == [0]
    done = machine.handle(SlotExited(0, 1, "?"))
    assert only(StartSlot, done) == [StartSlot("a", 0, 2), StartSlot("b", 1, 2)]
    assert only(ReplaceTaskManager, done) == []


def test_slots_that_a_kill_does_not_end_have_their_taskmanager_replaced() -> None:
    machine = running()
    machine.handle(SlotExited(1, 1, KILLED))
    done = machine.handle(DeadlinePassed(Wait.CLEAR))
    assert only(ReplaceTaskManager, done) == [ReplaceTaskManager("a")]
    assert only(StartSlot, done) == []
    done = machine.handle(TaskManagerRegistered("a", 1))
    assert only(StartSlot, done) == [StartSlot("b", 0, 2), StartSlot("a", 1, 2)]


def test_cancelling_a_restart_ends_the_job() -> None:
    machine = running(restarts=Times(after=60.0))
    machine.handle(SlotExited(1, 1, KILLED))
    done = machine.handle(CancelRequested("Ctrl-C"))
    assert CancelDeadline(Wait.PAUSE) in done
    finish = machine.handle(SlotExited(0, 1, "?"))
    assert finish[-1] == Finish(Cancelled("Ctrl-C"))


def test_enumerators_that_fail_restart_the_regions_that_read_from_them() -> None:
    machine = running()
    machine.handle(EnumeratorFailed(0, USER))
    assert machine.state is JobState.RESTARTING


def test_regions_that_exchange_nothing_are_restarted_alone() -> None:
    machine = running(APART)
    done = machine.handle(SlotExited(1, 1, KILLED))
    assert only(StopSlot, done) == []
    assert ResetTasks((1,), (TaskId(0, 1), TaskId(1, 1))) in done
    assert only(StartSlot, done) == [StartSlot("b", 1, 2)]
    assert (machine.attempt_of(0), machine.attempt_of(1)) == (1, 2)
    again = bring_up(machine, 1)
    deploys = [d for d in again if isinstance(d, Deploy)]
    assert [(d.slot, len(d.places)) for d in deploys] == [(1, 2)]
    assert only(Run, again) == [Run("b", 1, 2)]


def test_a_finished_region_stays_finished_while_another_starts_again() -> None:
    machine = running(APART)
    feed(machine, *(TaskFinished(0, 1, t) for t in APART.tasks_of(0)))
    machine.handle(SlotExited(1, 1, KILLED))
    bring_up(machine, 1)
    feed(machine, *(TaskFinished(1, 2, t) for t in APART.tasks_of(1)))
    assert machine.outcome == Succeeded()


slots = st.integers(0, 1)
attempts = st.integers(1, 4)
names = st.sampled_from(["a", "b", "c"])
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(TaskManagerRegistered, names, st.integers(0, 2)),
    st.builds(TaskManagerLost, names, st.just("left"), st.booleans()),
    st.builds(SlotReady, slots, attempts, st.just(Address("h", 1))),
    st.builds(SlotFailed, slots, attempts, st.sampled_from([USER, PEER])),
    st.builds(Deployed, slots, attempts),
    st.builds(SlotExited, slots, attempts, st.just("exited")),
    st.builds(DeadlinePassed, st.sampled_from(Wait), slots),
)


class Workers:
    """TaskManagers and slots that do what they are told, as a check of what they are told."""

    def __init__(self) -> None:
        self.living: dict[int, tuple[str, int]] = {}
        self.waits: set[tuple[Wait, int]] = set()
        self.finished = 0

    def obey(self, instructions: list[Instruction]) -> list[Event]:
        answers: list[Event] = []
        for instruction in instructions:
            assert not self.finished, "something comes after the end"
            match instruction:
                case StartSlot(name, slot, attempt):
                    assert slot not in self.living, "two slots of one number"
                    self.living[slot] = name, attempt
                    answers.append(SlotReady(slot, attempt, Address("h", slot)))
                case Deploy(slot=slot, attempt=attempt):
                    answers.append(Deployed(slot, attempt))
                case Run(slot=slot, attempt=attempt):
                    assert self.living[slot][1] == attempt
                case StopSlot(_, slot, attempt, _, _):
                    if self.living.get(slot, ("", 0))[1] == attempt:
                        del self.living[slot]
                    answers.append(SlotExited(slot, attempt, "stopped"))
                case ReplaceTaskManager(name):
                    answers += [TaskManagerRegistered(name, 2)]
                case SetDeadline(wait, _, region):
                    self.waits.add((wait, region))
                case CancelDeadline(wait, region):
                    self.waits.discard((wait, region))
                case Finish():
                    self.finished += 1
        return answers

    def happens(self, event: Event) -> None:
        match event:
            case SlotExited(slot, attempt):
                if self.living.get(slot, ("", 0))[1] == attempt:
                    del self.living[slot]
            case TaskManagerLost(name) | TaskManagerRegistered(name):
                self.living = {s: at for s, at in self.living.items() if at[0] != name}
            case DeadlinePassed(wait, region) if (wait, region) in self.waits:
                self.waits.remove((wait, region))


@given(st.sampled_from([JOINED, APART]), st.lists(events, max_size=20))
@settings(deadline=None, max_examples=200)
def test_whatever_happens_slots_are_never_doubled_and_the_job_runs_again_or_ends(
    shape: JobShape, strange: list[Event]
) -> None:
    machine = JobMachine(shape, restarts=Times(left=4, after=1.0))
    workers = Workers()
    todo = workers.obey(machine.start())
    for event in [TaskManagerRegistered("a", 2), *strange]:
        todo.append(event)
        while todo:
            happened = todo.pop(0)
            workers.happens(happened)
            todo += workers.obey(machine.handle(happened))
    for _ in range(10):  # time passes
        todo += [DeadlinePassed(*wait) for wait in sorted(workers.waits, key=str)]
        while todo:
            workers.happens(todo[0])
            todo += workers.obey(machine.handle(todo.pop(0)))
    assert machine.state in (JobState.RUNNING, JobState.ENDED)
    assert workers.finished == (machine.state is JobState.ENDED)
    assert (machine.state is JobState.RUNNING) == (len(workers.living) == 2)
