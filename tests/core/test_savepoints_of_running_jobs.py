"""Savepoints of jobs that go on: they leave nothing to publish to whoever starts from them, and lose nothing either."""

from __future__ import annotations

from typing import Any

import pytest

from flowjob.core import coordinator_events as ev
from flowjob.core.checkpoint_settings import Unaligned
from flowjob.core.commits import CommitPermit
from flowjob.core.coordinator_events import Kind
from flowjob.core.elements import Barrier, Stop
from tests.core.coordinating import K0, K1, S0, Job, one, only, triggered


def with_results(**settings: Any) -> tuple[Job, list[ev.Instruction[str]]]:
    """Savepoint 1 is acknowledged by all, and sinks have prepared something for it."""
    job = Job(**{"interval": None} | settings)
    job.savepoint()
    return job, job.ack(1, items=b"a")


def test_one_that_finds_nothing_unpublished_is_stored_at_once() -> None:
    job = Job(interval=None)
    job.savepoint()
    said = job.ack(1)
    assert one(ev.Store, said).carried == ()
    assert triggered(said) == []


@pytest.mark.parametrize("unaligned", Unaligned)
@pytest.mark.parametrize("interval", [None, 10.0])
def test_what_it_prepared_is_published_by_a_checkpoint_right_behind_it(
    unaligned: Unaligned, interval: float | None
) -> None:
    job, said = with_results(unaligned=unaligned, interval=interval)
    assert only(ev.Store, said) == []
    assert triggered(said) == [2]
    said = job.complete(2, items=b"b")
    assert one(ev.Store, said).kind is Kind.CHECKPOINT
    assert one(ev.NotifyCommitted, said).permit == CommitPermit(2, 7)
    assert only(ev.Answer, said) == []
    assert job.committed(2, K0) == []
    store = one(ev.Store, job.committed(2, K1))
    assert (store.checkpoint, store.kind, store.carried) == (1, Kind.SAVEPOINT, ())
    assert job.tell(ev.Stored(1)) == [ev.Answer("r", 1, "to/r")]
    assert one(ev.Restorable, job.tell(ev.TasksFailed("x"))) == ev.Restorable(2)


def test_its_checkpoint_holds_what_it_prepared() -> None:
    job, _ = with_results()
    (carried,) = {p.items for p in one(ev.Store, job.ack(2, items=b"b")).carried if p.task == K0}
    assert carried == (b"a0",)


def test_it_waits_for_results_of_earlier_checkpoints_too_and_needs_none_of_its_own() -> None:
    job = Job(interval=None)
    job.tell(ev.CheckpointRequested("c"))
    job.complete(1, items=b"a")
    job.savepoint()
    assert job.ack(2) == []
    assert job.committed(1, K0) == []
    assert one(ev.Store, job.committed(1, K1)).checkpoint == 2


def test_what_an_aborted_checkpoint_prepared_is_published_before_it_is_stored() -> None:
    job = Job(interval=None)
    job.tell(ev.CheckpointRequested("c"))
    job.ack(1, K0, items=b"a")
    job.tell(ev.Declined(1, S0, "no"))
    job.savepoint()
    job.now = 1.0  # after a failure the next try waits a moment
    assert triggered(job.ack(2)) == [3]
    job.complete(3)
    assert one(ev.Store, job.committed(3, K0)).checkpoint == 2


def test_one_behind_the_final_checkpoint_is_published_by_another_final_one() -> None:
    # A sink that has not committed yet when it is asked again says the same once more.
    job = Job(interval=None, max_concurrent=2)
    assert triggered(job.end()) == [1]
    job.savepoint()
    job.complete(1, items=b"a")
    job.committed(1)
    assert triggered(job.ack(2, items=b"a")) == [3]
    job.complete(3)
    assert one(ev.Store, job.committed(3)).checkpoint == 2
    assert one(ev.Release, job.tell(ev.Stored(2))).checkpoint == 3


def test_a_checkpoint_that_is_under_way_behind_it_is_enough() -> None:
    job = Job(max_concurrent=2)
    job.savepoint()
    assert triggered(job.at(10)) == [2]
    assert triggered(job.ack(1, items=b"a")) == []
    assert one(ev.Store, job.ack(2)).checkpoint == 2


def test_several_wait_for_the_same_checkpoint() -> None:
    job = Job(interval=None, max_concurrent=2)
    job.savepoint("one")
    job.savepoint("two")
    assert triggered(job.ack(1, items=b"a")) == [3]  # it may be slow, and the other one may fail
    assert job.ack(2, items=b"b") == []
    job.complete(3)
    stored = one(ev.Store, job.committed(3)).checkpoint
    said = job.tell(ev.Stored(stored))
    assert {stored, one(ev.Store, said).checkpoint} == {1, 2}


def test_a_failed_checkpoint_behind_it_is_tried_again_after_a_moment() -> None:
    job, _ = with_results()
    job.now = 1.0
    assert triggered(job.tell(ev.Declined(2, S0, "no"))) == []
    assert job.coordinator.wake_at == 2.0
    assert triggered(job.at(2.0)) == [3]


def test_it_does_not_wait_longer_than_a_checkpoint_may_take() -> None:
    job, _ = with_results(timeout=20)
    job.now = 5
    job.complete(2)
    job.committed(2, K0)
    said = job.at(20)
    answer = one(ev.Answer, said)
    why = "results of what came before it were not published"
    assert answer.failure == f"not complete within 20 s: {why}"
    assert one(ev.Abort, said).checkpoint == 1
    assert only(ev.FailJob, said) == []  # the sink began later, and may take as long itself


def test_a_failure_of_tasks_gives_it_up_whether_it_waits_or_not() -> None:
    # What its sinks prepared is of a past that the restart does not have.
    job, _ = with_results()
    said = job.tell(ev.TasksFailed("killed"))
    assert one(ev.Answer, said) == ev.Answer("r", 1, failure="killed")
    assert [a.checkpoint for a in only(ev.Abort, said)] == [1, 2]
    assert one(ev.Restorable, said) == ev.Restorable(None)


def test_when_the_job_ends_its_final_checkpoint_publishes_it_before_tasks_are_released() -> None:
    job = Job(interval=None)
    job.savepoint()
    job.end()
    assert triggered(job.ack(1, items=b"a")) == [2]
    said = job.complete(2)
    assert one(ev.Store, said).kind is Kind.FINAL
    assert only(ev.Release, said) == []
    said = job.committed(2)
    assert one(ev.Store, said).checkpoint == 1
    assert only(ev.Release, said) == []
    assert job.tell(ev.Stored(1)) == [ev.Answer("r", 1, "to/r"), ev.Release(2)]


def test_a_stop_behind_it_publishes_it() -> None:
    job = Job(interval=None, max_concurrent=1)
    job.savepoint("first")
    job.savepoint("last", Stop.DRAIN)
    said = job.ack(1, items=b"a")
    assert one(ev.Trigger, said).barrier == Barrier(2, savepoint=True, stop=Stop.DRAIN)
    job.end()
    said = job.complete(2)
    assert one(ev.Store, said).kind is Kind.STOP
    assert one(ev.Store, job.committed(2)).checkpoint == 1
    said = job.tell(ev.Stored(1))
    assert [a.request for a in only(ev.Answer, said)] == ["first", "last"]
    assert one(ev.Release, said) == ev.Release(2)
