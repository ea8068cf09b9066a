"""Randomness that is none: keys made once, numbers that count. And what tests of certificates have in common."""

from __future__ import annotations

import itertools
import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from flowjob.cluster.identity import JobId
from flowjob_operator.identity.authority import Authority, new_authority
from flowjob_operator.identity.randomness import Randomness

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
JOB = JobId("air", "flights", "11111111-2222-3333-4444-555555555555")


def counted_randomness() -> Randomness:
    """The same keys, serial numbers and secrets each time."""
    numbers = itertools.count(1)
    return Randomness(
        key=lambda: ec.derive_private_key(10**30 + next(numbers), ec.SECP256R1()),
        serial=lambda: 10**20 + next(numbers),
        secret=lambda: bytes([next(numbers) % 256]) * 32,
    )


def an_authority() -> Authority:
    return new_authority(NOW, counted_randomness())


def tls(purpose: int, folder: Path) -> ssl.SSLContext:
    """Of a process with this identity directory, as an engine would make it: both sides show certificates."""
    context = ssl.SSLContext(purpose)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(folder / "ca.crt")
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return context


def shake_hands(client: Path, server: Path) -> tuple[list[str], list[str]]:
    """In memory. The URIs that the server sees of the client, and the client of the server. Raises ssl.SSLError."""
    return shake_hands_by(
        tls(ssl.PROTOCOL_TLS_CLIENT, client), tls(ssl.PROTOCOL_TLS_SERVER, server)
    )


def shake_hands_by(client: ssl.SSLContext, server: ssl.SSLContext) -> tuple[list[str], list[str]]:
    """The same, as these contexts do it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    done: set[int] = set()
    for _ in range(8):
        for number, end in enumerate(ends):
            if number not in done:
                try:
                    end.do_handshake()
                    done.add(number)
                except ssl.SSLWantReadError:
                    pass
    assert done == {0, 1}
    seen_by_client, seen_by_server = (uris(end) for end in ends)
    return seen_by_server, seen_by_client


def uris(end: ssl.SSLObject) -> list[str]:
    names = (end.getpeercert() or {}).get("subjectAltName", ())
    return [str(value) for kind, value in names if kind == "URI"]  # type: ignore[misc]
