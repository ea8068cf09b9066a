"""JobManagers and TaskManagers by a job file, as an operator sees them: real processes, asked over HTTP."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowjob.cluster.control_api import NewAttempt, Rescale, StopJob, TakeSavepoint
from tests.cluster.pods import Pods

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Pods]:
    found = Pods(tmp_path, rows=3000)
    yield found
    found.end()


def test_a_job_is_rescaled_from_one_to_four_to_two_in_place_and_its_result_is_exact(
    pods: Pods,
) -> None:
    leader = pods.jobmanager()
    for ordinal in range(4):
        pods.taskmanager(ordinal)
    pods.until(pods.has_completed(2))
    pods.until(pods.has_taskmanagers(4))
    for parallelism in (4, 2):
        wish = Rescale(parallelism=parallelism, task_managers=parallelism)
        done = pods.ask(f"rescale-{parallelism}", wish)
        assert done.state == "Done", done
        view = pods.view()
        assert view is not None
        assert (view.state, view.parallelism, view.restarts) == ("Running", parallelism, 0)
        assert view.slots.offered == parallelism
        pods.until(pods.has_completed(view.checkpoints.completed + 1))
    assert leader.poll() is None
    pods.until(pods.is_in("Finished"))
    assert pods.results() == pods.expected()


def test_one_savepoint_is_taken_per_name_and_a_stopped_job_stays_to_say_where_its_last_one_is(
    pods: Pods,
) -> None:
    leader = pods.jobmanager()
    dismissed = pods.taskmanager(0)
    pods.until(pods.is_in("Running"))
    pods.until(lambda: pods.readiness(dismissed) == 200)
    taken = pods.ask("uid.1", TakeSavepoint(name="mine"))
    assert taken.state == "Done", taken
    assert taken.snapshot is not None
    assert taken.snapshot.path.endswith("/data/counted/u-1/savepoints/mine")
    again = pods.ask("uid.1-again", TakeSavepoint(name="mine"))
    assert (again.state, again.snapshot) == ("Done", taken.snapshot)
    stopped = pods.ask("uid.2", StopJob(name="last"))
    assert stopped.state == "Done", stopped
    view = pods.until(pods.is_in("Suspended"))
    assert view.final == stopped.snapshot
    assert view.final.type == "Savepoint"
    # It stays a moment for whoever ends its pod: a container that exits would be started again at once.
    pods.until(lambda: pods.readiness(dismissed) == 503)
    dismissed.send_signal(signal.SIGTERM)
    assert dismissed.wait(20) == 0
    leader.kill()
    leader.wait()
    leader = pods.jobmanager()  # its pod was moved: the log says how it is
    view = pods.until(pods.is_in("Suspended"))
    assert view.final == stopped.snapshot
    leader.send_signal(signal.SIGTERM)
    assert leader.wait(20) == 0
    pods.jobmanager(revision=2, run="2")
    pods.taskmanager(0)  # the one before has ended with the job
    pods.until(pods.is_in("Finished"))
    assert pods.results() == pods.expected()


def test_a_taskmanager_that_is_told_to_end_does_not_wait_for_a_jobmanager_that_has_ended(
    pods: Pods,
) -> None:
    leader = pods.jobmanager()
    leaving = pods.taskmanager(0)
    pods.until(pods.has_completed(1))
    leader.kill()
    leader.wait()
    leaving.send_signal(signal.SIGTERM)
    assert leaving.wait(20) == 0, "nobody is there who could take its tasks elsewhere"


def test_a_taskmanager_that_is_told_to_end_leaves_with_a_checkpoint_and_nothing_counts_as_a_failure(
    pods: Pods,
) -> None:
    pods.jobmanager()
    leaving = pods.taskmanager(0)
    pods.until(pods.has_completed(1))
    pods.taskmanager(1)
    pods.until(lambda: (view := pods.view()) and view.slots.task_managers == 2)
    leaving.send_signal(signal.SIGTERM)
    assert leaving.wait(50) == 0
    view = pods.until(pods.is_in("Running"))
    assert (view.restarts, view.slots.task_managers) == (0, 1)
    done = pods.ask("again", NewAttempt(reason="of its template"))
    assert done.state == "Done", done
    view = pods.until(pods.is_in("Finished"))
    assert view.restarts == 0
    assert pods.results() == pods.expected()
