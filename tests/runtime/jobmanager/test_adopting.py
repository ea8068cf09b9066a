"""What a JobManager makes of the reports of tasks that it did not start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from flowjob.core.adoption import Adopt, Restart
from flowjob.core.job_events import Address, JobShape, TaskId, VertexShape
from flowjob.runtime import messages as m
from flowjob.runtime.jobmanager.adopting import Adopting, Wanted
from flowjob.runtime.wire import TaskInventory
from flowjob.testing import MockClock
from flowjob.testing.virtual_time import run_virtually

SHAPE = JobShape((VertexShape(0, "read", 2), VertexShape(1, "end", 1)))
ALONE = JobShape(SHAPE.vertices, ((0,), (1,)))
GENERATION = 4


def hello(name: str, *slots: int, offers: int = 1) -> m.Register:
    return m.Register(
        protocol=m.PROTOCOL,
        taskmanager=name,
        slots=offers,
        pid=1,
        host="here",
        running=[(slot, 7) for slot in slots],
        pids=[100 + slot for slot in slots],
    )


class Reports:
    """Reports of slots, as their TaskManagers pass them on."""

    def __init__(self, shape: JobShape = SHAPE, clock: Any = None) -> None:
        self.asked: list[tuple[str, int, int]] = []
        wanted = Wanted(shape, "main-1", "digest", GENERATION)
        self.adopting = Adopting(
            clock or MockClock(), wanted, lambda *asked: self.asked.append(asked)
        )

    def report(self, name: str, slot: int, *tasks: TaskInventory, **changes: Any) -> None:
        said = {
            "run_id": "main-1",
            "digest": "digest",
            "running": True,
            "address": Address("here", 1000 + slot),
            "highest": 9,
            "tasks": list(tasks) or [TaskInventory(t) for t in SHAPE.tasks_of(slot)],
            "generation": GENERATION,
            **changes,
        }
        self.say(name, slot, m.SlotInventory(attempt=7, **said))

    def say(self, name: str, slot: int, body: m.FromSlotBody) -> None:
        envelope = m.FromSlot(
            slot=slot, body=m.from_slot.encode(body), attempt=7, generation=GENERATION
        )
        self.adopting.received(name, envelope)


def both(shape: JobShape = SHAPE) -> Reports:
    found = Reports(shape)
    found.adopting.registered(hello("a", 0))
    found.adopting.registered(hello("b", 1))
    return found


def virtually(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run_virtually(main())


def test_slots_that_run_are_asked_and_go_on_when_all_of_them_have_answered() -> None:
    found = both()
    assert found.asked == [("a", 0, 7), ("b", 1, 7)]
    found.report("a", 0)
    found.report("b", 1, TaskInventory(TaskId(0, 1), ended=True, splits=["x"], read=["y"]))
    outcome = found.adopting.decide(5)
    (verdict,) = outcome.takeover.verdicts
    assert isinstance(verdict, Adopt)
    assert (verdict.attempt, verdict.ended) == (7, frozenset({TaskId(0, 1)}))
    assert [(s.number, s.taskmanager, s.pid) for s in outcome.takeover.slots] == [
        (0, "a", 100),
        (1, "b", 101),
    ]
    assert outcome.highest == 9
    assert outcome.stop == ()
    assert outcome.tasks[TaskId(0, 1)].read == ["y"]
    assert outcome.told == "its tasks go on (2 worker processes)"
    assert outcome.goes_on


def test_where_one_is_missing_the_others_of_its_region_are_stopped() -> None:
    found = both()
    found.report("a", 0)
    outcome = found.adopting.decide(5)
    (verdict,) = outcome.takeover.verdicts
    assert isinstance(verdict, Restart)
    assert verdict.attempt == 8
    assert sorted(outcome.stop) == [("a", 0, 7), ("b", 1, 7)]
    assert outcome.takeover.offers == {"a": 1, "b": 1}


def test_other_regions_go_on() -> None:
    found = both(ALONE)
    found.report("a", 0)
    outcome = found.adopting.decide(5)
    assert [type(v) for v in outcome.takeover.verdicts] == [Adopt, Restart]
    assert outcome.stop == (("b", 1, 7),)
    assert outcome.told.startswith("1 of 2 regions go on; ")
    assert not outcome.goes_on


def test_tasks_that_stop_for_a_savepoint_or_belong_to_another_run_or_plan_do_not_go_on() -> None:
    for changes in ({"run_id": "main-2"}, {"digest": "other"}, {"running": False}):
        found = both()
        found.report("a", 0)
        found.report("b", 1, **changes)
        assert isinstance(found.adopting.decide(5).takeover.verdicts[0], Restart), changes
    found = both()
    found.report("a", 0)
    found.report("b", 1, TaskInventory(TaskId(0, 1), running=False))
    assert isinstance(found.adopting.decide(5).takeover.verdicts[0], Restart)


def test_what_comes_meanwhile_waits_and_what_was_said_to_the_one_before_is_dropped() -> None:
    found = both()
    found.report("a", 0)
    question = m.RequestSplits(task=TaskId(0, 1), attempt=7, generation=GENERATION)
    found.say("b", 1, question)
    found.say("b", 1, m.TaskEnded(task=TaskId(0, 1), attempt=7, generation=GENERATION - 1))
    found.report("b", 1)
    outcome = found.adopting.decide(5)
    assert [(name, type(message)) for name, message in outcome.held] == [("b", m.FromSlot)]


def test_a_slot_that_dies_and_a_taskmanager_that_leaves_count_no_more() -> None:
    found = both()
    found.report("a", 0)
    found.report("b", 1)
    found.adopting.received("b", m.SlotGone(slot=1, reason="died", attempt=7))
    assert isinstance(found.adopting.decide(5).takeover.verdicts[0], Restart)
    found.adopting.lost("a")
    outcome = found.adopting.decide(5)
    assert outcome.takeover.offers == {"b": 1}
    assert outcome.stop == ()


def test_it_waits_until_all_is_there_but_not_for_ever_and_not_long_for_a_fresh_cluster() -> None:
    async def waited(prepare: Callable[[Reports], None]) -> float:
        loop = asyncio.get_running_loop()
        found = Reports(clock=MockClock())
        loop.call_later(1.0, prepare, found)
        began = loop.time()
        await found.adopting.wait(10.0)
        return loop.time() - began

    def complete(found: Reports) -> None:
        found.adopting.registered(hello("a", 0, 1, offers=2))
        found.report("a", 0)
        found.report("a", 1)

    async def main() -> None:
        assert await waited(complete) == 1.0
        assert await waited(lambda found: found.adopting.registered(hello("a", 0))) == 10.0
        fresh = await waited(lambda found: found.adopting.registered(hello("a", offers=2)))
        assert fresh == 3.0

        def one_of_two(found: Reports) -> None:
            found.adopting.registered(hello("a", 0, offers=2))
            loop.call_later(1.0, found.report, "a", 0)

        loop = asyncio.get_running_loop()
        assert await waited(one_of_two) == 3.0

    virtually(main)
