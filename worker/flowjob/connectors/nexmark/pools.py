"""The words of Nexmark: names, cities, channels, and pools of random text that strings are cut from.

Made once per process and seed, and equal everywhere. It must not know rows."""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
import pyarrow as pa

from flowjob.connectors.counter_random import below, field_key, words
from flowjob.connectors.text_pool import TextPool

FIRST_NAMES = [
    "Peter",
    "Paul",
    "Luke",
    "John",
    "Saul",
    "Vicky",
    "Kate",
    "Julie",
    "Sarah",
    "Deiter",
    "Walter",
]
LAST_NAMES = [
    "Shultz",
    "Abrams",
    "Spencer",
    "White",
    "Bartels",
    "Walton",
    "Smith",
    "Jones",
    "Noris",
]
CITIES = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
]
STATES = ["AZ", "CA", "ID", "OR", "WA", "WY"]
HOT_CHANNELS = ["Google", "Facebook", "Baidu", "Apple"]
CHANNELS = 10_000
"""Channels beside the hot ones."""

POOL_BYTES = 1 << 20
LONGEST = 1024
"""No text cut from a pool is longer."""


class Pools:
    """The pools of a stream's seed, each made when first asked for; urls take a while."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    @cached_property
    def names(self) -> pa.Array:
        """All pairs of first and last names."""
        return pa.array([f"{first} {last}" for first in FIRST_NAMES for last in LAST_NAMES])

    @cached_property
    def name_lengths(self) -> np.ndarray:
        return np.array([len(name) for name in self.names.to_pylist()])

    @cached_property
    def cities(self) -> pa.Array:
        return pa.array(CITIES)

    @cached_property
    def states(self) -> pa.Array:
        return pa.array(STATES)

    @cached_property
    def channels(self) -> pa.Array:
        """The hot ones first."""
        return pa.array(HOT_CHANNELS + [f"channel-{i}" for i in range(CHANNELS)])

    @cached_property
    def urls(self) -> pa.Array:
        """One for each channel."""
        return _urls(self._seed)

    @cached_property
    def groups(self) -> pa.Array:
        """Of the digits of a credit card."""
        return pa.array([f"{i:04d}" for i in range(10_000)])

    @cached_property
    def words(self) -> TextPool:
        return TextPool(pa.py_buffer(_words(self._seed, 101, POOL_BYTES, b" ").tobytes()))

    @cached_property
    def extra(self) -> TextPool:
        return TextPool(pa.py_buffer(_extra(self._seed, 102).tobytes()))


pools = lru_cache(maxsize=4)(Pools)
"""The pools of a stream's seed, once per process."""


def _words(seed: int, field: int, count: int, special: bytes) -> np.ndarray:
    """uint8[count]: letters, one in 13 the special character instead."""
    random = words(np.arange(count), field_key(seed, field))
    letters = below(random, 26) + ord("a")
    return np.where(random % np.uint64(13) == 0, ord(special), letters).astype(np.uint8)


def _extra(seed: int, field: int) -> np.ndarray:
    """uint8: characters six at a time from signed 32-bit numbers, divided towards zero, as in the reference: so half
    of the groups are of characters from H to a."""
    count = -(-(POOL_BYTES + LONGEST) // 6)
    numbers = (words(np.arange(count), field_key(seed, field)) >> np.uint64(32)).astype(np.uint32)
    values = numbers.view(np.int32).astype(np.int64)
    groups = np.empty((count, 6), np.uint8)
    for place in range(6):
        groups[:, place] = ord("a") + np.fmod(values, 26)
        values = np.sign(values) * (np.abs(values) // 26)
    return groups.reshape(-1)


def _urls(seed: int) -> pa.Array:
    count = len(HOT_CHANNELS) + CHANNELS
    letters = _words(seed, 103, count * 3 * 4, b"_").tobytes().decode()
    rows = np.arange(count)
    lengths = 3 + below(words(np.arange(count * 3), field_key(seed, 104)), 2)
    marked = words(rows, field_key(seed, 105)) % np.uint64(10) > 0
    urls = []
    for row in range(count):
        parts = [
            letters[(row * 3 + p) * 4 : (row * 3 + p) * 4 + lengths[row * 3 + p]] for p in range(3)
        ]
        url = f"https://www.nexmark.com/{'/'.join(parts)}/item.htm?query=1"
        channel = row - len(HOT_CHANNELS)
        if channel >= 0 and marked[row]:
            url += f"&channel_id={abs(reversed_bits(channel))}"
        urls.append(url)
    return pa.array(urls)


def reversed_bits(value: int) -> int:
    """The 32 bits of `value` in reverse, as a signed number."""
    reverse = int(f"{value:032b}"[::-1], 2)
    return reverse - (1 << 32) if reverse >= 1 << 31 else reverse
