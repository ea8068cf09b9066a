"""Env.network of a simulated process: listening, connecting, being refused or never answered.

Connections are transports.SimTransport. It must not know what is said over them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from flowjob.testing.simulation.process import SimProcess
from flowjob.testing.simulation.transports import SimTransport
from flowjob.testing.simulation.world import World

Factory = Callable[[], asyncio.BaseProtocol]


class SimListener:
    """See env.Listener. Also what the control plane listens with: `accept` is its business."""

    def __init__(self, world: World, process: SimProcess, host: str, port: int) -> None:
        self.process = process
        self._world = world
        self._address = host, port or world.free_port()
        if self._address in world.listeners:
            raise OSError(98, f"Address already in use: {self._address}")
        world.listeners[self._address] = self
        process.handles[self] = None

    @property
    def address(self) -> tuple[str, int]:
        return self._address

    async def close(self) -> None:
        self.closed_by_kernel()
        self.process.handles.pop(self, None)

    def closed_by_kernel(self) -> None:
        if self._world.listeners.get(self._address) is self:
            del self._world.listeners[self._address]


class ByteListener(SimListener):
    """Makes a protocol for each connection."""

    def __init__(
        self, world: World, process: SimProcess, at: tuple[str, int], factory: Factory
    ) -> None:
        super().__init__(world, process, *at)
        self.factory = factory


class SimNetwork:
    """See env.Network. A host's name is its address."""

    def __init__(self, world: World, process: SimProcess) -> None:
        self._world = world
        self._process = process

    async def listen(self, host: str, port: int, factory: Factory) -> ByteListener:
        return ByteListener(self._world, self._process, (host, port), factory)

    async def connect(
        self, host: str, port: int, factory: Factory, *, deadline: float
    ) -> asyncio.BaseProtocol:
        listener = await reach(self._world, self._process, (host, port), deadline)
        if not isinstance(listener, ByteListener):
            raise ConnectionRefusedError(111, f"nobody speaks this at {host}:{port}")
        world, server = self._world, listener.process
        ours, theirs = SimTransport(world, self._process), SimTransport(world, server)
        ours.join(theirs)
        theirs.join(ours)
        world.loop.post(server, lambda: theirs.open(listener.factory()))
        protocol = factory()
        ours.open(protocol)
        return protocol


async def reach(
    world: World, process: SimProcess, address: tuple[str, int], deadline: float
) -> SimListener:
    """The round trip of a connect. Raises ConnectionRefusedError when nobody listens, TimeoutError when the network is
    cut for all of `deadline` seconds."""
    loop = world.loop
    give_up_at = loop.time() + deadline
    while True:
        await asyncio.sleep(2 * world.latency())  # noqa: TID251 - this is the world
        if not world.is_cut(process.host, address[0]):
            break
        if loop.time() >= give_up_at:
            raise TimeoutError(110, "Connection timed out")
        pause = min(1.0, max(0.0, give_up_at - loop.time()))
        await asyncio.sleep(pause)  # noqa: TID251
    listener = world.listeners.get(address)
    if listener is None:
        raise ConnectionRefusedError(111, f"Connection refused: {address[0]}:{address[1]}")
    assert isinstance(listener, SimListener)
    return listener
