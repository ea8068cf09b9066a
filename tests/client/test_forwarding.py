"""The service of a cluster through kubectl: a port is forwarded, the caller's token is found, everything ends."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowjob import errors
from flowjob.client.connecting import connect_through
from flowjob.client.forwarding import ForwardedTransport, token_of
from flowjob.client.kubectl import Kubectl
from tests.client.test_http_transport import OK, answering, read_request, server

Write = Callable[..., Path]


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Puts a program in kubectl's place: `ports` of the service, what `user` of the kubeconfig has, what port-forward
    does."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def write(forward: str = "exit 1", user: Any = None, ports: Any = None) -> Path:
        service = {"spec": {"ports": ports or [{"name": "http", "port": 80}]}}
        (tmp_path / "service.json").write_text(json.dumps(service))
        view = {"users": [{"user": user or {"token": "from-kubeconfig"}}]}
        (tmp_path / "view.json").write_text(json.dumps(view))
        program = tmp_path / "kubectl"
        program.write_text(
            f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\ncase "$1" in\n'
            f"get) cat {tmp_path}/service.json;;\nconfig) cat {tmp_path}/view.json;;\n"
            f"port-forward) {forward};;\nesac\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return tmp_path / "asked"

    return write


def forwarding(port: str) -> str:
    return f"echo 'Forwarding from 127.0.0.1:{port} -> 8443'; exec sleep 1000"


def test_requests_go_through_the_forwarded_port_with_the_token_of_the_kubeconfig(
    kubectl: Write,
) -> None:
    seen: list[bytes] = []

    def serve(connection: Any) -> None:
        for _ in range(2):
            seen.append(read_request(connection))
            connection.sendall(OK)

    with server(serve) as where:
        asked = kubectl(forwarding(where.rpartition(":")[2]))
        with connect_through(Kubectl(), "ops/flowjob-api", environ={}) as client:
            assert client.is_ready()
            assert client.is_ready()
    assert all(b"Authorization: Bearer from-kubeconfig" in request for request in seen)
    commands = asked.read_text().splitlines()
    assert [c.split()[0] for c in commands].count("port-forward") == 1
    assert "port-forward --namespace=ops --address=127.0.0.1 service/flowjob-api :80" in commands


def test_a_token_that_is_given_goes_before_the_kubeconfig(kubectl: Write) -> None:
    seen: list[bytes] = []

    def serve(connection: Any) -> None:
        seen.append(read_request(connection))
        connection.sendall(OK)

    with server(serve) as where:
        kubectl(forwarding(where.rpartition(":")[2]))
        given = {"FLOWJOB_TOKEN": "given"}
        with connect_through(Kubectl(), "ops/api", environ=given) as client:
            client.is_ready()
    assert b"Bearer given" in seen[0]


def test_forwarding_begins_again_when_kubectl_has_ended(kubectl: Write, tmp_path: Path) -> None:
    with server(answering(OK), answering(OK)) as where:
        port = where.rpartition(":")[2]
        asked = kubectl(forwarding(port))
        transport = ForwardedTransport(Kubectl(), "ops/api")
        from tests.client.test_http_transport import ask

        assert ask(transport) == b"{}"  # type: ignore[arg-type]
        assert transport._process is not None
        transport._process.kill()
        transport._process.wait()
        assert ask(transport) == b"{}"  # type: ignore[arg-type]
        transport.close()
    assert asked.read_text().count("port-forward") == 2


@pytest.mark.parametrize(
    ("forward", "kind"),
    [
        ("echo 'Error from server (NotFound): services \"api\" not found' >&2; exit 1", errors.NotFound),
        ("echo 'Error from server (Forbidden): no' >&2; exit 1", errors.NotAllowed),
        ("exit 0", errors.ServiceUnreachable),
        ("echo something else; exec sleep 1000", errors.ServiceUnreachable),
    ],
)  # fmt: skip
def test_what_is_not_forwarded_is_said(
    kubectl: Write, forward: str, kind: type[errors.ServiceError]
) -> None:
    kubectl(forward)
    with connect_through(Kubectl(), "ops/api", environ={}) as client, pytest.raises(kind):
        client.is_ready()


def test_a_service_with_a_certificate_of_its_own_is_not_forwarded_to(kubectl: Write) -> None:
    kubectl(ports=[{"name": "https", "port": 443}])
    with (
        connect_through(Kubectl(), "ops/api", environ={}) as client,
        pytest.raises(errors.BadRequest, match="speaks TLS"),
    ):
        client.is_ready()


@pytest.mark.parametrize("name", ["api", "/api", "ops/", "a/b/c"])
def test_a_service_has_a_namespace(name: str) -> None:
    with pytest.raises(errors.BadRequest, match="names no service"):
        ForwardedTransport(Kubectl(), name)


# -- tokens


def test_a_token_of_a_file_is_taken(kubectl: Write, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-file\n")
    kubectl(user={"tokenFile": str(tmp_path / "token"), "token": "old"})
    assert token_of(Kubectl()) == "of-file"
    kubectl(user={"tokenFile": str(tmp_path / "gone")})
    with pytest.raises(errors.NotAllowed):
        token_of(Kubectl())


def plugin(program: str) -> dict[str, Any]:
    env = [{"name": "WHO", "value": "jane"}]
    return {"exec": {"command": sys.executable, "args": ["-c", program], "env": env}}


def test_a_login_plugin_is_run_as_kubectl_would(kubectl: Write) -> None:
    program = (
        "import json, os; asked = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "print(json.dumps({'status': {'token': asked['kind'] + os.environ['WHO']}}))"
    )
    kubectl(user=plugin(program))
    assert token_of(Kubectl()) == "ExecCredentialjane"


@pytest.mark.parametrize(
    "user",
    [
        plugin("raise SystemExit(1)"),
        plugin("print('no json')"),
        plugin("print('{\"status\": {}}')"),
        {"exec": {"command": "/nowhere/plugin"}},
        {"client-certificate-data": "…"},
    ],
    ids=["fails", "no json", "no token", "not there", "certificates"],
)
def test_where_there_is_no_token_one_is_asked_for(kubectl: Write, user: Any) -> None:
    kubectl(user=user)
    with pytest.raises(errors.NotAllowed):
        token_of(Kubectl())
