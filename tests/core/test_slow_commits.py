"""Sinks that need longer to commit than checkpoints may take: more time with every restart, and not for ever."""

from __future__ import annotations

from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob.core.commit_ledger import MOST_LATE, CommitLedger
from flowjob.core.coordinator_events import Prepared, Started
from flowjob.core.job_events import TaskId

SINK = TaskId(1, 0)
TASKS = frozenset({TaskId(0, 0), SINK})


def begun(ledger: CommitLedger, now: float) -> None:
    """All tasks are new, and checkpoint 5 has something for the sink to commit."""
    pending = (Prepared(SINK, "files", (b"x",)),)
    ledger.started(Started(TASKS, frozenset({TaskId(0, 0)}), 5, pending), now)


def restarted_until_it_gives_up(ledger: CommitLedger) -> list[float]:
    """Seconds that the sink got, each time."""
    now, got = 0.0, []
    while not ledger.is_hopeless:
        begun(ledger, now)
        due = now + ledger.patience
        assert ledger.overdue(due - 0.1) is None
        got.append(ledger.patience)
        assert ledger.overdue(due) is not None
        now = due
    return got


def test_a_sink_gets_twice_as_long_with_every_restart_and_then_the_job_fails_for_good() -> None:
    ledger = CommitLedger(CheckpointSettings(timeout=10.0), 1, 5)
    assert restarted_until_it_gives_up(ledger) == [10.0, 20.0, 40.0, 80.0, 160.0][: MOST_LATE + 1]


def test_a_slow_sink_that_comes_through_once_begins_anew() -> None:
    ledger = CommitLedger(CheckpointSettings(timeout=10.0), 1, 5)
    begun(ledger, 0.0)
    assert ledger.overdue(10.0) is not None
    begun(ledger, 10.0)
    assert ledger.patience == 20.0
    ledger.committed(5, SINK)
    assert ledger.patience == 10.0
    assert not ledger.is_hopeless


def test_the_message_names_the_sink_and_says_what_happens_next() -> None:
    ledger = CommitLedger(CheckpointSettings(timeout=10.0), 1, 5)
    begun(ledger, 0.0)
    said = ledger.overdue(10.0, lambda task: f"write {task.subtask + 1}/2")
    assert said is not None
    assert said.startswith(
        "the sink in write 1/2 has not committed its results of checkpoint 5 within 10 s; "
    )
    assert "after a restart it gets 20 s" in said
    assert "raise the timeout of checkpoints" in said
