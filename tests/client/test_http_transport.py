"""HTTP over a real loopback socket: kept connections, servers that hang up, answers that are none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from flowjob.client.http_transport import HttpTransport, address_of
from flowjob.client.transport import Request

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

Serve = Callable[[socket.socket], None]


def read_request(connection: socket.socket) -> bytes:
    """Head and body of one request; empty when the client has hung up."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            while len(body) < int(value):
                body += connection.recv(65536)
    return data


@contextmanager
def server(*connections: Serve) -> Iterator[str]:
    """Each connection is served by the next function; the address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        for serve in connections:
            connection, _ = listener.accept()
            with connection:
                serve(connection)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        thread.join(10)
        listener.close()


def answering(*answers: bytes) -> Serve:
    def serve(connection: socket.socket) -> None:
        for answer in answers:
            if not read_request(connection):
                return
            connection.sendall(answer)

    return serve


def ask(transport: HttpTransport, path: str = "/x", timeout: float = 10.0) -> bytes:
    answer = transport.send(Request("GET", path, {"Accept": "*/*"}, None, timeout))
    try:
        return answer.read()
    finally:
        answer.close()


def test_a_connection_is_kept_for_the_next_request() -> None:
    with server(answering(OK, OK, OK)) as where:
        transport = HttpTransport(address_of(where))
        assert [ask(transport) for _ in range(3)] == [b"{}"] * 3
        transport.close()


def test_a_kept_connection_that_the_server_has_ended_is_made_again() -> None:
    with server(answering(OK), answering(OK)) as where:
        transport = HttpTransport(address_of(where))
        assert [ask(transport), ask(transport)] == [b"{}"] * 2
        transport.close()


def test_a_server_below_a_path_is_asked_there() -> None:
    seen: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        seen.append(read_request(connection).split(b"\r\n")[0])
        connection.sendall(OK)

    with server(serve) as where:
        transport = HttpTransport(address_of(f"http://{where}/team/a/"))
        ask(transport, "/api/v1/jobs?q=1")
        transport.close()
    assert seen == [b"GET /team/a/api/v1/jobs?q=1 HTTP/1.1"]


def test_a_stream_is_read_as_it_comes() -> None:
    def serve(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n")
        connection.sendall(b"4\r\n a\n\n\r\n")
        connection.recv(1)  # until the client goes

    with server(serve) as where:
        transport = HttpTransport(address_of(where))
        answer = transport.send(Request("GET", "/events"))
        lines = answer.lines()
        assert [next(lines), next(lines)] == ["data: a", ""]
        answer.close()
        transport.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    ],
    ids=["nothing", "no http", "half", "no chunk", "too many headers"],
)
def test_what_is_no_whole_answer_is_a_connection_that_broke(answer: bytes) -> None:
    with server(answering(answer)) as where:
        transport = HttpTransport(address_of(where))
        with pytest.raises(ConnectionError):
            ask(transport)
        transport.close()


def silent(connection: socket.socket) -> None:
    """Until the client goes."""
    read_request(connection)
    connection.recv(1)


def test_a_server_that_says_nothing_is_left_after_the_time_given() -> None:
    with server(silent) as where:
        transport = HttpTransport(address_of(where))
        with pytest.raises(TimeoutError):
            ask(transport, timeout=0.05)
        transport.close()


def test_redirects_are_not_followed() -> None:
    away = b"HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\nContent-Length: 0\r\n\r\n"
    with server(answering(away)) as where:
        transport = HttpTransport(address_of(where))
        answer = transport.send(Request("GET", "/x", {"Authorization": "Bearer t"}))
        assert answer.status == 302
        answer.close()
        transport.close()


def test_nobody_listening_is_a_refused_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        ask(HttpTransport(address_of(f"127.0.0.1:{port}")))
