"""A local service: who is let in, what is asked of the job, once per key, and how often."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from flowjob.cluster import control_api as asked
from flowjob.cluster import local_requests as own
from flowjob_api.settings import Settings
from tests.rest.local_world import JOB, Local, check, in_local


@pytest.mark.parametrize(
    ("path", "body", "kind", "expected"),
    [
        ("savepoints", {"name": "first"}, "Savepoint", asked.TakeSavepoint(name="first")),
        ("stop", {"name": "end", "drain": True, "timeout": "30s"}, "Stop",
         asked.StopJob(name="end", drain=True, timeout="30s")),
        ("scale", {"parallelism": 4}, "Scale", asked.Rescale(parallelism=4, task_managers=3)),
        ("cancel", None, "Cancel", asked.CancelJob()),
        ("restart", {"reason": "why not"}, "Restart", asked.NewAttempt(reason="why not")),
        ("restore", {"snapshot": "first"}, "Restore", own.RestoreJob(name="first")),
        ("restore", {"path": "/x/y"}, "Restore", own.RestoreJob(path="/x/y")),
        ("snapshots/first/verify", None, "VerifySnapshot", own.VerifySnapshot(name="first")),
    ],
)  # fmt: skip
def test_actions_are_the_operations_of_job_managers(
    path: str, body: Any, kind: str, expected: own.AnyRequest
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


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("suspend", {"drain": True}, own.SuspendJob(name="", drain=True)),
        ("upgrade", {}, own.UpgradeJob(name="")),
        ("upgrade", {"args": {"rate": 5, "old": None}, "checkpoints": {"interval": "5s"}, "parallelism": 3},
         own.UpgradeJob(name="", args={"rate": "5", "old": None}, checkpoints={"interval": "5s"}, parallelism=3)),
    ],
)  # fmt: skip
def test_what_stops_a_job_to_go_on_has_a_savepoint_of_its_own(
    path: str, body: Any, expected: Any
) -> None:
    async def test(local: Local) -> None:
        id = (await local.http.post(f"{JOB}/{path}", json=body)).json()["id"]
        wanted = msgspec.structs.replace(expected, name=f"s-{id[:12]}")
        assert local.live.operations.requests == {id: wanted}

    in_local(test)


def test_a_suspended_job_can_go_on_and_be_looked_after_and_nothing_else() -> None:
    async def test(local: Local) -> None:
        details, local.live.rests = local.live.details, True
        view = msgspec.structs.replace(details.facts.view, state="Suspended")
        details.facts = msgspec.structs.replace(details.facts, view=view)
        actions = (await local.http.get(JOB)).json()["actions"]
        of_snapshots = ["verifySnapshot", "deleteSnapshot", "restore"]
        assert actions == ["resume", "upgrade", "cancel", *of_snapshots]
        for path in ("savepoints", "restart"):
            answer = await local.http.post(f"{JOB}/{path}")
            assert (answer.status_code, answer.json()["code"]) == (409, "NOT_NOW")
            assert "flowjob resume" in answer.json()["detail"]
        resumed = await local.http.post(f"{JOB}/resume", json={"parallelism": 3})
        deleted = await local.http.delete(f"{JOB}/snapshots/first")
        assert [a.status_code for a in (resumed, deleted)] == [202, 202]
        wishes = list(local.live.operations.requests.values())
        assert wishes == [own.ResumeJob(parallelism=3), own.DeleteSnapshot(name="first")]

    in_local(test)


def test_a_dry_run_says_what_state_moves_and_asks_for_nothing() -> None:
    async def test(local: Local) -> None:
        path = f"{JOB}/upgrade?dryRun=true"
        answer = await local.http.post(path, json={"parallelism": 3})
        assert answer.status_code == 200
        check(answer.json(), "UpgradePlan")
        (move,) = answer.json()["state"]
        assert (move["operator"], move["bytes"]) == ("a operator", 3)
        assert move["states"] == [{"name": "a name", "rows": 3, "bytes": 3}]
        assert [wish.parallelism for wish in local.live.planned] == [3]
        assert local.live.operations.requests == {}

    in_local(test)


@pytest.mark.parametrize(
    ("body", "code", "step"),
    [
        ({"image": "a:1"}, "UNSUPPORTED", "Edit that, and upgrade"),
        ({"script": "x"}, "UNSUPPORTED", "Edit that, and upgrade"),
        ({"checkpoints": {"interval": {"a": 1}}}, "INVALID", "such as interval: 30s"),
        ({"mode": "LastState", "image": "a:1"}, "UNSUPPORTED", "Edit that, and upgrade"),
    ],
)
def test_what_a_local_job_cannot_become_is_refused_with_the_next_step(
    body: Any, code: str, step: str
) -> None:
    async def test(local: Local) -> None:
        for path in ("upgrade", "upgrade?dryRun=true"):
            problem = (await local.http.post(f"{JOB}/{path}", json=body)).json()
            assert problem["code"] == code
            assert step in problem["detail"]
        assert (local.live.operations.requests, local.live.planned) == ({}, [])

    in_local(test)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [({}, 422, "INVALID"), ({"snapshot": "a", "path": "b"}, 422, "INVALID"), ({"job": "other"}, 409, "UNSUPPORTED")],
)  # fmt: skip
def test_a_job_goes_back_to_one_snapshot_of_its_own(body: Any, status: int, code: str) -> None:
    async def test(local: Local) -> None:
        answer = await local.http.post(f"{JOB}/restore", json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert local.live.operations.requests == {}

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
