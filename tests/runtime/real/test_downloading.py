"""Fetching code by HTTP: real servers, redirects, names that lead inside, and answers without end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flowjob.cluster.artifact_rules import ArtifactRules, source_of
from flowjob.errors import BadArtifact
from flowjob.runtime.real.downloading import download

RULES = ArtifactRules(
    schemes=("http",), hosts=("code.test", "other.test", "127.0.0.0/8"), timeout=10
)

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
    def __init__(self, answer: Answer) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Server]]:
    servers: list[Server] = []

    def start(answer: Answer) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names lead to, the next time they are asked for: the last address stays."""
    known: dict[str, list[str]] = {"code.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]}
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *rest: Any, **more: Any) -> Any:
        found = known.get(host)
        if found is None:
            return real(host, port, *rest, **more)
        address = found.pop(0) if len(found) > 1 else found[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


def content(data: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content_Length": str(len(data)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(data)

    return answer


def fetch(target: Path, port: int, rules: ArtifactRules = RULES, host: str = "code.test") -> bytes:
    download(source_of(f"http://{host}:{port}/a.zip?signed=1", rules), target, rules)
    return target.read_bytes()


def test_a_file_is_fetched_as_it_is(
    tmp_path: Path, serve: Callable[[Answer], Server], names: dict[str, list[str]]
) -> None:
    server = serve(content(b"x" * 1_000_000))
    assert fetch(tmp_path / "a", server.port) == b"x" * 1_000_000
    assert server.asked == ["/a.zip?signed=1"]


def test_a_redirect_is_followed_to_where_it_may(
    tmp_path: Path, serve: Callable[[Answer], Server], names: dict[str, list[str]]
) -> None:
    there = serve(content(b"code"))
    here = serve(content(b"", 302, Location=f"http://other.test:{there.port}/x"))
    assert fetch(tmp_path / "a", here.port) == b"code"
    assert there.asked == ["/x"]


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://169.254.169.254/latest", "is in none of the networks"),
        ("http://inside.test/x", "code.test redirects: inside.test is not among the hosts"),
        ("file:///etc/passwd", "may not be asked"),
        ("https://code.test/x", "may not be asked"),
    ],
)
def test_a_redirect_elsewhere_is_refused_before_anybody_is_asked(
    tmp_path: Path,
    serve: Callable[[Answer], Server],
    names: dict[str, list[str]],
    location: str,
    reason: str,
) -> None:
    server = serve(content(b"", 302, Location=location))
    with pytest.raises(BadArtifact) as refused:
        fetch(tmp_path / "a", server.port)
    assert reason in str(refused.value)
    assert not (tmp_path / "a").exists()


def test_redirects_end(
    tmp_path: Path, serve: Callable[[Answer], Server], names: dict[str, list[str]]
) -> None:
    server = serve(content(b"", 302, Location="/again"))
    with pytest.raises(BadArtifact, match="redirects more than 5 times"):
        fetch(tmp_path / "a", server.port)
    assert len(server.asked) == 6


def test_a_name_that_leads_inside_is_refused(
    tmp_path: Path, serve: Callable[[Answer], Server], names: dict[str, list[str]]
) -> None:
    server = serve(content(b"secret"))
    rules = replace(RULES, hosts=())
    for address in ("127.0.0.1", "169.254.169.254", "10.0.0.1"):
        names["code.test"] = [address]
        with pytest.raises(BadArtifact, match=f"code.test leads to {address}"):
            fetch(tmp_path / "a", server.port, rules)
    assert server.asked == []


def test_the_address_that_was_judged_is_the_one_that_is_asked(
    tmp_path: Path, serve: Callable[[Answer], Server], names: dict[str, list[str]]
) -> None:
    """A name that would lead elsewhere the second time is only asked once."""
    server = serve(content(b"code"))
    names["code.test"] = ["127.0.0.1", "10.0.0.1"]
    assert fetch(tmp_path / "a", server.port) == b"code"
    names["code.test"] = ["10.0.0.1", "127.0.0.1"]
    with pytest.raises(BadArtifact, match="leads to 10"):
        fetch(tmp_path / "b", server.port)


def test_a_file_that_is_too_large_is_refused_by_its_length_or_while_it_comes(
    tmp_path: Path, serve: Callable[[Answer], Server], names: dict[str, list[str]]
) -> None:
    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        try:
            while True:
                request.wfile.write(bytes(65_536))
        except OSError:
            pass

    for answer in (content(bytes(2000)), endless):
        rules = replace(RULES, max_bytes=1000)
        with pytest.raises(BadArtifact, match="has more than 1,000 bytes"):
            fetch(tmp_path / "a", serve(answer).port, rules)


def test_what_takes_too_long_is_given_up(
    tmp_path: Path, serve: Callable[[Answer], Server], names: dict[str, list[str]]
) -> None:
    done = threading.Event()
    server = serve(lambda request: done.wait(20) and None)
    try:
        with pytest.raises(BadArtifact, match=r"was not there after 0\.1 s"):
            fetch(tmp_path / "a", server.port, replace(RULES, timeout=0.1))
    finally:
        done.set()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (content(b"", 404), "answers 404 Not Found"),
        (content(b"short", Content_Length="50"), "broke off after 5 of 50 bytes"),
        (lambda request: request.wfile.write(b"nonsense\r\n\r\n"), "cannot fetch http://code.test"),
        (lambda request: None, "cannot fetch"),
    ],
)
def test_what_is_no_answer_is_told(
    tmp_path: Path,
    serve: Callable[[Answer], Server],
    names: dict[str, list[str]],
    answer: Answer,
    reason: str,
) -> None:
    with pytest.raises(BadArtifact) as refused:
        fetch(tmp_path / "a", serve(answer).port)
    assert reason in str(refused.value)
    assert "signed" not in str(refused.value)


def test_nobody_there_and_no_such_name_are_told(
    tmp_path: Path, names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadArtifact, match="cannot fetch"):
        fetch(tmp_path / "a", 1)

    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(BadArtifact, match=r"there is no host code\.test: Name or service"):
        fetch(tmp_path / "a", 1)
