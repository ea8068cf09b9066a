"""How two slots show each other that they belong to the same attempt of the same job, without showing the key.

Challenge and response in both directions: each side answers for both sides' fresh nonces, for who connects to whom,
and for which of the two it is. So an answer is worth nothing on another connection, in another attempt, or sent back.
Bytes in, bytes out (docs/exchange-protocol.md): no socket, no clock. What travels behind the handshake is neither
signed nor encrypted: that is TLS's business."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from flowjob.core import frames, greetings
from flowjob.errors import HandshakeRefused, ProtocolError

_LISTENS = b"flowjob data plane 2: the listening side\0"
_CONNECTS = b"flowjob data plane 2: the connecting side\0"


@dataclass(frozen=True, slots=True)
class Party:
    """A slot: of which job and attempt, what it is called there, and the secret that the job's slots share."""

    job: str
    attempt: int
    key: str = field(repr=False)
    slot: str


def nonce_of(random: str) -> bytes:
    """32 bytes that nobody can foretell, of a text that nobody can."""
    return hashlib.sha256(random.encode()).digest()


class Connecting:
    """The side that connects, to a slot that it knows by name. `nonce` must never have been used before."""

    def __init__(self, me: Party, peer: str, nonce: bytes) -> None:
        self._key = me.key.encode()
        self._peer = peer
        self._hello = greetings.Hello(frames.VERSION, nonce, me.attempt, me.job, me.slot, peer)
        self._body = greetings.hello_body(self._hello)

    def hello(self) -> bytes:
        """The first frame."""
        return greetings.hello(self._hello)

    def answer(self, body: bytes) -> bytes:
        """The frame that answers a CHALLENGE. Raises HandshakeRefused when whoever sent that has not our key: it gets
        no answer, and learns nothing."""
        nonce, proof = greetings.parse_challenge(body)
        if not hmac.compare_digest(proof, _proof(self._key, _LISTENS, self._body, nonce)):
            raise HandshakeRefused(
                "it does not have this job's data key: it belongs to another job, or to another life of this one"
            )
        return greetings.proof(_proof(self._key, _CONNECTS, self._body, nonce))


class Listening:
    """The side that is connected to, by whomever. `nonce` must never have been used before."""

    def __init__(self, me: Party, nonce: bytes) -> None:
        self._me = me
        self._key = me.key.encode()
        self._nonce = nonce
        self._body: bytes | None = None
        self._hello: greetings.Hello | None = None

    def challenge(self, body: bytes) -> bytes:
        """The frame that answers a HELLO. Raises HandshakeRefused for another version: all else is judged when the
        other side has shown that it may know. ProtocolError for what is no HELLO, and for a second one."""
        if self._body is not None:
            raise ProtocolError("a second HELLO")
        version = greetings.hello_version(body)
        if version != frames.VERSION:
            raise HandshakeRefused(
                f"it speaks protocol version {version}, this slot speaks {frames.VERSION}"
            )
        self._hello, self._body = greetings.parse_hello(body), body
        return greetings.challenge(self._nonce, _proof(self._key, _LISTENS, body, self._nonce))

    def judge(self, body: bytes) -> str:
        """The name of the slot whose PROOF this is. Raises HandshakeRefused with the reason; the key comes first:
        strangers learn nothing else."""
        if self._body is None or self._hello is None:
            raise ProtocolError("PROOF before HELLO")
        expected = _proof(self._key, _CONNECTS, self._body, self._nonce)
        if not hmac.compare_digest(greetings.parse_proof(body), expected):
            raise HandshakeRefused("it does not have this job's data key")
        hello, me = self._hello, self._me
        if hello.job != me.job:
            raise HandshakeRefused(f"it belongs to job {hello.job!r}, this slot to {me.job!r}")
        if hello.attempt != me.attempt:
            age = "a stale" if hello.attempt < me.attempt else "a newer"
            raise HandshakeRefused(
                f"it belongs to {age} attempt {hello.attempt}, this slot to attempt {me.attempt}"
            )
        if hello.peer != me.slot:
            raise HandshakeRefused(f"it looks for {hello.peer!r}, and this is {me.slot!r}")
        return hello.slot


def _proof(key: bytes, side: bytes, hello: bytes, nonce: bytes) -> bytes:
    """32 bytes. `side` and `nonce` have fixed lengths for their place, so no two transcripts are the same bytes."""
    return hmac.digest(key, side + nonce + hello, "sha256")
