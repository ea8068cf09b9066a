"""Keys for tests, made once: making them is most of what an identity costs."""

from __future__ import annotations

import functools
import itertools

from cryptography.hazmat.primitives.asymmetric import ec

from flowjob_operator.identity.randomness import Randomness

SPARE = 4


@functools.cache
def _keys() -> tuple[ec.EllipticCurvePrivateKey, ...]:
    return tuple(ec.generate_private_key(ec.SECP256R1()) for _ in range(SPARE))


def randomness() -> Randomness:
    """Keys in turn, numbers in order."""
    keys, numbers = itertools.cycle(_keys()), itertools.count(1000)
    return Randomness(
        key=lambda: next(keys), serial=lambda: next(numbers), secret=lambda: b"s" * 32
    )
