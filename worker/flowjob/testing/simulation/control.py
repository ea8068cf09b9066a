"""Control connections of simulated processes: whole messages, as WebSockets and socketpairs carry them.

It must not know what the messages say; whom a token lets in is all it judges."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import msgspec

from flowjob.errors import HandshakeRefused
from flowjob.runtime.env import ControlHandler
from flowjob.testing.simulation.links import Link
from flowjob.testing.simulation.network import SimListener, reach
from flowjob.testing.simulation.process import SimProcess
from flowjob.testing.simulation.world import World

_WINDOW = 1 << 20
"""Bytes under way before a sender has to wait."""

_CLOSING = object()


class MessageConnection:
    """See env.ControlConnection. `local`: a socketpair between two processes of one host."""

    def __init__(self, world: World, process: SimProcess, *, local: bool) -> None:
        self._world = world
        self.process = process
        self.local = local
        self._received: deque[bytes] = deque()
        self._under_way = 0
        self._lost = False
        self._closed = False
        self._reader: asyncio.Future[None] | None = None
        self._writers: list[asyncio.Future[None]] = []
        self._ended: list[asyncio.Future[None]] = []
        process.handles[self] = None

    def join(self, peer: MessageConnection) -> None:
        self._peer = peer
        self._out = Link(
            self._world,
            (self.process, peer.process),
            peer._arrived,
            self.break_down,
            local=self.local,
        )

    # -- what the process does

    async def send(self, message: bytes) -> None:
        """Raises ConnectionError when the other side is gone."""
        if self._lost or self._closed:
            raise ConnectionResetError("the connection is closed")
        self._under_way += len(message)
        self._out.send(message)
        if self._world.tracing and (said := shown(message)) is not None:
            self._world.note(self.process.name, f"says {said}")
        while self._under_way > _WINDOW:
            waiter = self._world.loop.create_future()
            self._writers.append(waiter)
            await waiter
            if self._lost or self._closed:
                raise ConnectionResetError("the connection was lost")

    async def receive(self) -> bytes | None:
        while not self._received:
            if self._lost or self._closed:
                return None
            self._reader = self._world.loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        message = self._received.popleft()
        self._peer._took(len(message))
        return message

    async def close(self, reason: str = "") -> None:
        """Over a network it waits, not for long, until the other side has heard of it."""
        if not self._closed:
            self._closed = True
            self.process.handles.pop(self, None)
            self._out.send(_CLOSING)
            self._wake()
        if not self._lost and not self.local:
            ended = self._world.loop.create_future()
            self._ended.append(ended)
            await asyncio.wait([ended], timeout=2.0)

    # -- what the world does

    def closed_by_kernel(self) -> None:
        if not self._closed:
            self._closed = True
            self._out.send(_CLOSING)

    def break_down(self) -> None:
        """The network gives it up, on this side."""
        self._lost = True
        self._wake()

    def _arrived(self, item: Any) -> None:
        if item is not _CLOSING:
            if not self._lost and not self._closed:
                self._received.append(item)
                self._wake_reader()
            return
        self._lost = True
        if not self._closed:
            self._closed = True
            self.process.handles.pop(self, None)
            self._out.send(_CLOSING)  # the closing handshake's answer
        self._wake()

    def _took(self, size: int) -> None:
        self._under_way -= size
        if self._writers:
            loop = self._world.loop
            loop.post_at(loop.time(), self.process, self._wake_writers)

    def _wake(self) -> None:
        self._wake_reader()
        self._wake_writers()
        if self._lost:
            for ended in self._ended:
                if not ended.done():
                    ended.set_result(None)

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _wake_writers(self) -> None:
        writers, self._writers = self._writers, []
        for writer in writers:
            if not writer.done():
                writer.set_result(None)


_DULL = ("TaskManagerAlive", "JobManagerAlive", "MetricsReport", "SlotOutput")
"""Messages that are not worth a line."""

_SHORT = 200


def shown(message: bytes) -> str | None:
    """A message for a person, envelopes opened; None for one of the many that say little."""
    said: dict[str, Any] = msgspec.msgpack.decode(message)
    if isinstance(said.get("body"), bytes):
        said = {**msgspec.msgpack.decode(said["body"]), "slot": said.get("slot")}
    kind = said.pop("type")
    for dropped in ("launch", "job", "generation", "places"):
        said.pop(dropped, None)
    text = ", ".join(f"{name}={value}" for name, value in said.items())
    return None if kind in _DULL else f"{kind} {text[:_SHORT]}"


def socketpair(
    world: World, one: SimProcess, other: SimProcess
) -> tuple[MessageConnection, MessageConnection]:
    """Two ends within a host."""
    return _joined(
        MessageConnection(world, one, local=True), MessageConnection(world, other, local=True)
    )


def _joined(
    one: MessageConnection, other: MessageConnection
) -> tuple[MessageConnection, MessageConnection]:
    one.join(other)
    other.join(one)
    return one, other


class ControlListener(SimListener):
    """Serves each connection in a task of its process; closing it closes them all."""

    def __init__(
        self,
        world: World,
        process: SimProcess,
        at: tuple[str, int],
        token: str,
        handler: ControlHandler,
    ) -> None:
        super().__init__(world, process, *at)
        self.token = token
        self._handler = handler
        self._open: dict[MessageConnection, asyncio.Task[None]] = {}

    def accept(self, connection: MessageConnection) -> None:
        """In its process."""
        task = asyncio.get_running_loop().create_task(self._serve(connection))
        self._open[connection] = task

    async def _serve(self, connection: MessageConnection) -> None:
        try:
            await self._handler(connection)
        finally:
            await connection.close()
            self._open.pop(connection, None)

    async def close(self) -> None:
        await super().close()
        serving = list(self._open.items())
        for connection, _ in serving:
            await connection.close("going away")
        if serving:
            await asyncio.wait([task for _, task in serving])


class SimControl:
    """See env.ControlPlane."""

    def __init__(self, world: World, process: SimProcess) -> None:
        self._world = world
        self._process = process

    async def serve(
        self, host: str, port: int, token: str, handler: ControlHandler
    ) -> ControlListener:
        return ControlListener(self._world, self._process, (host, port), token, handler)

    async def connect(self, url: str, token: str, *, deadline: float) -> MessageConnection:
        """Raises ConnectionError, TimeoutError, or HandshakeRefused for a wrong token."""
        host, _, port = url.removeprefix("ws://").rpartition(":")
        world = self._world
        listener = await reach(world, self._process, (host, int(port)), deadline)
        if not isinstance(listener, ControlListener):
            raise ConnectionRefusedError(111, f"no JobManager at {url}")
        if token != listener.token:
            raise HandshakeRefused(f"{url} refuses the token")
        ours, theirs = _joined(
            MessageConnection(world, self._process, local=False),
            MessageConnection(world, listener.process, local=False),
        )
        world.loop.post(listener.process, listener.accept, theirs)
        return ours
