"""Who sees and changes what in a cluster: Kubernetes' RBAC decides, and nothing leaks past it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from flowjob_api.auth.kubernetes import MOST_WAITING
from tests.rest.cluster_world import ANN, BOB, Cluster, in_cluster

READS = ["", "/graph", "/tasks", "/checkpoints", "/checkpoints/3", "/snapshots", "/exceptions", "/metrics", "/logs",
         "/logs?follow=true", "/configuration", "/plan", "/events"]  # fmt: skip
WRITES: dict[str, Any] = {
    "/savepoints": None, "/stop": None, "/suspend": None, "/resume": None, "/scale": {"parallelism": 3},
    "/cancel": None, "/restart": None, "/upgrade": {"image": "evil:1"}, "/upgrade?dryRun=true": {"image": "evil:1"},
    "/snapshots/first/verify": None,
}  # fmt: skip


@pytest.mark.parametrize("job", ["bank/payments", "bank/nothing", "nowhere/nothing"])
def test_a_user_without_rights_in_a_namespace_sees_nothing_there_not_even_whether_it_is(
    job: str, tmp_path: Path
) -> None:
    async def test(cluster: Cluster) -> None:
        for path in READS:
            answer = await cluster.get(f"/api/v1/jobs/{job}{path}")
            assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN"), path
        assert cluster.asked_managers == []

    in_cluster(test, tmp_path)


def test_a_user_without_rights_in_a_namespace_changes_nothing_there(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        for path, body in WRITES.items():
            answer = await cluster.post(f"/api/v1/jobs/bank/payments{path}", body)
            assert answer.status_code == 403, path
        assert cluster.kubernetes.writes() == []

    in_cluster(test, tmp_path)


def test_a_user_who_may_look_changes_nothing_because_writes_carry_their_own_token(
    tmp_path: Path,
) -> None:
    async def test(cluster: Cluster) -> None:
        before = dict(cluster.kubernetes.objects)
        for path, body in list(WRITES.items())[:-1]:
            answer = await cluster.post(f"/api/v1/jobs/bank/payments{path}", body, BOB)
            assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN"), path
        assert cluster.kubernetes.objects == before
        assert {who for who, _, _ in cluster.kubernetes.writes()} == {"bob"}

    in_cluster(test, tmp_path)


def test_lists_show_the_namespaces_one_may_list_and_count_nothing_else(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        for token, expected in ((ANN, ["orders"]), (BOB, ["payments"])):
            found = (await cluster.get("/api/v1/jobs", token)).json()
            assert [job["name"] for job in found["jobs"]] == expected
            assert found["counts"] == {"Running": 1}
        assert (await cluster.get("/api/v1/jobs?namespace=bank")).status_code == 403
        cluster.kubernetes.tokens["root-token"] = "root"
        cluster.kubernetes.rights.add(("root", "list", "flowjobs", "*"))
        everything = (await cluster.get("/api/v1/jobs", "root-token")).json()["jobs"]
        assert [job["name"] for job in everything] == ["payments", "orders"]

    in_cluster(test, tmp_path)


def test_logs_need_a_right_of_their_own(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        assert (await cluster.get("/api/v1/jobs/bank/payments/graph", BOB)).status_code == 200
        assert (await cluster.get("/api/v1/jobs/bank/payments/logs", BOB)).status_code == 403
        assert (await cluster.get("/api/v1/jobs/shop/orders/logs")).status_code == 200

    in_cluster(test, tmp_path)


def test_operations_of_what_one_may_not_see_are_unknown(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        cluster.kubernetes.add("FlowSnapshot", "shop", "first", spec={"jobRef": {"name": "orders"}})
        for id in (
            "uid-orders.1",
            "snapshot.shop.first",
            "uid-none.1",
            "snapshot.shop.none",
            "x",
            "..",
            "a.b.c",
        ):
            answer = await cluster.get(f"/api/v1/operations/{id}", BOB)
            assert answer.status_code == 404, id
            assert answer.json()["code"] == "NOT_FOUND"

    in_cluster(test, tmp_path)


BROKEN = ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer nobody", "bearer  ", "Bearer a b", "Bearer " + "x" * 20_000,
          "Bearer ä", "Token ann-token"]  # fmt: skip


def test_broken_tokens_are_refused_alike_and_reach_nothing(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        for header in BROKEN:
            given = [(b"authorization", header.encode("latin-1"))] if header else []
            answer = await cluster.http.get("/api/v1/jobs", headers=given)
            assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED"), header
            assert answer.headers["www-authenticate"].startswith("Bearer")

    in_cluster(test, tmp_path)


def test_rights_and_tokens_are_remembered_for_ten_seconds_and_no_longer(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        async def look() -> int:
            return (await cluster.get("/api/v1/jobs/shop/orders/graph")).status_code

        assert await look() == 200
        asked = len([r for r in cluster.kubernetes.requests if "reviews" in r[2]])
        cluster.clock.ahead = 6
        assert await look() == 200
        assert len([r for r in cluster.kubernetes.requests if "reviews" in r[2]]) == asked
        cluster.kubernetes.rights.discard(("ann", "get", "flowjobs", "shop"))
        cluster.clock.ahead = 11
        assert await look() == 403
        del cluster.kubernetes.tokens[ANN]
        cluster.clock.ahead = 22
        assert await look() == 401

    in_cluster(test, tmp_path)


def test_what_others_may_see_is_not_shared_with_who_follows_the_same_job(tmp_path: Path) -> None:
    def prepare(cluster: Cluster) -> None:
        cluster.kubernetes.rights.add(("bob", "get", "flowjobs", "shop"))

    async def test(cluster: Cluster) -> None:
        path = "/api/v1/jobs/shop/orders/events?topics="
        assert (await cluster.get("/api/v1/jobs/shop/orders/snapshots")).status_code == 200
        answer = await cluster.get(f"{path}graph,snapshots", BOB)
        assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")

    in_cluster(test, tmp_path, prepare)


def test_one_name_is_enough_and_a_whole_namespace_is_asked_about_once(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        for name in ("first", "second", "third"):
            cluster.kubernetes.add("FlowJob", "shop", name, spec={})
        for name in ("first", "second", "third"):
            assert (await cluster.get(f"/api/v1/jobs/shop/{name}")).status_code in (200, 404)
        asked = [r for r in cluster.kubernetes.requests if r[2].endswith("subjectaccessreviews")]
        assert len(asked) == 1
        cluster.kubernetes.tokens["eve-token"] = "eve"
        cluster.kubernetes.names.add(("eve", "get", "flowjobs", "shop", "orders"))
        for name, status in (("orders", 200), ("first", 403)):
            answer = await cluster.get(f"/api/v1/jobs/shop/{name}/graph", "eve-token")
            assert answer.status_code == status

    in_cluster(test, tmp_path)


def test_made_up_tokens_are_too_many_at_some_time_and_good_ones_never(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        assert (await cluster.get("/api/v1/jobs")).status_code == 200
        cluster.clock.ahead = 11
        cluster.kubernetes.held.clear()
        path = "/api/v1/jobs"
        flood = [asyncio.ensure_future(cluster.get(path, f"made-up-{n}")) for n in range(300)]
        while sum(one.done() for one in flood) < 300 - MOST_WAITING:  # noqa: ASYNC110
            await asyncio.sleep(0)
        good = asyncio.ensure_future(cluster.get(path))
        for _ in range(50):
            await asyncio.sleep(0)
        cluster.kubernetes.held.set()
        answers = Counter([(await one).status_code for one in flood])
        assert answers == {503: 300 - MOST_WAITING, 401: MOST_WAITING}
        refused = next(one.result() for one in flood if one.result().status_code == 503)
        assert refused.json()["code"] == "BUSY"
        assert refused.headers["retry-after"]
        assert (await good).status_code == 200

    in_cluster(test, tmp_path)


def test_a_browser_logs_in_for_a_cookie_and_needs_the_token_against_forged_writes(
    tmp_path: Path,
) -> None:
    async def test(cluster: Cluster) -> None:
        http = cluster.http
        assert (await http.get("/api/v1/session")).json()["loggedIn"] is False
        assert (await http.post("/api/v1/session", json={"token": "wrong"})).status_code == 401
        answer = await http.post("/api/v1/session", json={"token": ANN})
        cookie = answer.headers["set-cookie"]
        assert answer.json()["user"] == "ann"
        assert all(part in cookie for part in ("HttpOnly", "SameSite=Strict", "Secure", "Path=/"))
        assert ANN not in cookie
        assert ANN not in answer.text
        csrf = {"X-CSRF-Token": answer.json()["csrfToken"]}
        scale, body = "/api/v1/jobs/shop/orders/restart", {"reason": "now"}
        assert (await http.get("/api/v1/jobs")).json()["jobs"][0]["name"] == "orders"
        forged = (
            {},
            {"X-CSRF-Token": "x"},
            {**csrf, "Origin": "https://evil.example"},
            {**csrf, "Sec-Fetch-Site": "cross-site"},
        )
        for headers in forged:
            answer = await http.post(scale, json=body, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "CSRF"), headers
        assert cluster.kubernetes.writes() == []
        assert (await http.post(scale, json=body, headers=csrf)).status_code == 202
        assert {who for who, _, _ in cluster.kubernetes.writes()} == {"ann"}
        stolen = dict(http.cookies)
        assert (await http.delete("/api/v1/session")).status_code == 204
        http.cookies.update(stolen)
        assert (await http.get("/api/v1/jobs")).status_code == 401

    in_cluster(test, tmp_path)


def test_a_cookie_that_was_tampered_with_or_is_too_old_is_none(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        answer = await cluster.http.post("/api/v1/session", json={"token": ANN})
        value = answer.headers["set-cookie"].split(";")[0].split("=", 1)[1]
        cluster.http.cookies.clear()
        flipped = ("A" if value[20] != "A" else "B").join((value[:20], value[21:]))
        for cookie in (flipped, value[:-4], "x", "é".encode().hex(), "=" * 50, "x" * 5000):
            headers = {"Cookie": f"flowjob_session={cookie}"}
            assert (await cluster.http.get("/api/v1/jobs", headers=headers)).status_code == 401
        right = {"Cookie": f"flowjob_session={value}"}
        assert (await cluster.http.get("/api/v1/jobs", headers=right)).status_code == 200
        cluster.clock.ahead = 8 * 3600 + 1
        assert (await cluster.http.get("/api/v1/jobs", headers=right)).status_code == 401

    in_cluster(test, tmp_path)


def test_each_write_leaves_a_line_that_names_who_and_what_and_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.post("/api/v1/jobs/shop/orders/restart", {"reason": "hush"})
        await cluster.post("/api/v1/jobs/bank/payments/cancel%0d%0auser=root")
        await cluster.http.post("/api/v1/session", json={"token": ANN})
        await cluster.get("/api/v1/jobs")

    with caplog.at_level(logging.INFO, "flowjob.audit"):
        in_cluster(test, tmp_path)
    lines = [r.getMessage() for r in caplog.records if r.name == "flowjob.audit"]
    assert len(lines) == 3
    assert "user='ann' via=token" in lines[0]
    assert "path='/api/v1/jobs/shop/orders/restart' status=202" in lines[0]
    assert all("\n" not in line and "hush" not in line and ANN not in line for line in lines)
