"""The edges of the process: probes and metrics, where the API server is, and how it ends for wrong settings."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from flowjob_operator.process.cluster.connection import NoConnection, Tokens, find_connection
from flowjob_operator.process.main import EXIT_USAGE, main
from flowjob_operator.process.telling.health import Health
from flowjob_operator.process.telling.metrics import Metrics
from flowjob_operator.process.telling.serving import serving
from flowjob_operator.process.telling.tallies import Tallies
from tests.operator.process.harness import play
from tests.operator.process.world import VirtualClock

# -- probes


def test_a_queue_that_is_stuck_or_watches_that_are_silent_end_the_life_of_the_process() -> None:
    async def scenario() -> None:
        health = Health(VirtualClock(), surveyed=True, reached=True)
        assert health.alive() == health.ready() == []
        health.stuck = lambda: 200.0
        health.blind = lambda: 300.0
        assert health.alive() == [
            "the queue has been stuck for 200 s",
            "watches have told nothing of a change 300 s ago",
        ]
        health.stuck = health.blind = lambda: 0.0
        health.beat = 0.1
        await asyncio.sleep(40)
        assert health.alive() == ["the loop has been blocked for 40 s"]

    play(scenario)


def test_it_is_not_ready_before_the_server_has_answered_and_all_is_listed() -> None:
    async def scenario() -> None:
        health = Health(VirtualClock())
        assert health.alive() == []
        assert health.ready() == [
            "the API server has not answered yet",
            "what there is has not been listed yet",
        ]

    play(scenario)


def test_probes_and_metrics_are_served() -> None:
    async def ask(session: aiohttp.ClientSession, port: int, path: str) -> tuple[int, str]:
        async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status, await answer.text()

    async def work() -> None:
        metrics = Metrics()
        health = Health(VirtualClock())

        def refresh() -> None:
            metrics.depth.set(7)

        async with (
            serving("127.0.0.1", 0, health, metrics, refresh) as port,
            aiohttp.ClientSession() as session,
        ):
            assert await ask(session, port, "/livez") == (200, "ok\n")
            assert await ask(session, port, "/healthz") == (200, "ok\n")
            status, text = await ask(session, port, "/readyz")
            assert status == 503
            assert "the API server has not answered yet\n" in text
            status, text = await ask(session, port, "/metrics")
            assert status == 200
            assert "flowjob_operator_queue_depth 7.0" in text

    asyncio.run(work())


def test_phases_are_counted_even_where_there_are_none() -> None:
    async def scenario() -> None:
        metrics = Metrics()
        Tallies(metrics, VirtualClock()).refresh()
        assert b'flowjob_operator_flowjobs{phase="Failed"} 0.0' in metrics.text()

    play(scenario)


# -- where the API server is


def kubeconfig(folder: Path, user: dict[str, Any]) -> Path:
    file = folder / "config"
    config = {
        "current-context": "it",
        "contexts": [
            {"name": "it", "context": {"cluster": "c", "user": "u", "namespace": "operators"}}
        ],
        "clusters": [{"name": "c", "cluster": {"server": "https://api:6443/"}}],
        "users": [{"name": "u", "user": user}],
    }
    file.write_text(yaml.safe_dump(config))
    return file


def test_a_pod_uses_its_service_account(tmp_path: Path) -> None:
    for name, text in (("token", "t\n"), ("ca.crt", "PEM"), ("namespace", "operators")):
        (tmp_path / name).write_text(text)
    environment = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    found = find_connection(environment, tmp_path)
    assert (found.server, found.namespace) == ("https://[fd00::1]:443", "operators")


def test_a_token_that_is_replaced_on_disk_is_read_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / "ca.crt").write_text("PEM")
        token = tmp_path / "token"
        token.write_text("old\n")
        connection = find_connection({"KUBERNETES_SERVICE_HOST": "api"}, tmp_path)
        tokens = Tokens(connection, VirtualClock())
        assert tokens.header() == {"Authorization": "Bearer old"}
        token.write_text("new\n")
        assert tokens.header() == {"Authorization": "Bearer old"}
        await asyncio.sleep(61)
        assert tokens.header() == {"Authorization": "Bearer new"}
        token.write_text("newer\n")
        tokens.forget()
        assert tokens.header() == {"Authorization": "Bearer newer"}
        token.unlink()
        await asyncio.sleep(61)
        assert tokens.header() == {"Authorization": "Bearer newer"}

    play(scenario)


def test_a_kubeconfig_is_read(tmp_path: Path) -> None:
    pem = base64.b64encode(b"PEM").decode()
    user = {"client-certificate-data": pem, "client-key-data": pem}
    found = find_connection({"KUBECONFIG": str(kubeconfig(tmp_path, user))}, tmp_path)
    assert (found.server, found.namespace) == ("https://api:6443", "operators")
    assert found.certificate_data == found.key_data == "PEM"


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ({"exec": {"command": "login"}}, "it runs a program to log in"),
        ({"client-key-data": "?"}, "is not a kubeconfig"),
    ],
)
def test_a_kubeconfig_that_is_not_understood_says_why(
    tmp_path: Path, user: dict[str, Any], says: str
) -> None:
    with pytest.raises(NoConnection, match=says):
        find_connection({"KUBECONFIG": str(kubeconfig(tmp_path, user))}, tmp_path)


# -- the command


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--resync=soon"], "--resync: 'soon' is no duration"),
        ([], "set KUBECONFIG"),
    ],
)
def test_what_a_person_has_to_mend_is_one_line_and_status_64(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    status = main(arguments, {"KUBECONFIG": str(tmp_path / "nowhere")})
    assert status == EXIT_USAGE
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
