"""Addresses and tokens: where a client connects, and what it must not send there."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowjob import errors
from flowjob.client import connect
from flowjob.client.http_transport import address_of, proxy_of


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("127.0.0.1:8081", "http://127.0.0.1:8081"),
        ("http://localhost", "http://localhost:80"),
        ("https://flows.example/team/a/", "https://flows.example:443/team/a"),
        ("https://[::1]:9/", "https://[::1]:9"),
    ],
)
def test_an_address_is_a_host_a_port_and_a_path(given: str, url: str) -> None:
    assert address_of(given).url == url


@pytest.mark.parametrize(
    "given",
    [
        "ftp://x",
        "http://",
        "http://x:99999",
        "https://me:secret@x",
        "http://x/?token=1",
        "http://x/#a",
        "http://[x",
    ],
)
def test_anything_else_is_refused_without_repeating_a_secret(given: str) -> None:
    with pytest.raises(errors.BadRequest) as refused:
        address_of(given)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("server", "environ", "where"),
    [
        (None, {}, "http://127.0.0.1:8081"),
        (None, {"FLOWJOB_SERVER": "https://flows.example"}, "https://flows.example:443"),
        ("http://127.0.0.1:1", {"FLOWJOB_SERVER": "https://flows.example"}, "http://127.0.0.1:1"),
    ],
)
def test_what_is_said_goes_before_the_environment(
    server: str | None, environ: dict[str, str], where: str
) -> None:
    assert connect(server, environ=environ).where == where


@pytest.mark.parametrize("server", ["http://flows.example", "http://10.0.0.1:8081"])
def test_a_token_never_goes_in_the_clear_to_another_machine(server: str, tmp_path: Path) -> None:
    with pytest.raises(errors.BadRequest, match="in the clear"):
        connect(server, environ={"FLOWJOB_TOKEN": "t"})
    with pytest.raises(errors.BadRequest, match="in the clear"):
        connect(server, token="t", environ={})
    with pytest.raises(errors.BadRequest, match="in the clear"):
        connect(server, token_file=str(tmp_path / "token"), environ={})
    connect(server, environ={})


@pytest.mark.parametrize(
    "server", ["http://127.0.0.1:1", "http://localhost:1", "https://flows.example"]
)
def test_over_tls_and_to_this_machine_it_does(server: str) -> None:
    connect(server, token="t", environ={})


@pytest.mark.parametrize("token", ["a b", "a\nb", "é"])
def test_a_token_that_would_break_a_header_is_refused(token: str) -> None:
    with pytest.raises(errors.NotAllowed, match="that no token has"):
        connect("http://127.0.0.1:1", token=token, environ={})


def test_a_proxy_is_taken_from_the_environment_but_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert proxy_of(address_of("https://flows.example")) is None
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert proxy_of(address_of("https://flows.example")) == ("proxy.example", 3128)
    monkeypatch.setenv("NO_PROXY", ".example")
    assert proxy_of(address_of("https://flows.example")) is None
