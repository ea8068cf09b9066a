"""The service asks JobManagers over HTTPS: every question as JobManagers understand it, and only of the right one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flowjob.cluster.identity import API_CLIENTS, JOBMANAGER, SERVICE, JobId
from flowjob.cluster.job_details import DetailsError, JobDetails, LogQuery, MetricsQuery
from flowjob.runtime.real.details_api import DetailsApi
from flowjob.runtime.real.internal_api import ApiServer
from flowjob.runtime.real.tls import api_ssl_context
from flowjob_api.clock import RealClock
from flowjob_api.service_metrics import ServiceMetrics
from flowjob_api.services.cluster.jobmanagers import JobManagers, Reach
from tests.certificates import JOB, Authority
from tests.rest.samples import FakeDetails

Ask = Callable[[JobDetails], Awaitable[Any]]
QUESTIONS: dict[str, Ask] = {
    "job": lambda d: d.job(),
    "graph": lambda d: d.graph(subtasks=True),
    "tasks": lambda d: d.tasks(vertex=3),
    "checkpoints": lambda d: d.checkpoints(),
    "checkpoint": lambda d: d.checkpoint(7),
    "snapshots": lambda d: d.snapshots(),
    "exceptions": lambda d: d.exceptions(),
    "metrics": lambda d: d.metrics(MetricsQuery(vertex=-1, names=["busy", "lag"], window="1h")),
    "logs": lambda d: d.logs(
        LogQuery(after=3, level="WARNING", vertex=1, subtask=0, source="Slot", text="a&b=c")
    ),
    "configuration": lambda d: d.configuration(),
    "plan": lambda d: d.plan(),
    "changes": lambda d: d.changes(after=0),
}


def asked_of(
    test: Callable[[JobManagers, FakeDetails], Awaitable[None]], tmp_path: Path, serves: JobId = JOB
) -> None:
    """With a JobManager that has the identity of `serves`."""

    async def work() -> None:
        authority = Authority()
        manager = authority.identity(tmp_path / "manager", JOBMANAGER, serves)
        service = authority.identity(tmp_path / "service", SERVICE, None)
        details = FakeDetails()
        api: Any = SimpleNamespace(details=DetailsApi(details))
        server = ApiServer(api, lambda: api_ssl_context(manager, API_CLIENTS))
        await server.listen("127.0.0.1", 0)

        async def addresses(job: JobId) -> list[str]:
            return [f"127.0.0.1:{server.port}"]

        async with JobManagers(
            Reach(service, addresses), RealClock(), ServiceMetrics()
        ) as managers:
            try:
                await test(managers, details)
            finally:
                await server.close()

    asyncio.run(work())


def test_every_question_is_understood_and_its_answer_too(tmp_path: Path) -> None:
    async def test(managers: JobManagers, details: FakeDetails) -> None:
        for name, ask in QUESTIONS.items():
            assert await ask(managers.of(JOB)) == await ask(details), name

    asked_of(test, tmp_path)


@pytest.mark.parametrize("code", ["UNKNOWN", "BAD_REQUEST", "STORAGE"])
def test_a_refusal_keeps_its_code(code: str, tmp_path: Path) -> None:
    async def test(managers: JobManagers, details: FakeDetails) -> None:
        details.fails = DetailsError(code, "why")
        with pytest.raises(DetailsError, match="why") as refused:
            await managers.of(JOB).graph()
        assert refused.value.code == code

    asked_of(test, tmp_path)


def test_one_that_does_not_lead_is_no_answer(tmp_path: Path) -> None:
    async def test(managers: JobManagers, details: FakeDetails) -> None:
        details.fails = DetailsError("NOT_LEADING", "another leads")
        with pytest.raises(DetailsError) as refused:
            await managers.of(JOB).graph()
        assert refused.value.code == "UNREACHABLE"

    asked_of(test, tmp_path)


def test_the_job_manager_of_another_life_of_the_job_is_not_believed(tmp_path: Path) -> None:
    async def test(managers: JobManagers, details: FakeDetails) -> None:
        with pytest.raises(DetailsError) as refused:
            await managers.of(JOB).graph()
        assert refused.value.code == "UNREACHABLE"
        assert details.asked == []

    asked_of(test, tmp_path, JobId(JOB.namespace, JOB.name, "another"))
