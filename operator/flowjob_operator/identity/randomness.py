"""Where keys, serial numbers and secrets come from: handed in, so that everything else here is pure.

`system_randomness` is the operator's; tests hand in keys that were made before."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Randomness:
    """key     a new key of the curve P-256
    serial  a new number for a certificate
    secret  32 new bytes"""

    key: Callable[[], ec.EllipticCurvePrivateKey]
    serial: Callable[[], int]
    secret: Callable[[], bytes]


def system_randomness() -> Randomness:
    """The machine's."""
    return Randomness(
        key=lambda: ec.generate_private_key(ec.SECP256R1()),
        serial=x509.random_serial_number,
        secret=lambda: secrets.token_bytes(SECRET_BYTES),
    )
