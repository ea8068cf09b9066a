"""The coordinator where two things happen at once: failures while something is stored, expiries beside successes."""

from __future__ import annotations

import pytest

from flowjob.core import coordinator_events as ev
from flowjob.core.checkpoint_records import Status
from flowjob.core.commits import CommitPermit
from flowjob.core.coordinator_events import Kind
from flowjob.core.elements import Stop
from tests.core.coordinating import K0, K1, S0, Job, item, one, only, triggered

# Final checkpoints


@pytest.mark.parametrize("way", ["expired", "aborted", "not stored"])
def test_a_final_checkpoint_is_tried_again_however_it_comes_to_nothing(way: str) -> None:
    job = Job(interval=None, timeout=5)
    job.end()
    match way:
        case "expired":
            said = job.at(5) + job.at(6)
        case "aborted":
            said = job.tell(ev.AbortRequested(1, "enough")) + job.at(1)
        case _:
            job.ack(1)
            said = job.tell(ev.StoreFailed(1, "away")) + job.at(1)
    assert only(ev.FailJob, said) == []
    assert triggered(said) == [2]
    said = job.complete(2)
    assert job.coordinator.newest == 2
    assert one(ev.Release, said) == ev.Release(2)


@pytest.mark.parametrize("moment", ["while it is stored", "when it is stored"])
def test_tasks_that_fail_at_a_final_checkpoint_begin_from_it_and_end_again(moment: str) -> None:
    job = Job(interval=None)
    job.end()
    job.ack(1, items=b"z")
    if moment == "while it is stored":
        assert job.tell(ev.TasksFailed("killed")) == []
        said = job.tell(ev.Stored(1))
    else:
        job.tell(ev.Stored(1))
        said = job.tell(ev.TasksFailed("killed"))
    assert one(ev.Restorable, said) == ev.Restorable(1)
    said = job.start(item(K0, b"z"), item(K1, b"z"), restored=1)
    assert one(ev.NotifyCommitted, said).former == (item(K0, b"z"), item(K1, b"z"))
    said = job.end()
    assert triggered(said) == [2]
    job.complete(2)
    assert one(ev.Release, job.committed(2)) == ev.Release(2)


def test_a_task_that_ends_is_asked_for_everything_that_is_under_way() -> None:
    job = Job(max_concurrent=3)
    job.at(10)
    job.at(20)
    job.savepoint()
    job.ack(2, K0)
    assert [(t.barrier.checkpoint, t.tasks) for t in only(ev.Trigger, job.end(K0))] == [
        (1, (K0,)),
        (3, (K0,)),
    ]


# Savepoints


def test_a_savepoint_that_is_being_stored_when_tasks_fail_is_kept_and_not_begun_from() -> None:
    job = Job(interval=None)
    job.tell(ev.CheckpointRequested("c"))
    job.complete(1)
    job.savepoint()
    job.ack(2)
    assert job.tell(ev.TasksFailed("killed")) == []
    said = job.tell(ev.Stored(2))
    assert said == [ev.Answer("r", 2, "to/r"), ev.Restorable(1)]
    assert triggered(job.start(restored=1)) == []


@pytest.mark.parametrize("way", ["expired", "aborted", "declined", "not stored"])
def test_a_savepoint_that_fails_is_answered_and_never_counted_nor_repeated(way: str) -> None:
    job = Job(interval=None, timeout=5, tolerable_failures=0)
    job.savepoint()
    match way:
        case "expired":
            said = job.at(5)
        case "aborted":
            said = job.tell(ev.AbortRequested(1, "enough"))
        case "declined":
            said = job.tell(ev.Declined(1, K0, "disk full"))
        case _:
            job.ack(1)
            said = job.tell(ev.StoreFailed(1, "away"))
    assert one(ev.Answer, said).failure
    assert one(ev.Abort, said).checkpoint == 1
    assert only(ev.FailJob, said) == []
    assert triggered(job.at(50)) == []
    status = Status.ABORTED if way == "aborted" else Status.FAILED
    assert job.coordinator.history[-1].status is status


def test_savepoints_are_under_the_same_limit_and_pause_as_checkpoints() -> None:
    job = Job(min_pause=4)
    job.at(9)
    job.savepoint()
    assert job.at(10) == []
    job.now = 11
    assert triggered(job.complete(1)) == []
    assert job.coordinator.wake_at == 15
    assert triggered(job.at(15)) == [2]


# Several at once


def test_one_that_expires_leaves_those_beside_it_alone() -> None:
    job = Job(max_concurrent=2, timeout=15)
    job.at(10)
    job.at(20)
    said = job.at(25)
    assert [a.checkpoint for a in only(ev.Abort, said)] == [1]
    assert one(ev.Store, job.ack(2)).checkpoint == 2
    assert [(r.checkpoint, r.status) for r in job.coordinator.history] == [(1, Status.FAILED)]


def test_a_failure_counts_though_a_newer_one_is_under_way_and_a_success_heals_both() -> None:
    job = Job(interval=None, max_concurrent=2, tolerable_failures=1)
    job.tell(ev.CheckpointRequested("a"), ev.CheckpointRequested("b"))
    assert only(ev.FailJob, job.tell(ev.Declined(1, S0, "no"))) == []
    job.complete(2)
    job.tell(ev.CheckpointRequested("c"))
    assert only(ev.FailJob, job.tell(ev.Declined(3, S0, "no"))) == []


def test_when_the_job_fails_for_its_checkpoints_those_beside_are_given_up_and_none_begins() -> None:
    job = Job(max_concurrent=2, tolerable_failures=0)
    job.at(10)
    job.at(20)
    said = job.tell(ev.Declined(2, S0, "no"))
    assert one(ev.FailJob, said)
    assert sorted(a.checkpoint for a in only(ev.Abort, said)) == [1, 2]
    assert job.at(100) == []


# Commits of sinks


def test_results_of_a_former_life_that_nobody_publishes_in_time_fail_the_job() -> None:
    job = Job(start=False, interval=None, timeout=20, resend=100)
    job.start(item(K0, b"old"), restored=5)
    assert "has not committed its results of checkpoint 5" in one(ev.FailJob, job.at(20)).reason


def test_a_commit_that_is_repeated_tells_each_task_only_what_was_dealt_to_it() -> None:
    job = Job(start=False, resend=3)
    said = job.start(item(K0, b"x"), item(K1, b"y"), restored=5)
    assert one(ev.NotifyCommitted, said).tasks == (K0, K1)
    job.committed(5, K0)
    assert job.at(3) == [ev.NotifyCommitted(CommitPermit(5, 7), (K1,), (item(K1, b"y"),))]


def test_a_stop_that_is_stored_waits_for_results_of_earlier_checkpoints_too() -> None:
    job = Job(interval=None)
    job.tell(ev.CheckpointRequested("c"))
    job.complete(1, items=b"a")
    job.savepoint(stop=Stop.DRAIN)
    store = one(ev.Store, job.ack(2))
    assert store.kind is Kind.STOP
    assert [p.task for p in store.carried] == [K0, K1], "who begins from it publishes them"
    assert only(ev.Release, job.tell(ev.Stored(2))) == []
    assert only(ev.Release, job.committed(1)) == [ev.Release(2)]


def test_acknowledgements_of_tasks_that_are_going_down_owe_nothing_to_the_next_attempt() -> None:
    job = Job()
    job.at(10)
    job.ack(1, K1, items=b"a")
    job.tell(ev.TasksFailed("killed"))
    job.ack(1, K0, items=b"a")
    job.start()
    job.at(20)
    assert one(ev.Store, job.ack(2)).carried == ()
