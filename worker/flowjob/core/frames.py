"""The bytes of the data plane: headers, frame bodies and a decoder without I/O. docs/exchange-protocol.md shows them.

Why here: everything a peer can send is judged in one place, before memory is given for it, and can be fuzzed without
a socket. The decoder hands out buffers to receive into (asyncio.BufferedProtocol's style): a large body is received
straight into memory of its own, many small frames are cut from one read-ahead buffer. It must not know Arrow,
credit rules or what a frame means to a task."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowjob.core.elements import Barrier, Marker, Stop
from flowjob.errors import ProtocolError

VERSION = 3

_TYPES = (
    "HELLO", "WELCOME", "REFUSED", "OPEN", "BATCH", "WATERMARK", "STATUS", "END", "CREDIT", "BARRIER", "CHALLENGE",
    "PROOF", "MARKER",
)  # fmt: skip
(
    HELLO,
    WELCOME,
    REFUSED,
    OPEN,
    BATCH,
    WATERMARK,
    STATUS,
    END,
    CREDIT,
    BARRIER,
    CHALLENGE,
    PROOF,
    MARKER,
) = range(1, 14)
NAMES = dict(enumerate(_TYPES, 1))

HEADER = struct.Struct("<IBBHI")
"""Body length, type, flags, reserved (0), channel."""
HEADER_SIZE = HEADER.size

HELLO_LIMIT = 4096
CONTROL_LIMIT = 64
BARRIER_LIMIT = 1024
OPEN_LIMIT = 1 << 20
CREDIT_LIMIT = 1 << 16

NONCE_SIZE = PROOF_SIZE = 32

_OPEN = struct.Struct("<III")
_CREDIT = struct.Struct("<III")
_TIME = struct.Struct("<q")
_MARKER = struct.Struct("<Iq")
_BARRIER = struct.Struct("<QBB")

SAVEPOINT, UNALIGNED = 0x01, 0x02
"""Flags of a BARRIER's body."""
STOPS = (Stop.NO, Stop.SUSPEND, Stop.DRAIN)
"""What the stop byte of a BARRIER stands for, by position."""

CREDITS_PER_FRAME = CREDIT_LIMIT // _CREDIT.size

FROM_STRANGER: Mapping[int, int] = {HELLO: HELLO_LIMIT}
"""What a listener accepts first: type -> largest body."""
FROM_CHALLENGED: Mapping[int, int] = {PROOF: PROOF_SIZE}
"""What a listener accepts behind its CHALLENGE."""
FROM_LISTENER: Mapping[int, int] = {CHALLENGE: NONCE_SIZE + PROOF_SIZE, REFUSED: HELLO_LIMIT}
"""What a connecting side accepts first."""
FROM_JUDGE: Mapping[int, int] = {WELCOME: CONTROL_LIMIT, REFUSED: HELLO_LIMIT}
"""What a connecting side accepts behind its PROOF."""
FROM_CONSUMER: Mapping[int, int] = {CREDIT: CREDIT_LIMIT}
"""What a connecting side accepts after it: only credit flows back."""


def from_producer(largest_batch: int) -> Mapping[int, int]:
    """What a listener accepts after the handshake."""
    return {
        OPEN: OPEN_LIMIT,
        BATCH: largest_batch,
        WATERMARK: CONTROL_LIMIT,
        STATUS: CONTROL_LIMIT,
        END: CONTROL_LIMIT,
        BARRIER: BARRIER_LIMIT,
        MARKER: CONTROL_LIMIT,
    }


@dataclass(frozen=True, slots=True)
class Open:
    """What a channel number of this connection stands for, and the Arrow schema message of its batches."""

    edge: int
    producer: int
    consumer: int
    schema: bytes


header = HEADER.pack
"""header(body length, type, flags, 0, channel) -> 12 bytes; bound directly because it runs once per frame."""


def welcome() -> bytes:
    """The answer to a good PROOF."""
    return header(0, WELCOME, 0, 0, 0)


def refused(reason: str) -> bytes:
    """The answer to a bad HELLO or PROOF; the connection is closed after it."""
    body = reason.encode()[:HELLO_LIMIT]
    return header(len(body), REFUSED, 0, 0, 0) + body


def open_channel(channel: int, message: Open) -> bytes:
    """Announces `channel`; everything else about it follows later on the same connection."""
    body = _OPEN.pack(message.edge, message.producer, message.consumer) + message.schema
    if len(body) > OPEN_LIMIT:
        raise ProtocolError(
            f"the schema of edge {message.edge} takes {len(body):,} bytes, more than the {OPEN_LIMIT:,} "
            "that one channel may announce: use fewer columns or less field metadata"
        )
    return header(len(body), OPEN, 0, 0, channel) + body


def watermark(channel: int, time: int) -> bytes:
    return header(8, WATERMARK, 0, 0, channel) + _TIME.pack(time)


def status(channel: int, *, idle: bool) -> bytes:
    return header(1, STATUS, 0, 0, channel) + (b"\x01" if idle else b"\x00")


def end(channel: int) -> bytes:
    return header(0, END, 0, 0, channel)


def barrier(channel: int, element: Barrier) -> bytes:
    flags = element.savepoint * SAVEPOINT | element.unaligned * UNALIGNED
    body = _BARRIER.pack(element.checkpoint, flags, STOPS.index(element.stop))
    body += element.directory.encode()
    if len(body) > BARRIER_LIMIT:
        raise ProtocolError(
            f"the name of a snapshot's directory takes {len(body) - _BARRIER.size:,} bytes; at most "
            f"{BARRIER_LIMIT - _BARRIER.size:,} are allowed: use a shorter one"
        )
    return header(len(body), BARRIER, 0, 0, channel) + body


def marker(channel: int, element: Marker) -> bytes:
    body = _MARKER.pack(element.vertex, element.time)
    return header(len(body), MARKER, 0, 0, channel) + body


def credit(grants: Iterable[tuple[int, int, int]]) -> bytes:
    """(channel, bytes consumed, bytes newly granted) of at most CREDITS_PER_FRAME channels, in one frame."""
    body = b"".join(_CREDIT.pack(*grant) for grant in grants)
    return header(len(body), CREDIT, 0, 0, 0) + body


def parse_refused(body: bytes) -> str:
    return body.decode(errors="replace")


def parse_open(body: bytes) -> Open:
    if len(body) < _OPEN.size:
        raise ProtocolError("OPEN is too short")
    edge, producer, consumer = _OPEN.unpack_from(body)
    return Open(edge, producer, consumer, body[_OPEN.size :])


def parse_watermark(body: bytes) -> int:
    if len(body) != _TIME.size:
        raise ProtocolError(f"WATERMARK has {len(body)} bytes instead of {_TIME.size}")
    time: int = _TIME.unpack(body)[0]
    return time


def parse_status(body: bytes) -> bool:
    """True: idle."""
    if body not in (b"\x00", b"\x01"):
        raise ProtocolError("STATUS is neither idle nor active")
    return body == b"\x01"


def parse_barrier(body: bytes) -> Barrier:
    if len(body) < _BARRIER.size:
        raise ProtocolError("BARRIER is too short")
    checkpoint, flags, stop = _BARRIER.unpack_from(body)
    if flags & ~(SAVEPOINT | UNALIGNED) or stop >= len(STOPS):
        raise ProtocolError(f"BARRIER with unknown flags {flags:#04x} or stop {stop}")
    try:
        directory = body[_BARRIER.size :].decode()
    except UnicodeDecodeError as error:
        raise ProtocolError("BARRIER with a directory that is not UTF-8") from error
    return Barrier(
        checkpoint, bool(flags & SAVEPOINT), bool(flags & UNALIGNED), STOPS[stop], directory
    )


def parse_marker(body: bytes) -> Marker:
    if len(body) != _MARKER.size:
        raise ProtocolError(f"MARKER has {len(body)} bytes instead of {_MARKER.size}")
    return Marker(*_MARKER.unpack(body))


def parse_credit(body: bytes) -> list[tuple[int, int, int]]:
    """(channel, bytes consumed, bytes newly granted) for each channel of the frame."""
    if len(body) % _CREDIT.size:
        raise ProtocolError(f"CREDIT has {len(body)} bytes, not a multiple of {_CREDIT.size}")
    return list(_CREDIT.iter_unpack(body))


Frame = tuple[int, int, int, int, Any]
"""(type, flags, channel, body length, body). The body is `bytes`, of a BATCH the first item of what `allocate`
returned: at least `body length` bytes, of which the first so many are the body."""

Allocate = Callable[[int], tuple[Any, memoryview]]
"""allocate(n) -> (object, its n writable bytes). The object is passed on as a BATCH's body."""

Admit = Callable[[int, int], None]
"""admit(channel, body length) of a BATCH whose header has arrived; raises ProtocolError to refuse its memory."""

DIRECT = 16 * 1024
"""Bodies at least so large are received into their own memory, smaller ones copied out of the read-ahead buffer."""


class Decoder:
    """Cuts a stream of bytes into frames.

    `limits` maps each acceptable type to its largest body and may be replaced between two frames; `admit` too.
    After a ProtocolError the decoder must not be used again. One frame's memory is the most it ever holds
    beyond the read-ahead buffer."""

    __slots__ = (
        "_allocate",
        "_direct",
        "_direct_body",
        "_direct_header",
        "_end",
        "_filled",
        "_view",
        "admit",
        "limits",
    )

    def __init__(
        self,
        limits: Mapping[int, int],
        allocate: Allocate,
        *,
        read_ahead: int = HELLO_LIMIT + HEADER_SIZE,
        admit: Admit | None = None,
    ) -> None:
        self.limits = limits
        self.admit = admit
        self._allocate = allocate
        self._view = memoryview(bytearray(read_ahead))
        self._end = 0
        self._direct: memoryview | None = None
        self._direct_body: Any = None
        self._direct_header = (0, 0, 0, 0)
        self._filled = 0

    def accept(self, limits: Mapping[int, int], admit: Admit | None, *, read_ahead: int) -> None:
        """The handshake is over: other frames, and a read-ahead buffer worth having. Between feeds or frames."""
        self.limits = limits
        self.admit = admit
        view = memoryview(bytearray(max(read_ahead, len(self._view), DIRECT + HEADER_SIZE)))
        view[: len(self._view)] = self._view
        self._view = view

    def get_buffer(self) -> memoryview:
        """Where the next bytes belong; never empty."""
        if self._direct is not None:
            return self._direct[self._filled :]
        return self._view[self._end :]

    def feed(self, count: int) -> Iterator[Frame]:
        """The frames completed by `count` bytes put into the last `get_buffer()`. Exhaust it before the next call."""
        start = 0
        if self._direct is not None:
            self._filled += count
            length = self._direct_header[0]
            if self._filled < length:
                return
            # What came after the body is the beginning of the next header.
            self._end = self._filled - length
            self._view[: self._end] = self._direct[length : self._filled]
            _, kind, flags, channel = self._direct_header
            body, self._direct, self._direct_body = self._direct_body, None, None
            yield kind, flags, channel, length, body
        else:
            self._end += count
        unpack = HEADER.unpack_from
        end = self._end
        while end - start >= HEADER_SIZE:
            length, kind, flags, reserved, channel = unpack(self._view, start)
            at = start + HEADER_SIZE
            stop = at + length
            if kind != BATCH:
                self._check(kind, length, reserved)
                if stop > end:
                    if stop - start > len(self._view):
                        self._grow(stop - start)
                    break
                start = stop
                yield kind, flags, channel, length, bytes(self._view[at:stop])
                continue
            if stop > end and length < DIRECT:
                self._check(kind, length, reserved)
                break
            self._check(kind, length, reserved)
            if self.admit is not None:
                self.admit(channel, length)
            if stop > end:
                self._receive_directly((length, kind, flags, channel), at, end)
                return
            body, memory = self._allocate(length)
            memory[:] = self._view[at:stop]
            start = stop
            yield kind, flags, channel, length, body
        if start:
            self._view[: end - start] = self._view[start:end]
        self._end = end - start

    def at_boundary(self) -> bool:
        """Whether the bytes so far are whole frames: an end of stream anywhere else is a broken peer."""
        return self._direct is None and self._end == 0

    def _check(self, kind: int, length: int, reserved: int) -> None:
        limit = self.limits.get(kind)
        if limit is None:
            name = NAMES.get(kind, f"type {kind}")
            expected = ", ".join(NAMES[k] for k in self.limits)
            raise ProtocolError(f"unexpected frame {name}; expected {expected}")
        if length > limit:
            raise ProtocolError(f"{NAMES[kind]} of {length:,} bytes; at most {limit:,} are allowed")
        if reserved:
            raise ProtocolError(f"{NAMES[kind]} with reserved bits set ({reserved:#06x})")

    def _grow(self, size: int) -> None:
        """A control frame larger than the read-ahead buffer, within its limit: rare (OPEN with a wide schema)."""
        view = memoryview(bytearray(size))
        view[: len(self._view)] = self._view
        self._view = view

    def _receive_directly(self, head: tuple[int, int, int, int], at: int, end: int) -> None:
        length = head[0]
        # Room for one header behind the body: a stream of large frames then needs one receive per frame.
        self._direct_body, self._direct = self._allocate(length + HEADER_SIZE)
        self._direct[: end - at] = self._view[at:end]
        self._filled = end - at
        self._direct_header = head
        self._end = 0
