"""What a TaskManager and its fork server say to each other over their socketpair, file descriptors included.

u32 length, msgpack. Descriptors ride on the first byte of a message (SCM_RIGHTS)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

import msgspec

_HEADER = struct.Struct("<I")


class ForkRequest(msgspec.Struct, tag=True, frozen=True):
    """With three descriptors: control socket, stdout, stderr. Answered in order by Forked or ForkRefused."""

    name: str
    directory: str
    identity: str | None = None
    """Directory of the certificates for the data plane; None: it is not encrypted"""


class SignalRequest(msgspec.Struct, tag=True, frozen=True):
    pid: int
    signal: int


class Forked(msgspec.Struct, tag=True, frozen=True):
    pid: int


class ForkRefused(msgspec.Struct, tag=True, frozen=True):
    reason: str


class ChildExited(msgspec.Struct, tag=True, frozen=True):
    """`status` as in subprocess: negative for a signal."""

    pid: int
    status: int


class Warm(msgspec.Struct, tag=True, frozen=True):
    """All is imported that slots need: from here on a fork takes milliseconds."""


Request = ForkRequest | SignalRequest
Reply = Forked | ForkRefused | ChildExited | Warm

_encoder = msgspec.msgpack.Encoder()
_requests = msgspec.msgpack.Decoder(Request)
_replies = msgspec.msgpack.Decoder(Reply)


def send(channel: socket.socket, message: Request | Reply, descriptors: Sequence[int] = ()) -> None:
    """One message. Messages are far smaller than a socket's buffer, so this does not wait."""
    body = _encoder.encode(message)
    data = _HEADER.pack(len(body)) + body
    if descriptors:
        socket.send_fds(channel, [data], list(descriptors))
    else:
        channel.sendall(data)


def receive(channel: socket.socket) -> tuple[Request | None, list[int]]:
    """The next request and its descriptors, waiting for it; None when the other side is gone."""
    header, descriptors, _, _ = socket.recv_fds(channel, _HEADER.size, 8)
    if not header:
        return None, []
    header += _exactly(channel, _HEADER.size - len(header))
    (length,) = _HEADER.unpack(header)
    return _requests.decode(_exactly(channel, length)), list(descriptors)


class ReplyReader:
    """Replies out of bytes as they come."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Reply]:
        self._buffer += data
        replies: list[Reply] = []
        while len(self._buffer) >= _HEADER.size:
            (length,) = _HEADER.unpack_from(self._buffer)
            if len(self._buffer) < _HEADER.size + length:
                break
            body = self._buffer[_HEADER.size : _HEADER.size + length]
            replies.append(_replies.decode(body))
            self._buffer = self._buffer[_HEADER.size + length :]
        return replies


def _exactly(channel: socket.socket, count: int) -> bytes:
    parts = b""
    while len(parts) < count:
        part = channel.recv(count - len(parts))
        if not part:
            raise ConnectionError("the fork server's channel closed inside a message")
        parts += part
    return parts
