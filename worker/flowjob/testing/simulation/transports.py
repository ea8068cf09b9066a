"""Both ends of a simulated TCP connection, as asyncio's socket transports behave towards their protocols.

Bytes arrive in order, cut at any place, later; a slow reader fills the connection and then the writer's buffer. An end
that closes with bytes unread resets the other one, as the kernel does."""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum
from typing import Any

from flowjob.testing.simulation.links import Link
from flowjob.testing.simulation.process import SimProcess
from flowjob.testing.simulation.world import World

_RESET = ConnectionResetError(104, "Connection reset by peer")
_TIMED_OUT = TimeoutError(110, "Connection timed out")


class _Mark(Enum):
    """What travels besides bytes."""

    END = "end"
    RESET = "reset"


class SimTransport(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, world: World, process: SimProcess) -> None:
        super().__init__()
        self._world = world
        self.process = process
        self._chance = world.chance("chunks")
        self._buffer: deque[bytes] = deque()
        self._buffered = 0
        self._in_flight = 0
        self._unread: deque[bytes | _Mark] = deque()
        self._reading = False
        self._read_paused = False
        self._high, self._low = 65_536, 16_384
        self._write_paused = False
        self._closing = False
        self._gone = False
        self._refused = False
        self._broken = False
        self._protocol: Any = None
        self._buffered_protocol = False
        self._eof_asked = False
        self._eof_sent = False
        process.handles[self] = None

    def join(self, peer: SimTransport) -> None:
        """Both ends get to know each other before anything else happens."""
        self._peer = peer
        self._out = Link(self._world, (self.process, peer.process), peer._arrived, self.break_down)

    # -- what protocols call

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol
        self._buffered_protocol = isinstance(protocol, asyncio.BufferedProtocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return not self._read_paused and not self._closing

    def pause_reading(self) -> None:
        self._read_paused = True

    def resume_reading(self) -> None:
        if self._read_paused:
            self._read_paused = False
            self._read_soon()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = 65_536 if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        return self._buffered

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def write(self, data: Any) -> None:
        if self._eof_asked:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._gone or not len(data):
            return
        piece = bytes(data)
        self._buffer.append(piece)
        self._buffered += len(piece)
        self._pump()
        if self._buffered > self._high and not self._write_paused:
            self._write_paused = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._closing and not self._eof_asked:
            self._eof_asked = True
            self._pump()

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        if not self._buffer:
            self._lose(None)

    def abort(self) -> None:
        self._lose(None)

    # -- what the world does to it

    def open(self, protocol: asyncio.BaseProtocol) -> None:
        """In this end's process: the protocol gets to know its transport."""
        self.set_protocol(protocol)
        protocol.connection_made(self)
        self._reading = True
        self._read_soon()

    def closed_by_kernel(self) -> None:
        """Its process has ended: nobody is told here, but the other end hears of it."""
        if not self._gone:
            self._gone = True
            self._shut()

    def break_down(self) -> None:
        """The network gives it up, on this side."""
        self._broken = True
        self._fail(_TIMED_OUT)

    # -- sending

    def _pump(self) -> None:
        """Hands bytes to the network as long as there is room in flight."""
        physics = self._world.physics
        while self._buffer and self._in_flight < physics.window:
            room = physics.window - self._in_flight
            size = min(room, physics.chunk, len(self._buffer[0]))
            if self._chance.random() < physics.crumbs:
                size = min(size, 1 + int(self._chance.random() * 40))
            piece = self._buffer[0]
            if size == len(piece):
                self._buffer.popleft()
            else:
                self._buffer[0] = piece[size:]
                piece = piece[:size]
            self._buffered -= size
            self._in_flight += size
            self._out.send(piece)
            if self._peer._gone and not self._refused:  # sent to an end that is closed
                self._refused = True
                self._peer._out.send(_Mark.RESET)
        if not self._buffer:
            if self._eof_asked and not self._eof_sent:
                self._eof_sent = True
                self._out.send(_Mark.END)
            if self._closing:
                self._lose(None)

    def _room(self) -> None:
        """The other end has read something."""
        if self._gone:
            return
        self._pump()
        if self._write_paused and self._buffered <= self._low and not self._gone:
            self._write_paused = False
            self._protocol.resume_writing()

    # -- receiving

    def _arrived(self, item: bytes | _Mark) -> None:
        if self._gone:
            return
        self._unread.append(item)
        self._read()

    def _read_soon(self) -> None:
        if self._unread:
            self._world.loop.call_soon(self._read)

    def _read(self) -> None:
        """One read event: what has arrived, in as many calls as the protocol's buffer needs."""
        if not self._unread or self._read_paused or not self._reading or self._gone:
            return
        item = self._unread.popleft()
        if item is _Mark.RESET:
            self._fail(_RESET)
            return
        if self._closing:  # a closing transport reads nothing
            return
        if item is _Mark.END:
            if not self._protocol.eof_received():
                self.close()
            return
        assert isinstance(item, bytes)
        self._feed(item)
        peer = self._peer
        peer._in_flight -= len(item)
        if peer._buffer or peer._write_paused:
            self._world.loop.post_at(self._world.loop.time(), peer.process, peer._room)
        self._read_soon()

    def _feed(self, data: bytes) -> None:
        try:
            if not self._buffered_protocol:
                self._protocol.data_received(data)
                return
            rest = memoryview(data)
            while rest and not self._closing:
                into = self._protocol.get_buffer(-1)
                size = min(len(into), len(rest))
                into[:size] = rest[:size]
                self._protocol.buffer_updated(size)
                rest = rest[size:]
        except Exception as error:  # noqa: BLE001 - as asyncio does: said, and the connection is lost
            self._world.loop.call_exception_handler(
                {"message": "a protocol raised", "exception": error}
            )
            self._fail(error)

    # -- the end

    def _fail(self, error: Exception) -> None:
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        if self._gone:
            return
        self._gone = self._closing = True
        self._world.loop.call_soon(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        self._buffer.clear()
        self._buffered = 0
        self.process.handles.pop(self, None)
        try:
            self._protocol.connection_lost(error)
        finally:
            self._shut()

    def _shut(self) -> None:
        """The socket is closed: what was sent still arrives, then the end; a reset when something was left unread."""
        unread = self._broken or self._peer._in_flight > 0
        if not self._eof_sent and not self._broken and not (unread and self._chance.random() < 0.5):
            self._out.send(_Mark.END)
        if unread:
            self._out.send(_Mark.RESET)
        self._eof_sent = True
        self._unread.clear()
        self._buffer.clear()
