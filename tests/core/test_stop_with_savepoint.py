"""Stopping with a savepoint: what happens when it works, and when it fails in each phase."""

from __future__ import annotations

import pytest

from flowjob.core import coordinator_events as ev
from flowjob.core.checkpoint_records import Status
from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob.core.commits import CommitPermit
from flowjob.core.coordinator import Coordinator
from flowjob.core.coordinator_events import Kind
from flowjob.core.elements import Barrier, Stop
from tests.core.coordinating import K0, K1, S0, S1, SOURCES, TASKS, Job, item, one, only, triggered

STOPS = [Stop.SUSPEND, Stop.DRAIN]


def stopping(stop: Stop = Stop.SUSPEND) -> Job:
    job = Job(interval=None)
    job.tell(ev.CheckpointRequested("c"))
    job.complete(1)
    job.savepoint(stop=stop)
    return job


@pytest.mark.parametrize("stop", STOPS)
def test_a_stop_commits_all_results_before_the_job_ends_and_the_requester_is_told(
    stop: Stop,
) -> None:
    job = Job()
    said = job.savepoint(stop=stop)
    assert said == [ev.Trigger(Barrier(1, savepoint=True, stop=stop), (S0, S1), "to/r")]
    store = one(ev.Store, job.ack(1, items=b"a"))
    assert (store.kind, store.savepoint, store.stop) == (Kind.STOP, "to/r", stop)
    said = job.tell(ev.Stored(1))
    assert said == [ev.NotifyCommitted(CommitPermit(1, 7), (S0, S1, K0, K1))]
    assert [type(i) for i in job.at(30)] == [ev.NotifyCommitted]  # no trigger, though one is due
    assert job.committed(1) == [ev.Answer("r", 1, "to/r"), ev.Release(1)]
    assert job.at(50) == []


def test_the_end_of_tasks_during_a_stop_needs_no_final_checkpoint() -> None:
    job = stopping()
    assert triggered(job.end(S0, S1)) == [2, 2]  # the same one again
    job.ack(2)
    assert job.end(K0, K1) == []
    assert only(ev.Trigger, said := job.tell(ev.Stored(2))) == []
    assert one(ev.Release, said)


def test_a_stop_waits_for_room_and_nothing_comes_behind_it() -> None:
    job = Job()
    job.at(10)
    assert job.savepoint("a", Stop.SUSPEND) == []
    assert job.savepoint("b") == []
    said = job.complete(1)
    assert triggered(said) == [2]
    refusal = ev.Answer("b", failure="the job is being stopped with savepoint to/a")
    assert only(ev.Answer, said) == [refusal]
    assert one(ev.Answer, job.savepoint("d", Stop.DRAIN)).failure == refusal.failure
    assert triggered(job.at(50)) == []


def test_a_stop_of_a_job_whose_tasks_have_all_ended_takes_the_place_of_the_final_one() -> None:
    job = Job()
    job.at(10)
    job.savepoint(stop=Stop.DRAIN)
    job.end()
    said = job.complete(1)
    assert one(ev.Trigger, said).barrier == Barrier(2, savepoint=True, stop=Stop.DRAIN)
    assert job.complete(2)[-2:] == [ev.Answer("r", 2, "to/r"), ev.Release(2)]


def test_a_stop_that_is_only_waiting_is_forgotten_when_tasks_fail() -> None:
    job = Job()
    job.at(10)
    job.savepoint(stop=Stop.SUSPEND)
    said = job.tell(ev.TasksFailed("killed"))
    assert only(ev.RestartJob, said) == []  # no source knows of it
    assert one(ev.Answer, [i for i in said if i != ev.Abort(1, "killed")]).failure == "killed"
    job.start()
    assert triggered(job.at(30)) == [2]


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("way", ["declined", "expired", "aborted", "not stored"])
def test_a_stop_that_fails_restarts_the_job_because_sources_may_have_stopped(
    stop: Stop, way: str
) -> None:
    job = stopping(stop)
    match way:
        case "declined":
            said = job.tell(ev.Declined(2, K0, "disk full"))
        case "expired":
            said = job.at(60)
        case "aborted":
            said = job.tell(ev.AbortRequested(2, "changed my mind"))
        case _:
            job.ack(2)
            said = job.tell(ev.StoreFailed(2, "no such bucket"))
    assert one(ev.Answer, said).failure is not None
    assert isinstance(said[-1], ev.RestartJob)
    assert only(ev.FailJob, said) == []
    assert job.tell(ev.TasksFailed("as told")) == [ev.Restorable(1)]
    job.start(restored=1)
    assert triggered(job.tell(ev.CheckpointRequested("d"))) == [3]  # it goes on as ever


def test_when_tasks_fail_during_a_stop_those_of_other_regions_are_restarted_too() -> None:
    job = stopping()
    said = job.tell(ev.TasksFailed("killed"))
    assert [type(i) for i in said] == [ev.Abort, ev.Answer, ev.RestartJob, ev.Restorable]
    assert one(ev.Restorable, said) == ev.Restorable(1)
    assert one(ev.Answer, said) == ev.Answer("r", 2, failure="killed")


def test_when_tasks_fail_while_it_is_stored_in_vain_all_restart_from_before() -> None:
    job = stopping()
    job.ack(2)
    assert job.tell(ev.TasksFailed("killed")) == []
    said = job.tell(ev.StoreFailed(2, "away"))
    assert [type(i) for i in said] == [ev.Abort, ev.Answer, ev.RestartJob, ev.Restorable]
    assert one(ev.Restorable, said) == ev.Restorable(1)
    assert job.coordinator.history[-1].status is Status.ABORTED


@pytest.mark.parametrize("moment", ["while it is stored", "after it is stored"])
def test_once_it_is_stored_there_is_no_way_back_tasks_run_again_only_to_commit(
    moment: str,
) -> None:
    job = stopping()
    job.ack(2, items=b"a")
    if moment == "while it is stored":
        job.tell(ev.TasksFailed("killed"))
        said = job.tell(ev.Stored(2))
    else:
        job.tell(ev.Stored(2))
        said = job.tell(ev.TasksFailed("killed"))
    assert said == [ev.Restorable(2)]
    dealt = (item(K0, b"a"), item(K1, b"a"))
    said = job.start(*dealt, restored=2)
    assert said == [ev.NotifyCommitted(CommitPermit(2, 7), (K0, K1), dealt)]
    assert one(ev.Answer, job.savepoint("x")).failure == (
        "the job is being stopped with savepoint to/r"
    )
    assert job.committed(2) == [ev.Answer("r", 2, "to/r"), ev.StopJob(2)]


def test_a_failure_after_the_release_stops_the_job_all_the_same() -> None:
    job = stopping()
    assert one(ev.Release, job.complete(2))
    assert job.tell(ev.TasksFailed("killed")) == [ev.Restorable(2)]
    assert job.start(restored=2) == [ev.StopJob(2)]
    assert one(ev.Answer, job.savepoint("x")).failure == "the job is being stopped"


def test_a_job_manager_that_takes_over_a_stopped_job_commits_what_is_pending_and_no_more() -> None:
    coordinator: Coordinator[str] = Coordinator(
        CheckpointSettings(interval=1), 8, retained=[3], newest=5, highest=5, stopped=True
    )
    said = coordinator.handle(ev.Started(TASKS, SOURCES, 5, (item(K0, b"a"),)), 0)
    assert said == [ev.NotifyCommitted(CommitPermit(5, 8), (K0,), (item(K0, b"a"),))]
    assert only(ev.Trigger, coordinator.handle(ev.Tick(), 4)) == []
    assert coordinator.handle(ev.TaskCommitted(5, K0), 4) == [ev.StopJob(5)]


def test_a_job_that_ends_before_all_is_committed_leaves_the_savepoint() -> None:
    job = stopping()
    job.complete(2, items=b"a")
    answer = one(ev.Answer, job.tell(ev.Closed("it failed")))
    assert (answer.checkpoint, answer.savepoint) == (2, "to/r")
    assert answer.failure == "the savepoint is complete, but the job did not stop well: it failed"
