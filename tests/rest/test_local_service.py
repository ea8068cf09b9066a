"""A local service: who is let in, what is asked of the job, once per key, and how often."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from flowjob.cluster import control_api as asked
from flowjob_api.settings import Settings
from tests.rest.local_world import JOB, Local, in_local


@pytest.mark.parametrize(
    ("path", "body", "kind", "expected"),
    [
        ("savepoints", {"name": "first"}, "Savepoint", asked.TakeSavepoint(name="first")),
        ("stop", {"name": "end", "drain": True, "timeout": "30s"}, "Stop",
         asked.StopJob(name="end", drain=True, timeout="30s")),
        ("scale", {"parallelism": 4}, "Scale", asked.Rescale(parallelism=4, task_managers=3)),
        ("cancel", None, "Cancel", asked.CancelJob()),
        ("restart", {"reason": "why not"}, "Restart", asked.NewAttempt(reason="why not")),
    ],
)  # fmt: skip
def test_actions_are_the_operations_of_job_managers(
    path: str, body: Any, kind: str, expected: asked.Request
) -> None:
    async def test(local: Local) -> None:
        answer = await local.http.post(f"{JOB}/{path}", json=body)
        operation = answer.json()
        assert (answer.status_code, operation["kind"], operation["state"]) == (202, kind, "Running")
        assert local.live.operations.requests == {operation["id"]: expected}
        assert (await local.http.get(JOB)).json()["operation"]["id"] == operation["id"]
        local.live.operations.end(operation["id"], state="Failed", error="no", error_code="PLAN")
        found = (await local.http.get(answer.headers["location"])).json()
        assert (found["state"], found["error"]) == ("Failed", {"code": "PLAN", "message": "no"})
        assert (await local.http.get(JOB)).json()["operation"] is None

    in_local(test)


def test_under_one_key_there_is_one_operation_and_another_request_is_refused() -> None:
    async def test(local: Local) -> None:
        key = {"Idempotency-Key": "5f0c"}
        first = await local.http.post(f"{JOB}/scale", json={"parallelism": 4}, headers=key)
        again = await local.http.post(f"{JOB}/scale", json={"parallelism": 4}, headers=key)
        assert first.json()["id"] == again.json()["id"]
        other = await local.http.post(f"{JOB}/scale", json={"parallelism": 5}, headers=key)
        assert (other.status_code, other.json()["code"]) == (409, "KEY_REUSED")
        assert len(local.live.operations.requests) == 1

    in_local(test)


def test_operations_are_remembered_in_bounded_memory() -> None:
    async def test(local: Local) -> None:
        ids = [(await local.http.post(f"{JOB}/restart")).json()["id"] for _ in range(203)]
        answers = [(await local.http.get(f"/api/v1/operations/{id}")).status_code for id in ids]
        assert answers == [404] * 3 + [200] * 200

    in_local(test, settings=Settings(writes_at_once=1000))


def test_a_write_is_bound_to_what_was_seen() -> None:
    async def test(local: Local) -> None:
        tag = {"If-Match": (await local.http.get(JOB)).headers["etag"]}
        assert (await local.http.post(f"{JOB}/restart", headers=tag)).status_code == 202
        stale = await local.http.post(f"{JOB}/restart", headers=tag)
        counted = (await local.http.get("/metrics")).text
        assert 'flowjob_api_writes_total{kind="Restart",result="accepted"} 1.0' in counted
        assert (
            'flowjob_api_writes_total{kind="Restart",result="PRECONDITION_FAILED"} 1.0' in counted
        )
        assert (stale.status_code, stale.json()["code"]) == (412, "PRECONDITION_FAILED")
        assert (
            await local.http.post(f"{JOB}/restart", headers={"If-Match": "*"})
        ).status_code == 202

    in_local(test)


def test_nothing_is_asked_of_a_job_that_is_over() -> None:
    async def test(local: Local) -> None:
        details = local.live.details
        view = msgspec.structs.replace(details.facts.view, state="Finished")
        details.facts = msgspec.structs.replace(details.facts, view=view)
        assert (await local.http.get(JOB)).json()["actions"] == []
        answer = await local.http.post(f"{JOB}/cancel")
        assert (answer.status_code, answer.json()["code"]) == (409, "NOT_NOW")

    in_local(test)


def test_writes_of_one_caller_are_limited_and_told_when_to_come_again() -> None:
    async def test(local: Local) -> None:
        answers = [await local.http.post(f"{JOB}/restart") for _ in range(3)]
        assert [a.status_code for a in answers] == [202, 202, 429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert (await local.http.get(JOB)).status_code == 200

    in_local(test, settings=Settings(writes_at_once=2, writes_per_minute=1))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:8081"}, 202), ({"Host": "127.0.0.1:8081"}, 202), ({"Host": "[::1]:8081"}, 202),
        ({"Host": "evil.example"}, 403), ({"Host": "localhost.evil.example"}, 403), ({"Host": ""}, 403),
        ({"Host": "localhost", "Origin": "http://localhost"}, 202),
        ({"Host": "localhost", "Origin": "http://evil.example"}, 403),
        ({"Host": "localhost", "Origin": "null"}, 403),
        ({"Host": "localhost:8081", "Origin": "http://localhost:9999"}, 403),
        ({"Host": "localhost", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "localhost", "Sec-Fetch-Site": "same-site"}, 403),
    ],
)  # fmt: skip
def test_without_a_token_only_this_machine_is_answered_and_no_other_sites_page(
    headers: dict[str, str], status: int
) -> None:
    async def test(local: Local) -> None:
        answer = await local.http.post(f"{JOB}/cancel", headers=headers)
        assert answer.status_code == status
        assert len(local.live.operations.requests) == (1 if status == 202 else 0)

    in_local(test)


def test_with_a_token_nobody_gets_past_without_it() -> None:
    async def test(local: Local) -> None:
        for method, path in (
            ("GET", "/api/v1/jobs"),
            ("POST", f"{JOB}/cancel"),
            ("GET", f"{JOB}/events"),
        ):
            for header in ("", "Bearer wrong", "Bearer secre", "Bearer secret2"):
                given = {"Authorization": header} if header else {}
                assert (await local.http.request(method, path, headers=given)).status_code == 401
        right = {"Authorization": "Bearer secret"}
        assert (await local.http.get("/api/v1/jobs", headers=right)).status_code == 200
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/api/v1/session"):
            assert (await local.http.get(path)).status_code == 200

    in_local(test, token="secret")


def test_a_login_off_this_machine_needs_tls() -> None:
    async def test(local: Local) -> None:
        local.http._transport.client = ("10.0.0.7", 1)  # type: ignore[attr-defined]
        answer = await local.http.post("/api/v1/session", json={"token": "secret"})
        assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
        answer = await local.http.post("https://localhost/api/v1/session", json={"token": "secret"})
        assert answer.status_code == 200
        assert "Secure" in answer.headers["set-cookie"]

    in_local(test, token="secret")


def test_under_a_sub_path_links_and_cookies_are_of_that_path() -> None:
    async def test(local: Local) -> None:
        right = {"Authorization": "Bearer secret"}
        answer = await local.http.post(f"{JOB}/restart", headers=right)
        where = answer.headers["location"]
        assert where == f"/flowjob/api/v1/operations/{answer.json()['id']}"
        answer = await local.http.post("/api/v1/session", json={"token": "secret"})
        assert "Path=/flowjob;" in answer.headers["set-cookie"]

    in_local(test, token="secret", settings=Settings(root_path="/flowjob"))
