"""What people read when a job is restarted: one line, which says what happened."""

from __future__ import annotations

import pytest

from flowjob.core.failures import ErrorInfo, ErrorKind
from flowjob.core.job_events import Failed, Lost, Outcome
from flowjob.runtime.jobmanager.telling import cause_of

DEFECT = """Traceback (most recent call last):
  File "sink.py", line 3, in write
    put(row)
IndexError: 7
in operator: jsonl out (subtask 1)"""


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (Lost("slot 1 was killed\nits last words"), "slot 1 was killed"),
        (Failed(ErrorInfo(ErrorKind.ENGINE, "STATE", "no\nmore"), "slot 1"), "no in slot 1"),
        (Failed(ErrorInfo(ErrorKind.ENGINE, "JOB", DEFECT), "slot 1"), "IndexError: 7 in slot 1"),
        (
            Failed(ErrorInfo(ErrorKind.USER, "USER_CODE", "ValueError: x", subtask=2), "slot 1"),
            "ValueError: x in slot 1 (subtask 2)",
        ),
    ],
)
def test_a_failure_is_told_in_a_line(outcome: Outcome, line: str) -> None:
    assert cause_of(outcome) == line
