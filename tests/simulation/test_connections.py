"""Simulated connections keep TCP's promises and no others: order, back-pressure, resets, silence while cut off."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.errors import HandshakeRefused
from flowjob.runtime.env import ControlConnection, Env
from flowjob.testing.simulation.world import Physics
from tests.simulation.small_worlds import run, start, world_of


class Peer(asyncio.Protocol):
    """Remembers what happens to it."""

    def __init__(self) -> None:
        self.data = b""
        self.pieces = 0
        self.events: list[str] = []
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.events.append("made")

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.pieces += 1

    def eof_received(self) -> bool:
        self.events.append("eof")
        return False

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost" if exc is None else type(exc).__name__)
        self.lost.set_result(None)


class BufferedPeer(asyncio.BufferedProtocol):
    """Takes bytes into a buffer of its own."""

    def __init__(self) -> None:
        self.buffer = bytearray(7)
        self.data = b""

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data += self.buffer[:nbytes]


physics = st.builds(
    Physics,
    latency=st.sampled_from([0.0001, 0.01]),
    chunk=st.sampled_from([1, 100, 65_536]),
    crumbs=st.sampled_from([0.0, 0.5]),
    window=st.sampled_from([1, 500, 65_536]),
)


@settings(max_examples=25)
@given(st.integers(0, 99), physics, st.lists(st.binary(max_size=300), max_size=10), st.booleans())
def test_bytes_arrive_whole_and_in_order_then_the_end(
    seed: int, physics: Physics, data: list[bytes], buffered: bool
) -> None:
    servers: list[Any] = []

    def accept() -> Any:
        servers.append(BufferedPeer() if buffered else Peer())
        return servers[-1]

    async def server(env: Env) -> None:
        await env.network.listen("here", 1, accept)
        await env.clock.sleep(50)

    async def client(env: Env) -> None:
        await env.clock.sleep(0.1)
        peer: Any = await env.network.connect("here", 1, Peer, deadline=5)
        for piece in data:
            peer.transport.write(piece)
        peer.transport.write_eof()
        await peer.lost

    with world_of(seed, physics) as world:
        start(world, "server", server)
        start(world, "client", client, host="there")
        run(world)
    assert servers[0].data == b"".join(data)


def test_a_reader_that_stops_holds_the_writer_back() -> None:
    peers: dict[str, Peer] = {}

    class Slow(Peer):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.pause_reading()
            peers["server"] = self

    async def server(env: Env) -> None:
        await env.network.listen("here", 1, Slow)
        await env.clock.sleep(5)
        assert peers["server"].data == b""
        peers["server"].transport.resume_reading()
        await env.clock.sleep(5)

    async def client(env: Env) -> None:
        await env.clock.sleep(0.1)
        peer: Any = await env.network.connect("here", 1, Peer, deadline=5)
        peer.transport.set_write_buffer_limits(high=1000)
        peer.transport.write(b"x" * 5000)
        assert peer.events == ["made", "pause"]
        await env.clock.sleep(9)
        assert peer.events == ["made", "pause", "resume"]

    with world_of(physics=Physics(window=2000)) as world:
        start(world, "server", server)
        start(world, "client", client)
        run(world)
        assert not world.complaints
    assert len(peers["server"].data) == 5000


def test_the_other_end_of_a_killed_process_hears_of_it() -> None:
    async def server(env: Env) -> None:
        await env.network.listen("here", 1, Peer)
        await env.clock.sleep(50)

    async def client(env: Env) -> None:
        await env.clock.sleep(0.1)
        peer: Any = await env.network.connect("here", 1, Peer, deadline=5)
        await env.clock.sleep(1)
        victim.kill()
        await peer.lost
        assert peer.events in (["made", "eof", "lost"], ["made", "ConnectionResetError"])

    with world_of() as world:
        victim = start(world, "server", server)
        start(world, "client", client)
        run(world)
        assert not world.complaints


def test_writing_to_an_end_that_has_closed_is_answered_with_a_reset() -> None:
    class Rude(Peer):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            pass

    class Stubborn(Peer):
        def eof_received(self) -> bool:
            return True  # goes on writing

    async def server(env: Env) -> None:
        await env.network.listen("here", 1, Rude)
        await env.clock.sleep(50)

    async def client(env: Env) -> None:
        await env.clock.sleep(0.1)
        peer: Any = await env.network.connect("here", 1, Stubborn, deadline=5)
        await env.clock.sleep(1)
        peer.transport.write(b"still there?")
        await peer.lost
        assert peer.events[-1] == "ConnectionResetError"

    with world_of() as world:
        start(world, "server", server)
        start(world, "client", client)
        run(world)
        assert not world.complaints


def test_a_cut_holds_everything_back_until_it_heals() -> None:
    arrived: list[tuple[float, bytes]] = []

    class Clocked(Peer):
        def data_received(self, data: bytes) -> None:
            arrived.append((world.loop.time(), data))

    async def server(env: Env) -> None:
        await env.network.listen("here", 1, Clocked)
        await env.clock.sleep(50)

    async def client(env: Env) -> None:
        await env.clock.sleep(0.1)
        peer: Any = await env.network.connect("here", 1, Peer, deadline=5)
        await env.clock.sleep(1)
        world.cut("here", "there")
        peer.transport.write(b"x")
        with pytest.raises(TimeoutError):
            await env.network.connect("here", 1, Peer, deadline=5)
        world.heal("here", "there")
        await env.clock.sleep(1)

    with world_of() as world:
        start(world, "server", server)
        start(world, "client", client, host="there")
        run(world)
        assert not world.complaints
    assert [data for _, data in arrived] == [b"x"]
    assert arrived[0][0] > 6


def test_nobody_listening_is_a_refusal() -> None:
    async def client(env: Env) -> None:
        with pytest.raises(ConnectionRefusedError):
            await env.network.connect("here", 1, Peer, deadline=5)

    with world_of() as world:
        start(world, "client", client)
        run(world)
        assert not world.complaints


def test_control_messages_arrive_whole_and_the_end_is_heard() -> None:
    heard: list[bytes | None] = []

    async def serve(connection: ControlConnection) -> None:
        while heard[-1:] != [None]:
            heard.append(await connection.receive())

    async def server(env: Env) -> None:
        await env.control.serve("here", 1, "secret", serve)
        await env.clock.sleep(10)

    async def client(env: Env) -> None:
        await env.clock.sleep(0.1)
        with pytest.raises(HandshakeRefused):
            await env.control.connect("ws://here:1", "wrong", deadline=5)
        connection = await env.control.connect("ws://here:1", "secret", deadline=5)
        for n in range(5):
            await connection.send(b"%d" % n)
        await connection.close()
        with pytest.raises(ConnectionError):
            await connection.send(b"late")
        assert await connection.receive() is None

    with world_of() as world:
        start(world, "server", server)
        start(world, "client", client, host="there")
        run(world)
        assert not world.complaints
    assert heard == [b"0", b"1", b"2", b"3", b"4", None]
