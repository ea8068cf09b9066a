"""Who may speak on the control port: strangers, wrong tokens and garbled messages end their connection only."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from flowjob.errors import HandshakeRefused
from flowjob.runtime import messages as m
from flowjob.runtime.env import ControlConnection
from flowjob.runtime.jobmanager.manager import Cluster, Endpoint, JobManager
from flowjob.runtime.minicluster import LocalOptions, MiniCluster, job_request
from flowjob.runtime.real.control import WebSocketControl
from flowjob.runtime.real.env import real_env
from tests.runtime import fake_program

STRANGE_BYTES = [
    b"",
    b"\x00" * 5000,
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00" + b"x" * 100,
    b"\n" * 70_000,
]

HELLO = m.Register(protocol=m.PROTOCOL, taskmanager="impostor", slots=0, pid=1, host="127.0.0.1")


async def _bytes_to(port: int, data: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    if writer.can_write_eof():
        writer.write_eof()
    try:
        await reader.read()
    except ConnectionError:
        pass
    writer.close()


def _port(endpoint: Endpoint) -> int:
    return int(endpoint.url.rsplit(":", 1)[1])


class Besieged:
    """A cluster whose JobManager is first attacked by `attack`, then used."""

    def __init__(self, inner: Cluster, attack: Callable[[Endpoint], asyncio.Future[None]]) -> None:
        self._inner = inner
        self._attack = attack

    async def start(self, endpoint: Endpoint, exited: Callable[[str, str], None]) -> None:
        await self._attack(endpoint)
        await self._inner.start(endpoint, exited)

    async def stop(self) -> None:
        await self._inner.stop()


def run_besieged(directory: Path, attack: Callable[[Endpoint], object]) -> None:
    """Runs a job that must succeed all the same."""
    options = LocalOptions(
        planner="tests.runtime.fake_program", runner="tests.runtime.fake_program:FakeRunner"
    )
    request = job_request(fake_program.FakeJob(), 1, "run", "token", options)  # type: ignore[arg-type]

    async def main() -> None:
        env = real_env(directory)
        result = await JobManager(env, request).run(Besieged(MiniCluster(env), attack))  # type: ignore[arg-type]
        assert result.complete

    asyncio.run(main())


@pytest.mark.slow
def test_strange_bytes_on_the_control_port_disturb_nobody(tmp_path: Path) -> None:
    async def attack(endpoint: Endpoint) -> None:
        for data in STRANGE_BYTES:
            await _bytes_to(_port(endpoint), data)

    run_besieged(tmp_path, attack)


@pytest.mark.slow
def test_garbled_messages_after_a_good_token_end_that_connection_only(tmp_path: Path) -> None:
    async def attack(endpoint: Endpoint) -> None:
        hello = m.to_jobmanager.encode(HELLO)
        beat = m.to_jobmanager.encode(m.TaskManagerAlive())
        again = msgspec.msgpack.encode({"type": "Nonsense"})
        for first, second in (
            (b"\xc1", b""),
            (beat, b""),
            (hello, again),
            (hello, hello),
            (hello, b"\x91" * 9),
        ):
            connection = await WebSocketControl().connect(endpoint.url, endpoint.token, deadline=5)
            await connection.send(first)
            if second:
                await connection.send(second)
            while await connection.receive() is not None:
                pass

    run_besieged(tmp_path, attack)


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        (msgspec.structs.replace(HELLO, protocol=99), "protocol version 99"),
        (msgspec.structs.replace(HELLO, generation=5), "newer JobManager"),
    ],
)
@pytest.mark.slow
def test_a_taskmanager_of_another_version_or_generation_is_told_why(
    tmp_path: Path, hello: m.Register, reason: str
) -> None:
    async def attack(endpoint: Endpoint) -> None:
        connection = await WebSocketControl().connect(endpoint.url, endpoint.token, deadline=5)
        await connection.send(m.to_jobmanager.encode(hello))
        answer = await connection.receive()
        assert answer is not None
        refused = m.to_taskmanager.decode(answer)
        assert isinstance(refused, m.Refused)
        assert reason in refused.reason
        await connection.close()

    run_besieged(tmp_path, attack)


@pytest.mark.slow
def test_what_is_meant_for_the_jobmanager_before_is_dropped_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Slots go on speaking while nobody leads: a takeover hears hundreds of such messages."""

    async def attack(endpoint: Endpoint) -> None:
        connection = await WebSocketControl().connect(endpoint.url, endpoint.token, deadline=5)
        await connection.send(m.to_jobmanager.encode(HELLO))
        assert await connection.receive() is not None
        for _ in range(20):
            late = m.SlotGone(slot=0, reason="of old", attempt=1, generation=77)
            await connection.send(m.to_jobmanager.encode(late))
        await connection.send(m.to_jobmanager.encode(m.Leaving(reason="done", within=0.0)))
        await connection.close()

    with caplog.at_level("INFO", logger="flowjob.jobmanager"):
        run_besieged(tmp_path, attack)
    dropped = [r.getMessage() for r in caplog.records if "generation 77" in r.getMessage()]
    assert dropped == ["what impostor tells the JobManager of generation 77 is dropped"]


@pytest.mark.parametrize("token", ["", "wrong", "tokem", "tökén"])
def test_only_the_jobs_token_opens_a_connection(token: str) -> None:
    async def main() -> None:
        async def never(connection: ControlConnection) -> None:
            raise AssertionError("a wrong token got through")

        listener = await WebSocketControl().serve("127.0.0.1", 0, "token", never)
        with pytest.raises((HandshakeRefused, UnicodeError)):
            await WebSocketControl().connect(
                f"ws://127.0.0.1:{listener.address[1]}", token, deadline=5
            )
        await listener.close()

    asyncio.run(main())


def test_where_nobody_listens_any_more_is_told_from_silence() -> None:
    async def main() -> None:
        async def never(connection: ControlConnection) -> None:
            raise AssertionError("nobody asks")

        listener = await WebSocketControl().serve("127.0.0.1", 0, "token", never)
        url = f"ws://127.0.0.1:{listener.address[1]}"
        await listener.close()
        with pytest.raises(ConnectionRefusedError, match=url):
            await WebSocketControl().connect(url, "token", deadline=5)

    asyncio.run(main())


@pytest.mark.slow
def test_a_taskmanager_with_a_wrong_token_gives_up_at_once_and_says_so(tmp_path: Path) -> None:
    async def attack(endpoint: Endpoint) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "flowjob.runtime.taskmanager", "--jobmanager", endpoint.url),
            env={**os.environ, "FLOWJOB_TOKEN": "wrong"},
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        assert process.returncode == 1
        assert b"refuses the token" in said

    run_besieged(tmp_path, attack)


@pytest.mark.slow
def test_taskmanagers_started_by_hand_run_a_job(tmp_path: Path) -> None:
    class ByHand:
        async def start(self, endpoint: Endpoint, exited: object) -> None:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "flowjob.runtime.taskmanager"),
                *("--jobmanager", endpoint.url, "--slots", "2"),
                env={**os.environ, "FLOWJOB_TOKEN": endpoint.token},
            )

        async def stop(self) -> None:
            assert await self.process.wait() == 0

    options = LocalOptions(
        planner="tests.runtime.fake_program", runner="tests.runtime.fake_program:FakeRunner"
    )
    request = job_request(fake_program.FakeJob(), 2, "run", "token", options)  # type: ignore[arg-type]
    result = asyncio.run(JobManager(real_env(tmp_path), request).run(ByHand()))
    assert result.complete
