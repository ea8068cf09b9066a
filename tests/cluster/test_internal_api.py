"""The JobManager's internal API: codes, idempotence, and HTTP around it."""

from __future__ import annotations

import asyncio
import json
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from flowjob.cluster.control_api import (
    CancelJob,
    JobManagerView,
    NotLeader,
    OperationView,
    Request,
    Rescale,
)
from flowjob.cluster.job_details import DetailsError, LogQuery, Logs, MetricsQuery
from flowjob.errors import Unreachable
from flowjob.runtime.real.details_api import DetailsApi
from flowjob.runtime.real.internal_api import LARGEST_BODY, ApiServer, InternalApi

VIEW = JobManagerView(uid="u", revision=1, state="Running")
RESCALE = msgspec.json.encode(Rescale(parallelism=2, task_managers=2))


class Host:
    def __init__(self, answer: JobManagerView | NotLeader = VIEW) -> None:
        self.found = answer

    def answer(self) -> JobManagerView | NotLeader:
        return self.found


class Operations:
    """Remembers what was asked."""

    def __init__(self) -> None:
        self.known: dict[str, Request] = {}

    def ask(self, id: str, request: Request) -> OperationView | None:
        if self.known.setdefault(id, request) != request:
            return None
        return OperationView(id=id, state="UnderWay")

    def look(self, id: str) -> OperationView | None:
        return OperationView(id=id, state="Done") if id in self.known else None


class Details:
    """Knows one checkpoint, and says what it was asked."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def __getattr__(self, name: str) -> Any:
        async def answered(*args: object, **named: object) -> msgspec.Struct:
            self.asked.append((name, *args, *named.values()))
            if name == "job":
                raise DetailsError("NOT_LEADING", "another one leads", "10.0.0.1:7402")
            if name == "checkpoint" and args != (7,):
                raise DetailsError("UNKNOWN", "there is none of that number")
            return Logs(next=3)

        return answered


def api(answer: JobManagerView | NotLeader = VIEW) -> InternalApi:
    host: Any = Host(answer)
    operations: Any = Operations()
    details: Any = Details()
    return InternalApi(host, operations, details)


def told(answer: tuple[int, Any]) -> tuple[int, str | None]:
    return answer[0], getattr(answer[1], "code", None)


def test_the_same_request_under_the_same_id_is_the_same_operation() -> None:
    found = api()
    first = found.ask("uid.1", RESCALE)
    assert (
        first == found.ask("uid.1", RESCALE) == (200, OperationView(id="uid.1", state="UnderWay"))
    )
    other = msgspec.json.encode(CancelJob())
    assert told(found.ask("uid.1", other)) == (409, "CONFLICT")
    assert found.look("uid.1")[0] == 200
    assert told(found.look("uid.2")) == (404, "UNKNOWN_OPERATION")


@pytest.mark.parametrize(
    ("id", "body"),
    [
        ("a/b", RESCALE),
        ("", RESCALE),
        ("a", b"{}"),
        ("a", b'{"kind":"Dance"}'),
        ("a", b"\xff"),
        ("a", b'{"kind":"Rescale"}'),
    ],
)
def test_what_is_no_request_is_refused(id: str, body: bytes) -> None:
    assert told(api().ask(id, body)) == (400, "BAD_REQUEST")


def test_who_does_not_lead_names_the_leader_whatever_is_asked() -> None:
    away = NotLeader(leader="10.0.0.1:7402")
    found = api(away)
    assert found.status() == found.look("a") == found.ask("a", RESCALE) == (421, away)


@pytest.mark.parametrize(
    ("path", "params", "asked"),
    [
        ("checkpoints", {}, ("checkpoints",)),
        ("checkpoints/7", {}, ("checkpoint", 7)),
        ("graph", {"subtasks": "true"}, ("graph", True)),
        ("tasks", {"vertex": "3"}, ("tasks", 3)),
        ("changes", {"after": "4", "wait": "2.5"}, ("changes", 4, 2.5)),
        ("metrics", {"names": "rowsIn,busy", "window": "1h"},
         ("metrics", MetricsQuery(names=["rowsIn", "busy"], window="1h"))),
        ("logs", {"after": "9", "level": "ERROR", "text": "a b"},
         ("logs", LogQuery(after=9, level="ERROR", text="a b"))),
    ],
)  # fmt: skip
def test_a_question_about_the_job_is_read_from_its_path_and_parameters(
    path: str, params: dict[str, str], asked: tuple[object, ...]
) -> None:
    details: Any = Details()
    assert asyncio.run(DetailsApi(details).answer(path, params)) == (200, Logs(next=3))
    assert details.asked == [asked]


@pytest.mark.parametrize(
    ("path", "params", "answer"),
    [
        ("", {}, (404, "UNKNOWN")),
        ("secrets", {}, (404, "UNKNOWN")),
        ("plan/x", {}, (404, "UNKNOWN")),
        ("checkpoints/8", {}, (404, "UNKNOWN")),
        ("checkpoints/-1", {}, (400, "BAD_REQUEST")),
        ("checkpoints/" + "9" * 400, {}, (400, "BAD_REQUEST")),
        ("graph", {"subtasks": "maybe"}, (400, "BAD_REQUEST")),
        ("plan", {"verbose": "true"}, (400, "BAD_REQUEST")),
        ("logs", {"level": "LOUD"}, (400, "BAD_REQUEST")),
        ("logs", {"wait": "soon"}, (400, "BAD_REQUEST")),
        ("metrics", {"window": "1y"}, (400, "BAD_REQUEST")),
    ],
)
def test_what_is_no_question_about_the_job_is_refused(
    path: str, params: dict[str, str], answer: tuple[int, str]
) -> None:
    details: Any = Details()
    assert told(asyncio.run(DetailsApi(details).answer(path, params))) == answer


def test_who_does_not_lead_names_the_leader_to_those_who_ask_about_the_job() -> None:
    details: Any = Details()
    away = NotLeader(leader="10.0.0.1:7402")
    assert asyncio.run(DetailsApi(details).answer("job", {})) == (421, away)


@pytest.fixture
def quiet() -> Iterator[None]:
    logger = logging.getLogger("uvicorn.error")
    before = logger.level
    yield
    logger.setLevel(before)


def test_it_is_served_over_http(quiet: None) -> None:
    def call(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                text = error.read()
                is_json = error.headers["Content-Type"] == "application/json"
                return error.code, json.loads(text) if is_json else None

    async def scenario() -> None:
        server = ApiServer(api(), None)
        await server.listen("127.0.0.1", 0)

        async def asked(*what: Any) -> tuple[int, Any]:
            return await asyncio.to_thread(call, server.port, *what)

        try:
            status = await asked("GET", "/internal/v1/status")
            assert status == (200, {"uid": "u", "revision": 1, "state": "Running"})
            put = await asked("PUT", "/internal/v1/operations/uid.1", RESCALE)
            assert put == (200, {"id": "uid.1", "state": "UnderWay"})
            long = await asked("PUT", "/internal/v1/operations/a", b"x" * (LARGEST_BODY + 1))
            assert long[0] == 413
            assert (await asked("GET", "/internal/v1/operations/none"))[0] == 404
            assert (await asked("DELETE", "/internal/v1/status"))[0] == 405
            logs = await asked("GET", "/internal/v1/details/logs?after=2&text=a%20b")
            assert logs == (200, {"next": 3})
            assert (await asked("GET", "/internal/v1/details/job"))[0] == 421
            assert (await asked("GET", "/internal/v1/details/a/b/c"))[0] == 404
            with pytest.raises(Unreachable, match="for the internal API"):
                await ApiServer(api(), None).listen("192.0.2.1", 1)
        finally:
            await server.close()

    asyncio.run(scenario())
