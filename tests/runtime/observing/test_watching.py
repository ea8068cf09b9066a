"""Who watches a job cannot hurt it; and who does not lead says who does."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import Any

import pytest

from flowjob.cluster.control_api import NotLeader, TakeCheckpoint
from flowjob.cluster.job_details import DetailsError, JobDetails, LogQuery, MetricsQuery
from flowjob.runtime.observing.details import AskedOperations, ObservedJob
from flowjob.runtime.observing.watching import Guarded, Watcher

METHODS = [name for name in vars(Watcher) if not name.startswith("_")]


@pytest.mark.parametrize("method", METHODS)
def test_a_defect_of_a_watcher_is_logged_and_goes_no_further(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Watcher):
        def __getattribute__(self, name: str) -> Any:
            if name in METHODS:
                return broken
            return super().__getattribute__(name)

    def broken(*arguments: object) -> None:
        raise RuntimeError("a defect")

    told: Any = getattr(Guarded(Broken()), method)
    with caplog.at_level(logging.ERROR):
        told(*[None] * len(inspect.signature(told).parameters))
    assert "a defect" in caplog.text


class Standby:
    """A host that does not lead."""

    env = None

    def answer(self) -> NotLeader:
        return NotLeader(leader="10.0.0.1:7402")


QUERIES: dict[str, Any] = {
    "checkpoint": (7,), "metrics": (MetricsQuery(),), "logs": (LogQuery(),),
}  # fmt: skip


@pytest.mark.parametrize("method", [n for n in vars(JobDetails) if not n.startswith("_")])
def test_a_jobmanager_that_does_not_lead_names_the_one_that_does(method: str) -> None:
    standby: Any = Standby()
    asked = getattr(ObservedJob(standby), method)(*QUERIES.get(method, ()))
    with pytest.raises(DetailsError) as refused:
        asyncio.run(asked)
    assert (refused.value.code, refused.value.leader) == ("NOT_LEADING", "10.0.0.1:7402")


def test_nor_does_it_take_orders() -> None:
    standby: Any = Standby()
    missing: Any = None
    operations = AskedOperations(standby, missing)
    for asked in (operations.ask("a", TakeCheckpoint()), operations.look("a")):
        with pytest.raises(DetailsError, match="does not lead"):
            asyncio.run(asked)
