"""Messages of one direction as bytes: MessagePack, of a bounded size, and nothing but what its union allows.

The one place where bytes of peers become messages. It must not know which messages there are."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from flowjob.errors import ProtocolError

MAX_MESSAGE = 64 << 20
"""Bytes of the largest message taken from a peer."""

M = TypeVar("M")


class Codec(Generic[M]):
    """Bytes of one direction's messages."""

    def __init__(self, union: Any) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[M] = msgspec.msgpack.Decoder(union)

    def encode(self, message: M) -> bytes:
        """Raises ProtocolError when the message is larger than any peer takes."""
        data = self._encoder.encode(message)
        if len(data) > MAX_MESSAGE:
            raise ProtocolError(
                f"a {type(message).__name__} message of {len(data) >> 20} MiB exceeds the limit of "
                f"{MAX_MESSAGE >> 20} MiB; put large data into files, not into the job"
            )
        return data

    def decode(self, data: bytes) -> M:
        """Raises ProtocolError for anything that is not a message of this direction."""
        if len(data) > MAX_MESSAGE:
            raise ProtocolError(f"a message of {len(data)} bytes exceeds the limit")
        try:
            return self._decoder.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ProtocolError(f"not a control message: {error}") from error
