"""The consuming end of a connection: judges who connects, then delivers frames to gates.

It never stops reading: credit bounds what can come. A stranger costs a small buffer for a short time and is sent
away; only what an authenticated peer does wrong fails the attempt. It must not know tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from flowjob.core import frames
from flowjob.core.elements import END_OF_INPUT, Status, Watermark
from flowjob.core.handshake import Listening
from flowjob.errors import HandshakeRefused, ProtocolError
from flowjob.runtime.exchange.gate import InputChannel
from flowjob.runtime.exchange.sender import allocate
from flowjob.runtime.exchange.settings import ExchangeSettings, Identity

Inputs = Mapping[tuple[int, int, int], InputChannel]
"""(edge id, producer, consumer) -> the channel of a gate of this slot."""


class Owner(Protocol):
    """What a connection belongs to: the slot's exchange."""

    identity: Identity
    settings: ExchangeSettings

    @property
    def inputs(self) -> Inputs: ...

    def nonce(self) -> bytes:
        """32 bytes that nobody can foretell, never the same."""
        ...

    def fail(self, error: Exception) -> None: ...

    def changed(self, connection: IncomingConnection) -> None:
        """Connected, authenticated or closed."""
        ...

    def returning(self, connection: IncomingConnection) -> None:
        """It has credit to send; call `send_credit` when its turn comes."""
        ...


_CONTROLS = (frames.WATERMARK, frames.STATUS, frames.END, frames.BARRIER, frames.MARKER)


class IncomingConnection(asyncio.BufferedProtocol):
    """From one peer slot, or from a stranger until it has shown otherwise.

    peer   the slot's name after the handshake, else None"""

    def __init__(self, owner: Owner) -> None:
        self.peer: str | None = None
        self.closed = False
        self._owner = owner
        self._settings = owner.settings
        self._transport: Any = None
        self._deadline: asyncio.TimerHandle | None = None
        self._handshake = Listening(owner.identity, owner.nonce())
        self._decoder = frames.Decoder(frames.FROM_STRANGER, allocate)
        self._channels: list[InputChannel] = []
        self._grants: list[tuple[int, int, int]] = []
        self._over = False

    def abort(self) -> None:
        """Close now, on our own account: nobody is told. `Owner.changed` follows when it is closed."""
        self._over = True
        if self._transport is not None:
            self._transport.abort()

    def send_credit(self) -> None:
        """Sends the grants gathered since last time, in one write."""
        grants, self._grants = self._grants, []
        if grants and not self._over:
            most = frames.CREDITS_PER_FRAME
            for i in range(0, len(grants), most):
                self._transport.write(frames.credit(grants[i : i + most]))

    # -- asyncio's side -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(self._settings.handshake_deadline, self.abort)
        self._owner.changed(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._decoder.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        over = self._is_over
        if over():
            return
        try:
            for kind, flags, number, size, body in self._decoder.feed(nbytes):
                if kind == frames.BATCH:
                    self._channels[number].deliver(flags, body, size)
                elif kind in _CONTROLS:
                    self._control(kind, number, body)
                elif kind == frames.OPEN:
                    self._open(number, frames.parse_open(body))
                elif kind == frames.HELLO:
                    self._transport.write(self._handshake.challenge(body))
                    self._decoder.limits = frames.FROM_CHALLENGED
                else:
                    self._welcome(self._handshake.judge(body))
                if over():
                    return
        except HandshakeRefused as refused:
            self._over = True
            self._transport.write(frames.refused(str(refused)))
            self._transport.close()
        except ProtocolError as error:
            self._broken(error)

    def eof_received(self) -> bool:
        """The peer sends nothing more: right after the last END, wrong anywhere else (see connection_lost)."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        complete = (
            self._channels and all(c.ended for c in self._channels) and self._decoder.at_boundary()
        )
        if self.peer is not None and not self._over and not complete:
            why = f": {exc}" if exc else ""
            self._owner.fail(ConnectionError(f"the connection from slot {self.peer} was lost{why}"))
        self._over = True
        self.closed = True
        self._grants.clear()
        self._owner.changed(self)

    # -- frames ---------------------------------------------------------------------------------------

    def _welcome(self, peer: str) -> None:
        """It has shown that it is this slot."""
        if self._deadline is not None:
            self._deadline.cancel()
        self.peer = peer
        limits = frames.from_producer(self._settings.largest_row)
        self._decoder.accept(limits, self._admit, read_ahead=self._settings.read_ahead)
        self._transport.write(frames.welcome())
        self._owner.changed(self)

    def _open(self, number: int, message: frames.Open) -> None:
        place = (message.edge, message.producer, message.consumer)
        channel = self._owner.inputs.get(place)
        if channel is None:
            raise ProtocolError(
                "this slot has no channel for edge {} from subtask {} to subtask {}".format(*place)
            )
        if channel.connected:
            raise ProtocolError("edge {} from subtask {} to subtask {} opened twice".format(*place))
        if number != len(self._channels):
            raise ProtocolError(f"channel {number} opened where {len(self._channels)} comes next")
        channel.format.check_schema(message.schema)
        self._channels.append(channel)

        def give_back(returned: int, granted: int) -> None:
            if not self._grants:
                self._owner.returning(self)
            self._grants.append((number, returned, granted))

        channel.connect(self.peer or "", give_back)

    def _is_over(self) -> bool:
        return self._over

    def _admit(self, number: int, size: int) -> None:
        """A batch's header has arrived: is it allowed to be so large?"""
        channel = self._channel(number)
        channel.credit.receive(size)

    def _control(self, kind: int, number: int, body: bytes) -> None:
        channel = self._channel(number)
        if kind == frames.WATERMARK:
            channel.deliver_control(Watermark(frames.parse_watermark(body)))
        elif kind == frames.STATUS:
            idle = frames.parse_status(body)
            channel.deliver_control(Status.IDLE if idle else Status.ACTIVE)
        elif kind == frames.BARRIER:
            channel.deliver_control(frames.parse_barrier(body))
        elif kind == frames.MARKER:
            channel.deliver_control(frames.parse_marker(body))
        else:
            if body:
                raise ProtocolError("END with a body")
            channel.deliver_control(END_OF_INPUT)
            if not self._transport.can_write_eof() and all(c.ended for c in self._channels):
                # TLS: the producer cannot close its half, so its last END says that there is nothing more to read.
                self._over = True
                self._transport.close()

    def _channel(self, number: int) -> InputChannel:
        if number >= len(self._channels):
            raise ProtocolError(f"a frame for channel {number}, which was never opened")
        channel = self._channels[number]
        if channel.ended:
            raise ProtocolError(f"a frame for channel {number} after its end")
        return channel

    def _broken(self, error: ProtocolError) -> None:
        """A stranger is sent away in silence; a peer that breaks the protocol fails the attempt."""
        self.abort()
        if self.peer is not None:
            self._owner.fail(ProtocolError(f"from slot {self.peer}: {error}"))
