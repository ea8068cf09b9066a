"""The producing end of a connection: all channels from this slot to one other slot.

It writes what the channels hand it, many frames at a time, and stops them while the socket is behind. Credit comes
back on the reverse half. It must not know batches: it moves frames."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from flowjob.core import frames
from flowjob.core.elements import Barrier, Control, EndOfInput, Marker, Status, Watermark
from flowjob.core.handshake import Connecting
from flowjob.errors import HandshakeRefused, ProtocolError
from flowjob.runtime.batch import Batch
from flowjob.runtime.exchange.channels import OutputChannel
from flowjob.runtime.exchange.settings import ExchangeSettings, SlotAddress

COALESCE = 64 * 1024
"""Bytes gathered before they are handed to the transport in the same turn of the loop."""

Fail = Callable[[Exception], None]


def allocate(size: int) -> tuple[Any, memoryview]:
    """Memory of Arrow's own, aligned for its kernels."""
    buffer = pa.allocate_buffer(size)
    return buffer, memoryview(buffer).cast("B")


class OutgoingConnection(asyncio.BufferedProtocol):
    """To one peer slot. `welcomed` is done after the handshake, `lost` when the connection is gone."""

    def __init__(
        self, handshake: Connecting, peer: SlotAddress, settings: ExchangeSettings, fail: Fail
    ) -> None:
        loop = asyncio.get_running_loop()
        self.peer = peer
        self.ready = False
        self.finished = False
        self.welcomed: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._handshake = handshake
        self._settings = settings
        self._fail = fail
        self._transport: Any = None
        self._decoder = frames.Decoder(frames.FROM_LISTENER, allocate)
        self._channels: Sequence[OutputChannel] = ()
        self._waiting: deque[OutputChannel] = deque()
        self._open_channels = 0
        self._closing = False
        self._out: list[bytes | memoryview] = []
        self._out_bytes = 0
        self._scheduled = False

    # -- channels: see channels.Link ------------------------------------------------------------------

    def frames(self, channel: OutputChannel, batch: Batch) -> Iterator[tuple[int, Any, int]]:
        return channel.format.encode(batch, channel.frame_limit, self._settings.batch_rows)

    def send_data(self, number: int, flags: int, body: Any, size: int) -> None:
        self._out.append(frames.header(size, frames.BATCH, flags, 0, number))
        self._out.append(memoryview(body))
        self._out_bytes += size
        if self._out_bytes >= COALESCE:
            self._write()
        elif not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._write)

    def send_control(self, number: int, element: Control) -> None:
        match element:
            case Watermark(time):
                data = frames.watermark(number, time)
            case EndOfInput():
                data = frames.end(number)
                self._open_channels -= 1
            case Barrier():
                data = frames.barrier(number, element)
            case Marker():
                data = frames.marker(number, element)
            case _:
                data = frames.status(number, idle=element is Status.IDLE)
        self._out.append(data)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._write)

    def wait(self, channel: OutputChannel) -> None:
        self._waiting.append(channel)

    # -- life -----------------------------------------------------------------------------------------

    def start(self, channels: Sequence[OutputChannel]) -> None:
        """After the handshake: announce the channels, and let them send as credit arrives."""
        self._channels = channels
        self._open_channels = len(channels)
        opening = []
        for number, channel in enumerate(channels):
            channel.number = number
            edge, producer = channel.format.edge.id, channel.producer
            message = frames.Open(edge, producer, channel.consumer, channel.format.schema_message())
            opening.append(frames.open_channel(number, message))
        self._transport.write(b"".join(opening))
        self.ready = True
        for channel in channels:
            channel.link = self
            channel.pump()

    def time_out(self) -> None:
        """The peer has not answered the handshake."""
        if self._transport is not None and not self.welcomed.done():
            self._end(TimeoutError("no answer to the handshake"))

    def abort(self) -> None:
        """Close without sending what waits. `lost` follows."""
        self._closing = True
        self.ready = False
        if self._transport is None:
            _settle(self.lost)
        else:
            self._transport.abort()

    def _write(self) -> None:
        """Hand everything gathered to the transport: one call for many frames."""
        self._scheduled = False
        out = self._out
        if out and not self._closing:
            self._out = []
            self._out_bytes = 0
            self._transport.writelines(out)
            if self._open_channels == 0 and not self.finished:
                # All inputs of the peer have ended: it closes when it has read everything.
                self.finished = True
                if (
                    self._transport.can_write_eof()
                ):  # in TLS there is no half to close: the peer knows by itself
                    self._transport.write_eof()

    # -- asyncio's side -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        # A full frame and a full gathering list may come on top of the transport's own buffer.
        headroom = self._settings.frame_bytes + COALESCE
        high = max(COALESCE, self._settings.write_queue - headroom)
        self._transport.set_write_buffer_limits(high=high, low=high // 2)
        self._transport.write(self._handshake.hello())

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._decoder.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        if self._closing:
            return
        try:
            for kind, _, _, _, body in self._decoder.feed(nbytes):
                if kind == frames.CREDIT:
                    for number, returned, granted in frames.parse_credit(body):
                        if number >= len(self._channels):
                            raise ProtocolError(
                                f"credit for channel {number}, which was never opened"
                            )
                        self._channels[number].credited(returned, granted)
                elif kind == frames.CHALLENGE:
                    self._transport.write(self._handshake.answer(body))
                    self._decoder.limits = frames.FROM_JUDGE
                elif kind == frames.WELCOME:
                    self._decoder.accept(frames.FROM_CONSUMER, None, read_ahead=frames.CREDIT_LIMIT)
                    _settle(self.welcomed)
                else:
                    reason = frames.parse_refused(body)
                    self._end(HandshakeRefused(f"{self._name} refused this slot: {reason}"))
                    return
        except HandshakeRefused as error:
            self._end(HandshakeRefused(f"this slot refuses {self._name}: {error}"))
        except ProtocolError as error:
            self._end(ProtocolError(f"from {self._name}: {error}"))

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self.ready = False

    def resume_writing(self) -> None:
        self.ready = True
        waiting = self._waiting
        for _ in range(len(waiting)):
            if not self.ready:
                return
            channel = waiting.popleft()
            channel.waiting = False
            channel.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ready = False
        if not self._closing and not (self.finished and exc is None):
            why = f": {exc}" if exc else ""
            self._end(ConnectionError(f"the connection to {self._name} was lost{why}"))
        self._closing = True
        for channel in self._channels:
            channel.credit.outstanding = 0  # nobody is left to return it
        self._channels = ()
        self._waiting.clear()
        self._out.clear()
        _settle(self.lost)

    @property
    def _name(self) -> str:
        return f"slot {self.peer.slot} at {self.peer.host}:{self.peer.port}"

    def _end(self, error: Exception) -> None:
        """The connection is of no more use: tell whoever waits for it."""
        self._closing = True
        self.ready = False
        self._transport.abort()
        if self.welcomed.done():
            self._fail(error)
        else:
            self.welcomed.set_exception(error)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
