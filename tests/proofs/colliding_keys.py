"""Different keys with one and the same hash64, found by running the hash backwards.

Every step of hash64 can be undone, so its collisions can be written down instead of searched for. They are what
tells an index that compares keys from one that trusts hashes."""

from __future__ import annotations

from flowjob.kernels.hash64 import GOLDEN, K1, K2, MASK, Tag, hash64_reference

_FIRST = pow(0xFF51AFD7ED558CCD, -1, 1 << 64)
_SECOND = pow(0xC4CEB9FE1A85EC53, -1, 1 << 64)


def like_null() -> int:
    """The integer whose hash is that of null."""
    return _signed((Tag.NULL - Tag.INTEGER) * GOLDEN)


def integer_pairs(count: int) -> list[tuple[int, int]]:
    """Pairs of integers that hash alike as keys of two columns."""
    begin = _mix(Tag.TUPLE * GOLDEN + 2)
    wanted = _folded(begin, 0) + hash64_reference([0])[0]
    pairs = []
    for a in range(count):
        part = (wanted - _folded(begin, a)) & MASK
        pairs.append((a, _signed(_unmix(part) - Tag.INTEGER * GOLDEN)))
    return pairs


def byte_strings(count: int) -> list[bytes]:
    """Byte strings of 16 that hash alike."""
    begin = (Tag.BINARY * GOLDEN + 16) & MASK
    made = []
    for a in range(count):
        h = _rotate(begin ^ _scrambled(a), 27) * 5 + 0x52DCE729 & MASK
        made.append(a.to_bytes(8, "little") + _unscrambled(h ^ 0x5EED).to_bytes(8, "little"))
    return made


def _folded(begin: int, value: int) -> int:
    """What the second column's hash is added to."""
    return _mix(begin * int(K1) + hash64_reference([value])[0]) * int(K1)


def _scrambled(word: int) -> int:
    return _rotate(word * int(K1) & MASK, 31) * int(K2) & MASK


def _unscrambled(k: int) -> int:
    back = _rotate(k * pow(int(K2), -1, 1 << 64) & MASK, 33)
    return back * pow(int(K1), -1, 1 << 64) & MASK


def _rotate(x: int, by: int) -> int:
    return (x << by | x >> (64 - by)) & MASK


def _mix(x: int) -> int:
    x &= MASK
    x ^= x >> 33
    x = x * 0xFF51AFD7ED558CCD & MASK
    x ^= x >> 33
    x = x * 0xC4CEB9FE1A85EC53 & MASK
    return x ^ x >> 33


def _unmix(x: int) -> int:
    x ^= x >> 33
    x = x * _SECOND & MASK
    x ^= x >> 33
    x = x * _FIRST & MASK
    return x ^ x >> 33


def _signed(x: int) -> int:
    x &= MASK
    return x - (1 << 64) if x >= 1 << 63 else x
