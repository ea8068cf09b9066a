"""The coordinator: when checkpoints are triggered, what completes and what fails them, who is told what."""

from __future__ import annotations

import pytest

from flowjob.core import coordinator_events as ev
from flowjob.core.checkpoint_records import Status
from flowjob.core.checkpoint_settings import CheckpointSettings, Unaligned
from flowjob.core.commits import CommitPermit
from flowjob.core.coordinator import Coordinator
from flowjob.core.coordinator_events import Kind
from flowjob.core.elements import Barrier
from flowjob.core.job_events import TaskId
from tests.core.coordinating import K0, K1, S0, S1, SOURCES, TASKS, Job, item, one, only, triggered

# Triggers


def test_the_first_checkpoint_comes_an_interval_after_the_start_and_begins_at_sources() -> None:
    job = Job()
    assert job.coordinator.wake_at == 10.0
    assert job.at(9.9) == []
    assert job.at(10.0) == [ev.Trigger(Barrier(1), (S0, S1))]


@pytest.mark.parametrize(("since", "due"), [(4.0, 96.0), (10.0, 90.0), (70.0, 90.0)])
def test_where_tasks_go_on_under_a_new_jobmanager_the_interval_goes_on_too(
    since: float, due: float
) -> None:
    job = Job(start=False, min_pause=5)
    job.now = 90.0
    said = job.tell(ev.Started(TASKS, SOURCES, 3, since=since))
    if due > 90.0:
        assert triggered([*said, *job.at(due - 0.1)]) == []
        said = job.at(due)
    assert triggered(said) == [4]


def test_the_next_one_comes_an_interval_after_the_trigger_when_the_last_is_over() -> None:
    job = Job()
    job.at(10)
    job.now = 13
    assert triggered(job.complete(1)) == []
    assert job.coordinator.wake_at == 20
    assert triggered(job.at(20)) == [2]


def test_a_checkpoint_that_outlasts_the_interval_is_followed_at_once_but_never_overlapped() -> None:
    job = Job()
    job.at(10)
    assert job.at(25) == []
    assert job.coordinator.wake_at == 70  # its expiry: no trigger can come before it is over
    job.now = 31
    assert triggered(job.complete(1)) == [2]


def test_min_pause_counts_from_the_end_of_the_last_one_good_or_bad() -> None:
    for ending in ("complete", "declined"):
        job = Job(min_pause=4)
        job.at(10)
        job.now = 19
        if ending == "complete":
            job.complete(1)
        else:
            job.tell(ev.Declined(1, S0, "no"))
        assert job.coordinator.wake_at == 23
        assert triggered(job.at(22.9)) == []
        assert triggered(job.at(23)) == [2]


def test_as_many_overlap_as_are_allowed() -> None:
    job = Job(max_concurrent=2)
    assert triggered(job.at(10)) == [1]
    assert triggered(job.at(20)) == [2]
    assert triggered(job.at(30)) == []
    assert triggered(job.complete(2)) == [3]  # … and 1 is superseded


def test_what_may_overtake_has_the_job_to_itself() -> None:
    for unaligned in (Unaligned.AUTO, Unaligned.ALWAYS):
        job = Job(max_concurrent=3, unaligned=unaligned)
        said = job.at(10)
        assert one(ev.Trigger, said).barrier.unaligned is (unaligned is Unaligned.ALWAYS)
        assert job.at(30) == []
        assert job.savepoint() == []  # even an aligned barrier could be overtaken
        said = job.complete(1)
        assert one(ev.Trigger, said).barrier == Barrier(2, savepoint=True)
        assert job.at(50) == []
        assert triggered(job.complete(2)) == [3]


def test_without_an_interval_only_requests_and_the_end_trigger() -> None:
    job = Job(interval=None)
    assert job.coordinator.wake_at is None
    assert job.at(1e6) == []
    assert triggered(job.tell(ev.CheckpointRequested("r"))) == [1]


def test_a_checkpoint_on_request_waits_for_room_but_for_no_pause() -> None:
    job = Job(min_pause=5)
    job.at(10)
    assert job.tell(ev.CheckpointRequested("r")) == []
    said = job.complete(1)
    assert triggered(said) == [2]
    assert one(ev.Answer, job.complete(2)) == ev.Answer("r", 2)


@pytest.mark.parametrize(
    ("newest", "highest", "restored", "first"),
    [(None, 0, 0, 1), (6, 0, 0, 7), (6, 9, 6, 10), (6, 9, 12, 13)],
)
def test_ids_go_on_above_everything_that_was_ever_used(
    newest: int | None, highest: int, restored: int, first: int
) -> None:
    coordinator: Coordinator[str] = Coordinator(
        CheckpointSettings(interval=1, min_pause=0), 2, newest=newest, highest=highest
    )
    coordinator.handle(ev.Started(TASKS, SOURCES, restored), 0)
    assert triggered(coordinator.handle(ev.Tick(), 1)) == [first]


def test_checkpoints_of_former_runs_are_counted_and_retired_but_never_restarted_from() -> None:
    coordinator: Coordinator[str] = Coordinator(
        CheckpointSettings(interval=1, min_pause=0, retained=2), 2, retained=[6, 4, 5], highest=6
    )
    coordinator.handle(ev.Started(TASKS, SOURCES), 0)
    assert triggered(coordinator.handle(ev.Tick(), 1)) == [7]
    for task in TASKS:
        coordinator.handle(ev.Acknowledged(7, task, ""), 1)
    said = coordinator.handle(ev.Stored(7), 1)
    assert only(ev.Retire, said) == [ev.Retire(4), ev.Retire(5)]
    coordinator = Coordinator(CheckpointSettings(), 2, retained=[6], highest=6)
    assert coordinator.handle(ev.TasksFailed("x"), 0) == [ev.Restorable(None)]


# Completion


def test_a_checkpoint_is_stored_when_the_last_task_has_acknowledged() -> None:
    job = Job()
    job.at(10)
    assert job.ack(1, S0, S1, K1) == []
    store = one(ev.Store, job.ack(1, K0))
    assert (store.checkpoint, store.kind, store.savepoint) == (1, Kind.CHECKPOINT, None)
    assert store.snapshots == {S0: "1:0/0", S1: "1:0/1", K0: "1:1/0", K1: "1:1/1"}


def test_it_is_committed_only_when_it_is_stored() -> None:
    job = Job()
    job.at(10)
    assert only(ev.NotifyCommitted, job.ack(1)) == []
    said = job.tell(ev.Stored(1))
    assert said == [ev.NotifyCommitted(CommitPermit(1, 7), (S0, S1, K0, K1))]
    assert job.tell(ev.Stored(1)) == []


@pytest.mark.parametrize(
    "event",
    [
        ev.Acknowledged(1, S0, "again"),
        ev.Acknowledged(2, K0, "of a checkpoint that was never triggered"),
        ev.Acknowledged(1, TaskId(8, 0), "of a stranger"),
        ev.Declined(1, S0, "after it has acknowledged"),
        ev.Declined(2, K0, "never triggered"),
        ev.Declined(1, TaskId(8, 0), "a stranger"),
        ev.Stored(1),
        ev.StoreFailed(1, "nobody asked"),
        ev.TaskCommitted(1, K0),
        ev.TaskEnded(TaskId(8, 0)),
        ev.AbortRequested(5, "no such"),
        ev.UseEnded(3),
        ev.Tick(),
    ],
    ids=repr,
)
def test_late_repeated_and_unknown_events_change_nothing(event: ev.Event[str]) -> None:
    job = Job()
    job.at(10)
    job.ack(1, S0)
    assert job.tell(event) == []
    assert one(ev.Store, job.ack(1, S1, K0, K1)).snapshots[S0] == "1:0/0"


def test_only_one_manifest_is_written_at_a_time_and_the_newest_goes_first() -> None:
    job = Job(max_concurrent=3)
    for now in (10, 20, 30):
        job.at(now)
    assert one(ev.Store, job.ack(1)).checkpoint == 1
    assert job.ack(2) == []
    assert job.ack(3) == []
    said = job.tell(ev.StoreFailed(1, "away"))
    assert one(ev.Store, said).checkpoint == 3
    said = job.tell(ev.Stored(3))
    assert one(ev.Abort, said).checkpoint == 2
    assert only(ev.Store, said) == []


def test_older_checkpoints_are_superseded_and_their_requesters_have_what_they_wanted() -> None:
    job = Job(max_concurrent=2, interval=None)
    job.tell(ev.CheckpointRequested("a"), ev.CheckpointRequested("b"))
    said = job.complete(2)
    assert one(ev.Abort, said).checkpoint == 1
    assert only(ev.Answer, said) == [ev.Answer("a", 2), ev.Answer("b", 2)]
    assert job.tell(ev.Acknowledged(1, S0, "late")) == [ev.Discard(1)]


# Failure


@pytest.mark.parametrize("way", ["declined", "expired", "not stored"])
def test_a_failed_checkpoint_is_aborted_and_the_next_one_comes_in_time(way: str) -> None:
    job = Job(timeout=5)
    job.at(10)
    match way:
        case "declined":
            said, reason = job.tell(ev.Declined(1, K0, "disk full")), "task 1/0: disk full"
        case "expired":
            job.ack(1, S0, K1)
            said = job.at(15)
            reason = "not complete within 5 s: not acknowledged by task 0/1, task 1/0"
        case _:
            job.ack(1)
            said, reason = job.tell(ev.StoreFailed(1, "no such bucket")), "no such bucket"
    assert said == [ev.Abort(1, reason)]
    record = job.coordinator.history[-1]
    assert (record.status, record.reason) == (Status.FAILED, reason)
    assert triggered(job.at(20)) == [2]


def test_what_is_being_stored_cannot_expire_nor_be_aborted() -> None:
    job = Job(timeout=5)
    job.at(10)
    job.ack(1)
    assert job.at(40) == []
    assert job.tell(ev.AbortRequested(1, "too slow")) == []
    assert job.coordinator.wake_at is None
    assert only(ev.NotifyCommitted, job.tell(ev.Stored(1)))


@pytest.mark.parametrize("tolerable", [0, 1, 3])
def test_one_failure_more_in_a_row_than_tolerated_fails_the_job(tolerable: int) -> None:
    job = Job(interval=None, tolerable_failures=tolerable)
    for number in range(1, tolerable + 2):
        job.tell(ev.CheckpointRequested(f"r{number}"))
        said = job.tell(ev.Declined(number, S0, "disk full"))
        assert bool(only(ev.FailJob, said)) is (number > tolerable)
    assert "task 0/0: disk full" in one(ev.FailJob, said).reason
    assert one(ev.Answer, job.tell(ev.CheckpointRequested("x"))).failure
    assert job.coordinator.wake_at is None


def test_when_several_expire_at_once_the_first_that_is_too_much_ends_it_for_all() -> None:
    job = Job(interval=None, max_concurrent=3, tolerable_failures=0, timeout=5)
    job.tell(*(ev.CheckpointRequested(r) for r in "abc"))
    said = job.at(5)
    assert [a.checkpoint for a in only(ev.Abort, said)] == [1, 2, 3]
    assert [a.request for a in only(ev.Answer, said)] == ["a", "b", "c"]
    assert one(ev.FailJob, said)
    tolerant = Job(interval=None, max_concurrent=3, tolerable_failures=3, timeout=5)
    tolerant.tell(*(ev.CheckpointRequested(r) for r in "abc"))
    assert [a.checkpoint for a in only(ev.Abort, tolerant.at(5))] == [1, 2, 3]


@pytest.mark.parametrize("healer", ["success", "restart"])
def test_a_success_and_a_restart_begin_to_count_anew(healer: str) -> None:
    job = Job(interval=None, tolerable_failures=1)
    job.tell(ev.CheckpointRequested("a"), ev.Declined(1, S0, "no"))
    if healer == "success":
        job.tell(ev.CheckpointRequested("b"))
        job.complete(2)
    else:
        job.tell(ev.TasksFailed("killed"))
        job.start()
        job.tell(ev.CheckpointRequested("b"), ev.AbortRequested(2, "nobody's fault"))
    said = job.tell(ev.CheckpointRequested("c"), ev.Declined(3, S0, "no"))
    assert only(ev.FailJob, said) == []


def test_savepoints_and_what_people_abort_are_not_counted() -> None:
    job = Job(interval=None, tolerable_failures=0)
    job.savepoint()
    said = job.tell(ev.Declined(1, S0, "disk full"))
    assert one(ev.Answer, said) == ev.Answer("r", 1, failure="task 0/0: disk full")
    job.tell(ev.CheckpointRequested("c"))
    said = job.tell(ev.AbortRequested(2, "enough"))
    assert said == [ev.Abort(2, "enough"), ev.Answer("c", 2, failure="enough")]


# Restarts


def test_a_failure_of_tasks_aborts_what_is_under_way_and_says_where_to_restart() -> None:
    job = Job()
    assert job.tell(ev.TasksFailed("killed")) == [ev.Restorable(None)]
    job.start()
    job.at(10)
    job.complete(1)
    job.at(20)
    assert job.tell(ev.TasksFailed("killed")) == [ev.Abort(2, "killed"), ev.Restorable(1)]
    assert job.at(30) == []
    assert job.coordinator.wake_at is None
    assert job.tell(ev.Acknowledged(2, S0, "late")) == []
    job.start(restored=1)
    assert triggered(job.at(40)) == [3]


@pytest.mark.parametrize(("outcome", "newest"), [("stored", 2), ("failed", 1)])
def test_a_restart_waits_for_the_outcome_of_what_is_being_stored(outcome: str, newest: int) -> None:
    job = Job()
    job.at(10)
    job.complete(1)
    job.at(20)
    job.ack(2)
    assert job.tell(ev.TasksFailed("killed")) == []
    assert job.tell(ev.TasksFailed("and another one")) == []
    event = ev.Stored(2) if outcome == "stored" else ev.StoreFailed(2, "away")
    said = job.tell(event)
    assert one(ev.Restorable, said) == ev.Restorable(newest)
    assert only(ev.NotifyCommitted, said) == []  # nobody is there; the restart commits


def test_each_failure_of_tasks_is_answered_while_nothing_is_in_doubt() -> None:
    job = Job()
    assert job.tell(ev.TasksFailed("one")) == [ev.Restorable(None)]
    assert job.tell(ev.TasksFailed("another region")) == [ev.Restorable(None)]


def test_tasks_that_were_not_restarted_keep_what_they_have_ended_and_owe() -> None:
    job = Job()
    job.at(10)
    job.complete(1, items=b"a")
    job.end(S0, K0)
    job.tell(ev.TasksFailed("region of S1, K1"))
    said = job.tell(ev.Started(TASKS, SOURCES, 1, (item(K1, b"a"),), restarted=frozenset((S1, K1))))
    assert said == [ev.NotifyCommitted(CommitPermit(1, 7), (K0, K1), (item(K1, b"a"),))]
    assert one(ev.Trigger, job.at(30)).tasks == (S0, S1, K0)


def test_a_restart_with_other_tasks_forgets_those_that_are_gone() -> None:
    job = Job()
    job.at(10)
    job.complete(1, items=b"a")
    job.end(K1)
    job.tell(ev.TasksFailed("rescaled"))
    fewer = TASKS - {K1}
    assert job.tell(
        ev.Started(fewer, SOURCES, 1, (item(K0, b"a"), item(K0, b"b")), restarted=frozenset((K0,)))
    ) == [ev.NotifyCommitted(CommitPermit(1, 7), (K0,), (item(K0, b"a"), item(K0, b"b")))]
    assert one(ev.Trigger, job.at(30)).tasks == (S0, S1)


# Ended tasks


def test_ended_tasks_are_triggered_directly() -> None:
    job = Job()
    assert job.end(S0) == []
    assert one(ev.Trigger, job.at(10)).tasks == (S0, S1)
    assert job.end(K0) == [ev.Trigger(Barrier(1), (K0,))]
    assert job.end(K0) == []
    job.ack(1, K1)
    assert job.end(K1) == []  # it has acknowledged
    said = job.ack(1, S0, S1, K0)
    assert one(ev.Store, said)


def test_when_all_have_ended_a_final_checkpoint_is_taken_committed_and_tasks_are_released() -> None:
    job = Job(interval=None)
    said = job.end()
    assert said == [ev.Trigger(Barrier(1), (S0, S1, K0, K1))]
    assert one(ev.Store, job.ack(1, items=b"z")).kind is Kind.FINAL
    assert only(ev.Release, job.tell(ev.Stored(1))) == []
    assert job.committed(1, K0) == []
    assert job.committed(1, K1) == [ev.Release(1)]
    assert job.committed(1, K1) == []
    assert one(ev.Answer, job.savepoint()).failure == "the job has just ended"


def test_a_checkpoint_under_way_when_the_last_task_ends_is_not_the_final_one() -> None:
    job = Job()
    job.at(10)
    job.end()
    said = job.complete(1)
    assert triggered(said) == [2]
    assert one(ev.Store, job.ack(2)).kind is Kind.FINAL
    assert one(ev.Release, job.tell(ev.Stored(2))) == ev.Release(2)


def test_a_final_checkpoint_that_fails_is_tried_again_after_a_moment() -> None:
    job = Job(tolerable_failures=1)
    job.end()
    assert triggered(job.tell(ev.Declined(1, S0, "away"))) == []
    assert job.coordinator.wake_at == 1.0
    assert triggered(job.at(1)) == [2]
    assert one(ev.FailJob, job.tell(ev.Declined(2, S0, "away")))


def test_there_is_one_final_checkpoint_however_many_may_overlap() -> None:
    job = Job(max_concurrent=3)
    assert triggered(job.end()) == [1]
    assert triggered(job.at(50)) == []


def test_a_savepoint_asked_for_at_the_very_end_is_still_taken() -> None:
    job = Job(interval=None)
    job.end()
    assert job.savepoint() == []
    said = job.complete(1)
    assert only(ev.Release, said) == []
    assert triggered(said) == [2]
    said = job.complete(2)
    assert said[-2:] == [ev.Answer("r", 2, "to/r"), ev.Release(1)]


# Commits of sinks


def test_sinks_that_do_not_answer_are_asked_again() -> None:
    job = Job(resend=3)
    job.at(10)
    job.complete(1, items=b"a")
    job.committed(1, K0)
    assert job.coordinator.wake_at == 13
    assert job.at(13) == [ev.NotifyCommitted(CommitPermit(1, 7), (K1,))]
    assert job.coordinator.wake_at == 16
    job.committed(1, K1)
    assert job.at(16) == []


def test_a_sink_that_takes_too_long_fails_the_job() -> None:
    job = Job(interval=None, timeout=20, resend=100)
    job.tell(ev.CheckpointRequested("r"))
    job.complete(1, items=b"a")
    job.committed(1, K1)
    assert job.coordinator.wake_at == 20
    assert "task 1/0 has not committed" in one(ev.FailJob, job.at(20)).reason


def test_what_is_prepared_and_not_known_to_be_committed_goes_into_the_next_manifest() -> None:
    job = Job(resend=100)
    job.at(10)
    job.complete(1, items=b"a")
    job.committed(1, K0)
    job.at(20)
    assert one(ev.Store, job.ack(2, items=b"b")).carried == (item(K1, b"a"),)
    job.tell(ev.Stored(2))
    job.committed(2, K1)  # answers for all before it, too
    job.at(30)
    assert one(ev.Store, job.ack(3)).carried == (item(K0, b"b"),)


def test_what_was_prepared_for_an_aborted_checkpoint_is_committed_with_the_next() -> None:
    job = Job()
    job.at(10)
    job.ack(1, K0, items=b"a")
    job.tell(ev.Declined(1, S0, "no"))
    job.ack(1, K1, items=b"a")
    job.at(20)
    assert one(ev.Store, job.ack(2)).carried == (item(K0, b"a"), item(K1, b"a"))
    job.tell(ev.Stored(2))
    assert job.at(25) == [ev.NotifyCommitted(CommitPermit(2, 7), (K0, K1))]


def test_results_of_a_former_life_are_dealt_until_they_are_committed() -> None:
    job = Job(start=False, resend=3)
    dealt = item(K0, b"old")
    notice = ev.NotifyCommitted(CommitPermit(5, 7), (K0,), (dealt,))
    assert job.start(dealt, restored=5) == [notice]
    assert job.at(3) == [notice]
    job.at(10)
    assert one(ev.Store, job.ack(6)).carried == (dealt,)
    said = job.tell(ev.Stored(6))
    assert one(ev.NotifyCommitted, said).former == (dealt,)
    job.committed(6, K0)
    job.at(20)
    assert one(ev.Store, job.ack(7)).carried == ()


def test_no_sink_may_answer_for_what_is_not_committed() -> None:
    job = Job(interval=None)
    job.tell(ev.CheckpointRequested("r"))
    job.ack(1, items=b"a")
    job.committed(1)
    job.tell(ev.Stored(1))
    assert job.at(5) == [ev.NotifyCommitted(CommitPermit(1, 7), (K0, K1))]


def test_what_a_late_acknowledgement_brings_is_asked_for_unless_it_was_committed_meanwhile() -> (
    None
):
    job = Job(max_concurrent=2)
    job.at(10)
    job.at(20)
    job.complete(2, items=b"b")
    job.committed(2, K0)
    job.committed(1, K0)  # of an earlier question; takes nothing back
    job.ack(1, K0, K1, items=b"a")
    assert job.at(25) == [ev.NotifyCommitted(CommitPermit(2, 7), (K1,))]
    job.at(30)
    assert one(ev.Store, job.ack(3)).carried == (item(K1, b"a"), item(K1, b"b"))


def test_strangers_owe_nothing_and_end_nothing() -> None:
    job = Job()
    job.at(10)
    stranger = TaskId(8, 0)
    job.tell(ev.Acknowledged(1, stranger, "", (item(stranger, b"x"),)), ev.TaskEnded(stranger))
    said = job.complete(1)
    assert job.at(15) == []
    assert only(ev.NotifyCommitted, said)[0].tasks == (S0, S1, K0, K1)
    assert one(ev.Trigger, job.at(20)).tasks == (S0, S1)


# Retention


def test_the_newest_are_kept_and_older_ones_retired_after_a_commit() -> None:
    job = Job(interval=None, retained=2)
    retired: list[int] = []
    for number in range(1, 6):
        job.tell(ev.CheckpointRequested(f"r{number}"))
        retired += [r.checkpoint for r in only(ev.Retire, job.complete(number))]
        assert len(retired) == max(0, number - 2)
    assert retired == [1, 2, 3]
    assert job.coordinator.retained == (4, 5)


def test_a_checkpoint_in_use_is_retired_when_its_last_user_leaves() -> None:
    job = Job(interval=None, retained=1)
    job.tell(ev.CheckpointRequested("a"))
    job.complete(1)
    job.tell(ev.UseBegan(1), ev.UseBegan(1), ev.CheckpointRequested("b"))
    assert only(ev.Retire, job.complete(2)) == []
    assert job.tell(ev.UseEnded(1)) == []
    assert job.tell(ev.UseEnded(1)) == [ev.Retire(1)]


def test_savepoints_are_neither_counted_nor_retired_nor_restarted_from() -> None:
    job = Job(interval=None, retained=1)
    job.tell(ev.CheckpointRequested("a"))
    job.complete(1)
    for number in (2, 3):
        job.savepoint(f"s{number}")
        said = job.complete(number)
        assert only(ev.Retire, said) == []
        assert only(ev.NotifyCommitted, said) == []
        assert one(ev.Answer, said) == ev.Answer(f"s{number}", number, f"to/s{number}")
    assert job.coordinator.retained == (1,)
    assert one(ev.Restorable, job.tell(ev.TasksFailed("x"))) == ev.Restorable(1)


def test_what_an_aborted_one_left_is_discarded_after_a_newer_commit_and_again_when_late() -> None:
    job = Job(interval=None)
    job.tell(ev.CheckpointRequested("a"))
    assert only(ev.Discard, job.tell(ev.Declined(1, S0, "no"))) == []
    assert job.ack(1, K0) == []
    job.tell(ev.CheckpointRequested("b"))
    assert only(ev.Discard, job.complete(2)) == [ev.Discard(1)]
    assert job.ack(1, K1) == [ev.Discard(1)]
    assert job.ack(2, K1) == []  # that one is committed


def test_nothing_is_deleted_where_another_savepoint_goes() -> None:
    job = Job(interval=None)
    job.savepoint("a")
    job.tell(ev.Declined(1, S0, "no"))
    job.tell(ev.SavepointRequested("b", "to/a"))
    job.complete(2)
    job.tell(ev.CheckpointRequested("c"))
    assert only(ev.Discard, job.complete(3)) == []
    assert job.ack(1, K0) == []


# What people see


def test_records_tell_what_became_of_a_checkpoint() -> None:
    job = Job(history=2)
    job.at(10)
    job.now = 11
    job.ack(1, S0, K0)
    record = job.coordinator.under_way(12.5)[0]
    assert (record.status, record.triggered, record.duration, record.tasks) == (
        Status.RUNNING,
        10,
        2.5,
        4,
    )
    assert record.acks == ((S0, 1), (K0, 1))
    job.now = 13
    job.ack(1, S1, K1)
    assert job.coordinator.under_way(13)[0].status is Status.STORING
    job.now = 14
    job.tell(ev.Stored(1))
    done = job.coordinator.history[-1]
    assert (done.checkpoint, done.status, done.duration) == (1, Status.COMPLETED, 4)
    for number in (2, 3):
        job.tell(ev.CheckpointRequested(f"r{number}"), ev.Declined(number, S0, "no"))
    assert [r.checkpoint for r in job.coordinator.history] == [2, 3]


def test_when_the_job_is_over_everybody_is_answered_and_nothing_comes_after() -> None:
    job = Job(interval=None)
    job.savepoint("a")
    job.savepoint("b")
    said = job.tell(ev.Closed("cancelled"))
    assert said == [
        ev.Abort(1, "cancelled"),
        ev.Answer("a", 1, failure="cancelled"),
        ev.Answer("b", failure="cancelled"),
    ]
    assert job.savepoint("c") == [ev.Answer("c", failure="the job is over")]
    assert job.ack(1) == []
    assert job.coordinator.wake_at is None


def test_what_is_being_stored_at_the_end_is_left_in_doubt() -> None:
    job = Job(interval=None)
    job.savepoint("a")
    job.ack(1)
    answer = one(ev.Answer, said := job.tell(ev.Closed("cancelled")))
    assert only(ev.Abort, said) == []
    assert answer.savepoint == "to/a"
    assert answer.failure == "cancelled, while it was being stored: it may be complete"


def test_requests_are_refused_while_tasks_do_not_run_and_repeated_ones_ignored() -> None:
    job = Job(start=False, interval=None)
    refusal = one(ev.Answer, job.savepoint("a")).failure
    assert refusal == "the job is starting or restarting; ask again when it runs"
    job.start()
    job.savepoint("b")
    assert job.savepoint("b") == []
    assert job.savepoint("c") == []
    assert job.savepoint("c") == []
    said = job.tell(ev.TasksFailed("killed"))
    assert [a.request for a in only(ev.Answer, said)] == ["b", "c"]


def test_tasks_that_die_after_their_release_are_released_again_without_another_snapshot() -> None:
    # Those that have gone could take no part in it.
    job = Job()
    job.end()
    assert one(ev.Release, job.complete(1)) == ev.Release(1)
    job.tell(ev.TasksFailed("killed"))
    said = job.tell(ev.Started(TASKS, SOURCES, 1, (), frozenset((S1, K1))))
    said += job.end(S1, K1)
    assert only(ev.Trigger, said) == []
    assert one(ev.Release, said) == ev.Release(1)
