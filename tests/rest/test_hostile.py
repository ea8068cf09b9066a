"""What a hostile client or a strange object does to the service of a cluster: nothing, and the others are served."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from flowjob.cluster.pod_log import PodLog, RecordHandler
from flowjob_api.patience import LEAST_TAKEN, MOST_CONNECTIONS, TAKEN_WITHIN, PatientProtocol
from tests.rest.cluster_world import BOB, Cluster, in_cluster
from tests.rest.fake_kubernetes import RUNNING, SERVICE, spec
from tests.rest.test_patience import REQUEST, Loop, Transport, connected

NAMES = [
    "../../api/v1/secrets", "orders/../../pods", "orders?dryRun=All", "orders#x", "orders%2f..", "orders\r\nX: y",
    "orders\x00", "ORDERS", "orders ", "ä", "a" * 254, ".orders", "orders:exec", "orders;x", "\\..\\orders", "*",
]  # fmt: skip
AFTER = ["", "/graph", "/logs", "/snapshots", "/events", "/checkpoints/1"]


def test_no_name_reaches_kubernetes_or_a_job_manager_as_anything_but_a_name(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        before = {path for _, method, path in cluster.kubernetes.requests if method == "GET"}
        for name in NAMES:
            for after in AFTER:
                for path in (f"shop/{quote(name, safe='')}", f"{quote(name, safe='')}/orders"):
                    answer = await cluster.get(f"/api/v1/jobs/{path}{after}")
                    assert 400 <= answer.status_code < 500, (path, after, answer.text)
                    assert answer.headers["content-type"] == "application/problem+json"
            answer = await cluster.post(f"/api/v1/jobs/shop/{quote(name, safe='')}/cancel")
            assert 400 <= answer.status_code < 500, name
            for id in (f"snapshot.shop.{name}", f"deletion.shop.{name}.uid", f"{name}.1"):
                answer = await cluster.get(f"/api/v1/operations/{quote(id, safe='')}")
                assert 400 <= answer.status_code < 500, id
        paths = {path for _, method, path in cluster.kubernetes.requests if method == "GET"}
        assert paths == before
        assert cluster.asked_managers == []
        assert cluster.kubernetes.writes() == []

    in_cluster(test, tmp_path)


HALF = "\\ud800"
BODIES = [
    f'{{"metadata": {{"name": "a"}}, "spec": {{"x": "{HALF}"}}}}',
    f'{{"metadata": {{"name": "{HALF}"}}, "spec": {{}}}}',
    f'{{"metadata": {{"name": "a"}}, "spec": {{"{HALF}": 1}}}}',
    '{"metadata": {"name": "a"}, "spec": {"x": 1e999}}',
    '{"metadata": {"name": "a"}, "spec": ' + '{"x":' * 120 + "1" + "}" * 121,
    '{"metadata": {"name": "a"}, "spec": {"x": ' + "[" * 120 + "]" * 120 + "}}",
    f'{{"checkpoints": {{"interval": "{HALF}"}}}}',
    f'{{"{HALF}": 1}}',
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize(
    "path",
    ["shop", "shop/orders/upgrade", "shop/orders/upgrade?dryRun=true", "shop/orders/savepoints"],
)
def test_what_cannot_be_said_in_json_is_refused_before_it_is_passed_on(
    body: str, path: str, tmp_path: Path
) -> None:
    async def test(cluster: Cluster) -> None:
        answer = await cluster.http.post(
            f"/api/v1/jobs/{path}",
            content=body,
            headers={
                "Authorization": "Bearer ann-token",
                "Content-Type": "application/json",
                "Idempotency-Key": "a",
            },
        )
        assert 400 <= answer.status_code < 500, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert cluster.kubernetes.writes() == []

    in_cluster(test, tmp_path)


STRANGE: list[dict[str, Any]] = [
    {"status": {"phase": "Hibernating"}}, {"status": {"job": "running"}}, {"status": {"conditions": [1]}},
    {"status": {"parallelism": "many"}}, {"spec": {"job": []}, "status": {"phase": "Running"}},
    {"status": {"checkpoints": {"latest": {}}, "phase": "Running"}}, {"status": []},
]  # fmt: skip


@pytest.mark.parametrize("fields", STRANGE, ids=range(len(STRANGE)))
def test_one_job_of_another_version_hides_no_others(fields: dict[str, Any], tmp_path: Path) -> None:
    def prepare(cluster: Cluster) -> None:
        cluster.kubernetes.add("FlowJob", "shop", "strange", **{"spec": spec(), **fields})

    async def test(cluster: Cluster) -> None:
        found = (await cluster.get("/api/v1/jobs")).json()
        states = {job["name"]: job["state"] for job in found["jobs"]}
        assert states["orders"] == "Running"
        assert "strange" in states
        assert (await cluster.get("/api/v1/jobs/shop/strange")).status_code == 200

    in_cluster(test, tmp_path, prepare)


def test_whom_nobody_knows_is_told_nothing_about_why_they_cannot_be_looked_up(
    tmp_path: Path,
) -> None:
    async def test(cluster: Cluster) -> None:
        cluster.kubernetes.rights.discard(("service", "create", "tokenreviews", ""))
        answer = await cluster.get("/api/v1/jobs")
        assert (answer.status_code, answer.json()["code"]) == (503, "UNREACHABLE")
        assert answer.json()["detail"] == "tokens cannot be looked up now"
        assert SERVICE not in answer.text

    in_cluster(test, tmp_path)


def test_names_that_are_made_up_are_not_kept(tmp_path: Path) -> None:
    def prepare(cluster: Cluster) -> None:
        cluster.kubernetes.rights.add(("bob", "list", "flowjobs", "*"))

    async def test(cluster: Cluster) -> None:
        jobs: Any = cluster.app.state.parts.jobs
        for n in range(50):
            assert (await cluster.get(f"/api/v1/jobs?namespace=made-up-{n}", BOB)).json()[
                "jobs"
            ] == []
        assert len(jobs._rows) == 0
        await cluster.get("/api/v1/jobs", BOB)
        assert sorted(jobs._rows) == ["bank", "shop"]
        status = {**RUNNING, "stateBytes": 77}
        cluster.kubernetes.status("shop", "orders", **status)
        while True:
            found = (await cluster.get("/api/v1/jobs", BOB)).json()["jobs"]
            if [job["stateBytes"] for job in found] == [1204, 77]:
                break

    in_cluster(test, tmp_path, prepare)


def test_nothing_that_is_asked_for_forges_a_field_of_a_log_line() -> None:
    stream = io.StringIO()
    handler = RecordHandler(PodLog(stream, {}, as_json=True, redact=lambda text: text))
    evil = 'a","level":"CRITICAL"\n{"time":"x'
    handler.emit(logging.makeLogRecord({"name": "flowjob.audit", "levelname": "INFO", "msg": evil}))
    (line,) = stream.getvalue().splitlines()
    assert (json.loads(line)["message"], json.loads(line)["level"]) == (evil, "INFO")


def a_reader(rest: int) -> tuple[PatientProtocol, Loop, Transport]:
    """Behind with an answer, of which `rest` bytes are left."""
    protocol, loop, transport = connected()
    loop.alarms.clear()
    transport.rest = rest
    protocol.pause_writing()
    return protocol, loop, transport


def test_a_reader_that_takes_next_to_nothing_loses_its_connection() -> None:
    _, loop, transport = a_reader(100_000)
    ((seconds, look, _),) = loop.alarms
    assert seconds == TAKEN_WITHIN
    transport.rest -= LEAST_TAKEN - 1
    look()
    assert transport.closed


def test_a_slow_reader_is_left_alone_as_long_as_it_reads() -> None:
    protocol, loop, transport = a_reader(100_000)
    for _ in range(10):
        transport.rest -= LEAST_TAKEN
        loop.alarms[-1][1]()
    protocol.resume_writing()
    assert (loop.alarms[-1][2].cancelled, transport.closed, len(loop.alarms)) == (True, False, 11)


@pytest.mark.parametrize("rest", [0, 1])
def test_a_quiet_connection_with_an_answer_that_nobody_took_is_not_waited_for(rest: int) -> None:
    protocol, _, transport = connected()
    transport.rest = rest
    protocol.timeout_keep_alive_handler()
    assert (transport.closed, transport.aborted) == (True, rest > 0)


def test_a_connection_too_many_is_told_so_and_nothing_it_sends_is_read() -> None:
    protocol, _, _ = connected()
    protocol.connections.clear()
    protocol.connections.update(range(MOST_CONNECTIONS))  # type: ignore[arg-type]
    transport: Any = Transport()
    protocol.connection_made(transport)
    assert transport.closed
    head, _, body = transport.written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"application/problem+json" in head
    assert (json.loads(body)["code"], json.loads(body)["status"]) == ("BUSY", 503)
    protocol.data_received(REQUEST)
    assert protocol.conn.trailing_data == (b"", False)
