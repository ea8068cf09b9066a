"""The bytes of the data plane's handshake: who connects, and how each side proves it. What is proven is said by
handshake.py.

Apart from frames.py because they are read from strangers, once per connection."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from flowjob.core.frames import CHALLENGE, HELLO, NONCE_SIZE, PROOF, PROOF_SIZE, header
from flowjob.errors import ProtocolError

MAGIC = b"flowjob\x00"

_HELLO_HEAD = struct.Struct("<8sHHI")
_HELLO = struct.Struct("<8sHHI32s")
_LENGTH = struct.Struct("<H")


@dataclass(frozen=True, slots=True)
class Hello:
    """Who connects: of which job and attempt, which slot to which; and a nonce of NONCE_SIZE bytes."""

    version: int
    nonce: bytes
    attempt: int
    job: str
    slot: str
    peer: str


def hello(message: Hello) -> bytes:
    """The first frame of a connection."""
    body = hello_body(message)
    return header(len(body), HELLO, 0, 0, 0) + body


def hello_body(message: Hello) -> bytes:
    """Without the header: what both sides prove to have seen."""
    head = _HELLO.pack(MAGIC, message.version, 0, message.attempt, message.nonce)
    return head + b"".join(_text(t) for t in (message.job, message.slot, message.peer))


def challenge(nonce: bytes, proof: bytes) -> bytes:
    """The listener's answer to HELLO."""
    return header(NONCE_SIZE + PROOF_SIZE, CHALLENGE, 0, 0, 0) + nonce + proof


def proof(proof: bytes) -> bytes:
    """The answer to CHALLENGE."""
    return header(PROOF_SIZE, PROOF, 0, 0, 0) + proof


def hello_version(body: bytes) -> int:
    """Of which version a HELLO is: only the beginning of it is the same in all. Raises ProtocolError."""
    if len(body) < _HELLO_HEAD.size:
        raise ProtocolError("HELLO is too short")
    magic, version, _, _ = _HELLO_HEAD.unpack_from(body)
    if magic != MAGIC:
        raise ProtocolError(
            "HELLO does not begin with flowjob's mark: the peer speaks another protocol"
        )
    return int(version)


def parse_hello(body: bytes) -> Hello:
    """Raises ProtocolError for anything but a well-formed HELLO; the version is judged by the caller."""
    version = hello_version(body)
    if len(body) < _HELLO.size:
        raise ProtocolError("HELLO is too short")
    attempt, nonce = _HELLO.unpack_from(body)[3:]
    at, texts = _HELLO.size, []
    for _ in range(3):
        if len(body) < at + _LENGTH.size:
            raise ProtocolError("HELLO is cut short")
        (length,) = _LENGTH.unpack_from(body, at)
        at += _LENGTH.size
        if len(body) < at + length:
            raise ProtocolError("HELLO is cut short")
        texts.append(_decode_text(body[at : at + length]))
        at += length
    if at != len(body):
        raise ProtocolError("HELLO is longer than its fields")
    return Hello(version, nonce, attempt, *texts)


def parse_challenge(body: bytes) -> tuple[bytes, bytes]:
    """(nonce, proof)."""
    if len(body) != NONCE_SIZE + PROOF_SIZE:
        raise ProtocolError(f"CHALLENGE has {len(body)} bytes instead of {NONCE_SIZE + PROOF_SIZE}")
    return body[:NONCE_SIZE], body[NONCE_SIZE:]


def parse_proof(body: bytes) -> bytes:
    if len(body) != PROOF_SIZE:
        raise ProtocolError(f"PROOF has {len(body)} bytes instead of {PROOF_SIZE}")
    return body


def _text(text: str) -> bytes:
    data = text.encode()
    return _LENGTH.pack(len(data)) + data


def _decode_text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError("HELLO holds text that is not UTF-8") from error
