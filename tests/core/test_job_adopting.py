"""A JobManager that begins with what another one has left: what goes on, and how it is restarted later."""

from __future__ import annotations

from dataclasses import replace

from flowjob.core.adoption import Adopt, Restart
from flowjob.core.job_adopting import AdoptedSlot, Takeover
from flowjob.core.job_events import (
    Address,
    DeadlinePassed,
    Deployed,
    Finish,
    JobShape,
    Restarted,
    Restarting,
    SetDeadline,
    SlotExited,
    SlotReady,
    StartEnumerators,
    StartSlot,
    StopSlot,
    Succeeded,
    TaskFinished,
    TaskManagerLost,
    Tell,
    VertexShape,
    Wait,
)
from flowjob.core.job_machine import JobMachine, JobState
from flowjob.core.restart_strategy import FixedDelay

VERTICES = (VertexShape(0, "read", 2),)
ONE, TWO = JobShape(VERTICES), JobShape(VERTICES, ((0,), (1,)))
ALL = Takeover(
    (Adopt(0, 3, (("a", 0), ("b", 1)), {}, frozenset()),),
    (AdoptedSlot(0, "a", Address("a", 1), 70), AdoptedSlot(1, "b", Address("b", 1), 71)),
    {"a": 1, "b": 1},
)
LEAST = 2001


def machine(shape: JobShape = ONE) -> JobMachine:
    return JobMachine(shape, restarts=FixedDelay(attempts=3, delay=0.0))


def test_adopted_slots_run_at_once_and_nothing_is_waited_for() -> None:
    adopting = machine()
    assert adopting.start(LEAST, found=ALL) == [StartEnumerators()]
    assert adopting.state is JobState.RUNNING
    assert adopting.attempt_of(1) == 3
    assert adopting.slots[1].label == "slot 1 (pid 71) of b"


def test_they_end_the_job_like_others() -> None:
    adopting = machine()
    adopting.start(LEAST, found=ALL)
    for slot in (0, 1):
        (task,) = ONE.tasks_of(slot)
        adopting.handle(TaskFinished(slot, 3, task))
    assert adopting.outcome == Succeeded()


def test_a_run_that_is_over_ends_without_places_for_its_tasks() -> None:
    for found in (
        Takeover(over=True),
        Takeover((Restart(0, 4, "none is running", ()),), over=True),
    ):
        adopting = machine()
        assert adopting.start(LEAST, found=found) == [Finish(Succeeded(), ())]


def test_what_is_left_of_a_run_that_is_over_is_stopped_and_not_completed() -> None:
    part = Takeover(
        (Adopt(0, 3, (("a", 0),), {}, frozenset()), Restart(1, 4, "not reported: 0/1", ())),
        (AdoptedSlot(0, "a", Address("a", 1), 70),),
        {"a": 1, "b": 1},
        over=True,
    )
    adopting = machine(TWO)
    told = adopting.start(LEAST, found=part)
    assert [(i.slot, i.attempt) for i in told if isinstance(i, StopSlot)] == [(0, 3)]
    assert not [i for i in told if isinstance(i, StartSlot | StartEnumerators)]
    assert Finish(Succeeded(), ()) in adopting.handle(SlotExited(0, 3, "exited"))


def test_tasks_of_a_run_that_is_over_end_as_they_would_have_when_all_are_there() -> None:
    adopting = machine()
    assert adopting.start(LEAST, found=replace(ALL, over=True)) == [StartEnumerators()]


def test_what_is_restarted_later_gets_an_attempt_that_no_other_jobmanager_gives() -> None:
    adopting = machine()
    adopting.start(LEAST, found=ALL)
    told = adopting.handle(SlotExited(0, 3, "died"))
    (notice,) = (i.notice for i in told if isinstance(i, Tell))
    assert isinstance(notice, Restarting)
    assert notice.attempt == LEAST
    assert [i for i in told if isinstance(i, StopSlot)]
    again = adopting.handle(SlotExited(1, 3, "killed"))
    assert {(i.taskmanager, i.attempt) for i in again if isinstance(i, StartSlot)} == {
        ("a", LEAST),
        ("b", LEAST),
    }
    next_one = adopting.handle(TaskManagerLost("a", "is gone"))
    assert [i.notice.attempt for i in next_one if isinstance(i, Tell)] == [LEAST + 1]  # type: ignore[union-attr]


def test_one_region_goes_on_while_the_other_one_starts_again() -> None:
    part = Takeover(
        (Adopt(0, 3, (("a", 0),), {}, frozenset()), Restart(1, 4, "not reported: 0/1", ())),
        ALL.slots[:1],
        {"a": 1, "b": 1},
    )
    adopting = machine(TWO)
    first = adopting.start(LEAST, found=part)
    assert [i for i in first if isinstance(i, StartSlot)] == [StartSlot("b", 1, LEAST)]
    assert not [i for i in first if isinstance(i, SetDeadline) and i.wait is Wait.REGISTRATION]
    assert adopting.state is JobState.RESTARTING
    adopting.handle(SlotReady(1, LEAST, Address("b", 2)))
    told = adopting.handle(Deployed(1, LEAST))
    assert [type(i.notice) for i in told if isinstance(i, Tell)] == [Restarted]
    assert adopting.state is JobState.RUNNING


def test_where_there_are_no_taskmanagers_they_are_waited_for_and_that_is_no_first_failure() -> None:
    none = Takeover((Restart(0, 1, "none of its tasks is running", ()),))
    adopting = machine()
    first = adopting.start(LEAST, found=none)
    assert [i.wait for i in first if isinstance(i, SetDeadline)] == [Wait.REGISTRATION]
    assert adopting.attempt_of(0) == LEAST
    adopting.handle(DeadlinePassed(Wait.REGISTRATION))
    assert adopting.state is JobState.RESTARTING  # tried again, as its strategy says
