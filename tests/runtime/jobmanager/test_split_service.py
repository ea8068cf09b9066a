"""Splits of whole jobs: whether some of their readers can go back to where a snapshot has them, or to the beginning."""

from __future__ import annotations

from typing import Any

import pytest

import flowjob as fj
from flowjob.core.job_events import TaskId
from flowjob.core.split_assignment import Remembered
from flowjob.plan import compile_job
from flowjob.runtime.jobmanager.splits import SplitService
from flowjob.runtime.wire import WireSplit
from tests.runtime.fake_program import Numbers

ONE, BOTH = [TaskId(0, 0)], [TaskId(0, 0), TaskId(0, 1)]
READ: Remembered[WireSplit] = Remembered(finished=frozenset({"a"}))


def splits() -> SplitService:
    job = fj.Job("j")
    job.write(job.read(Numbers(count=3)), fj.discard())
    missing: Any = None
    return SplitService(missing, compile_job(job, parallelism=2), lambda *_: None, missing)


@pytest.mark.parametrize(
    ("tasks", "begun_from", "remembered", "beyond"),
    [
        (ONE, {}, {}, False),  # no snapshot was ever taken: some begin again, the others go on
        (ONE, {0: READ}, {0: READ}, False),
        (ONE, {0: READ}, {}, True),
        (BOTH, {0: READ}, {}, False),
        ([], {0: READ}, {}, False),
    ],
)
def test_some_readers_cannot_go_back_beyond_what_the_others_have_begun_from(
    tasks: list[TaskId],
    begun_from: dict[int, Remembered[WireSplit]],
    remembered: dict[int, Remembered[WireSplit]],
    beyond: bool,
) -> None:
    service = splits()
    service.reset(BOTH, begun_from)
    assert service.is_beyond(tasks, remembered) is beyond
