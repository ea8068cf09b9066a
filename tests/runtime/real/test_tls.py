"""Who gets through TLS: real sockets, real certificates, and every wrong peer that one can think of."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flowjob.cluster.identity import (
    API_CLIENTS,
    DATA_PEERS,
    JobId,
    identity_uri,
)
from flowjob.errors import BadIdentity, HandshakeRefused
from flowjob.runtime.env import ControlConnection
from flowjob.runtime.real.control import WebSocketControl
from flowjob.runtime.real.network import RealNetwork
from flowjob.runtime.real.tls import TlsIdentity, api_ssl_context, examine
from tests.certificates import DAY, JOB, Authority, write

OURS = Authority("ours")
THEIRS = Authority("theirs")
OTHER_JOB = JobId("shop", "flights", "another-life")


def run(scenario: Awaitable[Any]) -> Any:
    async def within() -> Any:
        async with asyncio.timeout(20):
            return await scenario

    return asyncio.run(within())


def an(tmp_path: Path, role: str, **more: Any) -> TlsIdentity:
    return TlsIdentity(OURS.identity(tmp_path / role, role, **more))


# -- the control plane


async def _echo(connection: ControlConnection) -> None:
    while (message := await connection.receive()) is not None:
        await connection.send(message)


async def _talk(server: WebSocketControl, client: WebSocketControl) -> bytes | None:
    """What comes back of a message; the token is wrong, since certificates count."""
    listener = await server.serve("127.0.0.1", 0, "token", _echo)
    try:
        url = f"ws://127.0.0.1:{listener.address[1]}"
        connection = await client.connect(url, "another token", deadline=5)
        try:
            await connection.send(b"hello")
            return await connection.receive()
        finally:
            await connection.close()
    finally:
        await listener.close()


@pytest.mark.parametrize("role", ["taskmanager", "jobmanager"])
def test_processes_of_one_job_talk(tmp_path: Path, role: str) -> None:
    server = WebSocketControl(an(tmp_path, "jobmanager"))
    client = WebSocketControl(an(tmp_path / "client", role))
    assert run(_talk(server, client)) == b"hello"


def _wrong_clients(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    leaf = OURS.leaf([identity_uri("shop", "flights", "0f3c", "taskmanager")], ends=-DAY / 2)
    two = [
        identity_uri("shop", "flights", "0f3c", "taskmanager"),
        identity_uri("shop", "flights", "0f3c", "jobmanager"),
    ]
    return {
        "another job's": (
            OURS.identity(tmp_path / "a", "taskmanager", OTHER_JOB),
            "refuses this process: its certificate is that of taskmanager of job shop/flights/another-life",
        ),
        "another role's": (
            OURS.identity(tmp_path / "b", "operator", None),
            "only jobmanager, taskmanager may be here",
        ),
        "of another CA": (
            write(tmp_path / "c", OURS.pem + THEIRS.pem, *THEIRS.leaf([two[0]])),
            "it is of another CA",
        ),
        "expired": (write(tmp_path / "d", OURS.pem, *leaf), "has expired"),
        "of nobody": (write(tmp_path / "e", OURS.pem, *OURS.leaf([])), "names 0 processes"),
        "of two": (write(tmp_path / "f", OURS.pem, *OURS.leaf(two)), "names 2 processes"),
    }


@pytest.mark.parametrize(
    "whose", ["another job's", "another role's", "of another CA", "expired", "of nobody", "of two"]
)
def test_a_wrong_certificate_is_refused_with_a_sentence(tmp_path: Path, whose: str) -> None:
    """Whoever has it does not care whom it connects to."""
    directory, reason = _wrong_clients(tmp_path)[whose]
    identity = TlsIdentity(directory)
    identity.judge = lambda *_: None  # type: ignore[method-assign]
    server = WebSocketControl(an(tmp_path, "jobmanager"))
    with pytest.raises((HandshakeRefused, ConnectionError, BadIdentity)) as refused:
        run(_talk(server, WebSocketControl(identity)))
    assert reason in str(refused.value)


def test_a_certificate_that_ends_while_its_process_runs_is_refused_by_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process itself does not look at what it already has."""
    leaf = OURS.leaf([identity_uri("shop", "flights", "0f3c", "taskmanager")], ends=-DAY / 2)
    directory = OURS.identity(tmp_path / "late", "taskmanager")
    identity = TlsIdentity(directory)
    assert identity.job == JOB
    write(directory, OURS.pem, *leaf)
    monkeypatch.setattr(
        "flowjob.runtime.real.tls.examine", lambda _: examine(tmp_path / "jobmanager")
    )
    server = WebSocketControl(an(tmp_path, "jobmanager"))
    with pytest.raises(ConnectionError, match="refuses this process's certificate: it has expired"):
        run(_talk(server, WebSocketControl(identity)))


@pytest.mark.parametrize(
    ("role", "job", "reason"),
    [
        ("taskmanager", JOB, "only jobmanager may be here"),
        ("jobmanager", OTHER_JOB, "of job shop/flights/another-life, and this is job shop/flights/0f3c"),
    ],
)  # fmt: skip
def test_a_false_jobmanager_is_found_out_by_its_certificate(
    tmp_path: Path, role: str, job: JobId, reason: str
) -> None:
    server = WebSocketControl(TlsIdentity(OURS.identity(tmp_path / "false", role, job)))
    with pytest.raises(HandshakeRefused, match="is another process than it should be") as refused:
        run(_talk(server, WebSocketControl(an(tmp_path, "taskmanager"))))
    assert reason in str(refused.value)


def test_without_a_certificate_nobody_gets_in(tmp_path: Path) -> None:
    server = WebSocketControl(an(tmp_path, "jobmanager"))
    with pytest.raises(ConnectionError):
        run(_talk(server, WebSocketControl()))
    with pytest.raises(ConnectionError, match="closed the connection"):
        run(_talk(WebSocketControl(), WebSocketControl(an(tmp_path, "taskmanager"))))


def test_a_client_that_shows_none_is_cut_off(tmp_path: Path) -> None:
    async def scenario() -> bytes:
        control = WebSocketControl(an(tmp_path, "jobmanager"))
        listener = await control.serve("127.0.0.1", 0, "token", _echo)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            reader, writer = await asyncio.open_connection(*listener.address, ssl=context)
            writer.write(b"GET / HTTP/1.1\r\nAuthorization: Bearer token\r\n\r\n")
            try:
                return await reader.read()
            finally:
                writer.close()
                await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])
        finally:
            await listener.close()

    with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
        run(scenario())


def test_versions_before_1_3_are_not_spoken(tmp_path: Path) -> None:
    identity = an(tmp_path, "jobmanager")
    assert identity.server(None).minimum_version is ssl.TLSVersion.TLSv1_3
    assert identity.client({"jobmanager"}).minimum_version is ssl.TLSVersion.TLSv1_3

    async def scenario() -> None:
        control = WebSocketControl(identity)
        listener = await control.serve("127.0.0.1", 0, "token", _echo)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            await asyncio.open_connection(*listener.address, ssl=context)
        finally:
            await listener.close()

    with pytest.raises((ssl.SSLError, ConnectionError)):
        run(scenario())


# -- renewal


def test_a_renewed_certificate_is_shown_without_a_restart(tmp_path: Path) -> None:
    async def scenario() -> tuple[int, int]:
        directory = OURS.identity(tmp_path / "jm", "jobmanager")
        control = WebSocketControl(TlsIdentity(directory))
        listener = await control.serve("127.0.0.1", 0, "", _echo)
        client = an(tmp_path, "taskmanager")
        try:
            before = await _serial(listener.address, client)
            OURS.identity(directory, "jobmanager")
            return before, await _serial(listener.address, client)
        finally:
            await listener.close()

    before, after = run(scenario())
    assert before != after


async def _serial(address: tuple[str, int], identity: TlsIdentity) -> int:
    """Of the certificate that is shown there."""
    context = identity.client({"jobmanager"})
    _, writer = await asyncio.open_connection(*address, ssl=context)
    shown = writer.get_extra_info("peercert")
    writer.close()
    await writer.wait_closed()
    return int(shown["serialNumber"], 16)


def test_an_authority_is_replaced_with_overlap_and_the_former_one_is_out_then(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        jm = OURS.identity(tmp_path / "jm", "jobmanager")
        tm = OURS.identity(tmp_path / "tm", "taskmanager")
        stale = TlsIdentity(OURS.identity(tmp_path / "stale", "taskmanager"))
        uris = {
            role: identity_uri("shop", "flights", "0f3c", role)
            for role in ("jobmanager", "taskmanager")
        }
        control, client = WebSocketControl(TlsIdentity(jm)), WebSocketControl(TlsIdentity(tm))
        listener = await control.serve("127.0.0.1", 0, "", _echo)
        url = f"ws://127.0.0.1:{listener.address[1]}"

        async def greet(who: WebSocketControl) -> None:
            connection = await who.connect(url, "", deadline=5)
            await connection.close()

        try:
            await greet(client)
            write(jm, OURS.pem + THEIRS.pem, *OURS.leaf([uris["jobmanager"]]))
            await greet(client)
            write(tm, OURS.pem + THEIRS.pem, *THEIRS.leaf([uris["taskmanager"]]))
            await greet(client)
            write(jm, THEIRS.pem, *THEIRS.leaf([uris["jobmanager"]]))
            await greet(client)
            with pytest.raises(ConnectionError, match="of another CA"):
                await greet(WebSocketControl(stale))
            write(stale._directory, OURS.pem + THEIRS.pem, *OURS.leaf([uris["taskmanager"]]))
            with pytest.raises(
                ConnectionError, match="refuses this process's certificate: it is of another CA"
            ):
                await greet(WebSocketControl(stale))
        finally:
            await listener.close()

    run(scenario())


@pytest.mark.parametrize("file", ["ca.crt", "tls.crt", "tls.key"])
def test_files_that_are_half_written_change_nothing(
    tmp_path: Path, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    identity = an(tmp_path, "jobmanager")
    before = identity.own
    (tmp_path / "jobmanager" / file).write_bytes(b"-----BEGIN")
    assert identity.own == before
    assert (
        run(_talk(WebSocketControl(identity), WebSocketControl(an(tmp_path, "taskmanager"))))
        == b"hello"
    )
    assert "going on with the certificate from before" in caplog.text


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda d: (d / "tls.key").unlink(), "No such file"),
        (lambda d: (d / "tls.key").write_bytes(OURS.leaf([])[1]), "key and certificate do not belong together"),
        (lambda d: (d / "ca.crt").write_bytes(THEIRS.pem), "another CA"),
        (lambda d: (d / "ca.crt").write_bytes(b""), "needs ca.crt, tls.crt, tls.key in PEM"),
        (lambda d: (d / "tls.crt").write_text("nothing"), "needs ca.crt, tls.crt, tls.key in PEM"),
        (lambda d: OURS.identity(d, "taskmanager", ends=-DAY / 2), "the certificate has expired"),
    ],
)  # fmt: skip
def test_an_identity_that_cannot_be_used_says_why(
    tmp_path: Path, spoil: Callable[[Path], object], reason: str
) -> None:
    directory = OURS.identity(tmp_path / "id", "taskmanager")
    spoil(directory)
    with pytest.raises(BadIdentity) as bad:
        TlsIdentity(directory).own  # noqa: B018
    assert reason in str(bad.value)
    assert str(directory) in str(bad.value)


def test_an_identity_of_another_process_is_noticed_at_the_start(tmp_path: Path) -> None:
    identity = an(tmp_path, "taskmanager")
    identity.check(JOB, "taskmanager")
    with pytest.raises(BadIdentity, match="mount the identity that was made for it"):
        identity.check(JOB, "jobmanager")
    with pytest.raises(
        BadIdentity, match="and this is the taskmanager of job shop/flights/another-life"
    ):
        identity.check(OTHER_JOB, "taskmanager")
    platform = TlsIdentity(OURS.identity(tmp_path / "op", "operator", None))
    assert platform.own.identity.role == "operator"
    with pytest.raises(BadIdentity, match="operator of the platform"):
        platform.job  # noqa: B018


def test_a_certificate_says_when_it_ends(tmp_path: Path) -> None:
    own = an(tmp_path, "taskmanager", ends=3 * DAY).own
    assert (
        timedelta(days=2) < own.expires - OURS.certificate.not_valid_before_utc < timedelta(days=6)
    )


# -- the internal API, and the data plane


@pytest.mark.parametrize(
    ("role", "job", "is_let_in"),
    [
        ("operator", None, True),
        ("service", None, True),
        ("taskmanager", JOB, True),
        ("jobmanager", JOB, False),
        ("taskmanager", OTHER_JOB, False),
    ],
)
def test_the_api_is_for_those_roles_only_that_it_was_made_for(
    tmp_path: Path, role: str, job: JobId | None, is_let_in: bool
) -> None:
    context = api_ssl_context(OURS.identity(tmp_path / "jm", "jobmanager"), API_CLIENTS)
    client = TlsIdentity(OURS.identity(tmp_path / "client", role, job))
    wanted = client.client({"jobmanager"})
    if job != JOB:  # it looks for the JobManager of the job that it is about, not of its own
        wanted.sslobject_class = ssl.SSLObject

    async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    async def scenario() -> bytes:
        server = await asyncio.start_server(hello, "127.0.0.1", 0, ssl=context)
        try:
            reader, writer = await asyncio.open_connection(
                *server.sockets[0].getsockname(), ssl=wanted
            )
            try:
                return await reader.read()
            except ConnectionError:
                return b""
            finally:
                writer.close()
                await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])
        finally:
            server.close()

    assert run(scenario()) == (b"hello" if is_let_in else b"")


class _Collect(asyncio.Protocol):
    def __init__(self) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)


@pytest.mark.parametrize(
    ("role", "job", "reason"),
    [("jobmanager", JOB, "only taskmanager may be here"), ("taskmanager", OTHER_JOB, "of job shop/flights/another")],
)  # fmt: skip
def test_rows_go_to_task_managers_of_this_job_only(
    tmp_path: Path, role: str, job: JobId, reason: str
) -> None:
    async def scenario() -> None:
        there = RealNetwork(TlsIdentity(OURS.identity(tmp_path / "x", role, job)))
        listener = await there.listen("127.0.0.1", 0, _Collect)
        here = RealNetwork(an(tmp_path, "taskmanager"))
        try:
            with pytest.raises(HandshakeRefused, match="is not to be trusted") as refused:
                await here.connect(*listener.address, _Collect, deadline=5)
            assert reason in str(refused.value)
        finally:
            await listener.close()

    run(scenario())
    assert {"taskmanager"} == DATA_PEERS
