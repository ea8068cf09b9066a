"""Chance without state: a random number is a function of (seed, row, field), so any slice of a generated stream can be
made again, in any order, on any machine.

The mixing function is that of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
Whole columns at a time; must not know what the numbers are for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB


def field_key(seed: int, field: int) -> int:
    """The start of the sequence of one field."""
    return _mix_one((_mix_one(seed & _MASK) + field * _STEP) & _MASK)


def _mix_one(value: int) -> int:
    value = ((value ^ (value >> 30)) * _FIRST) & _MASK
    value = ((value ^ (value >> 27)) * _SECOND) & _MASK
    return value ^ (value >> 31)


def words(rows: Integers, key: int) -> Words:
    """uint64[n]: one word of 64 random bits for each row number."""
    from flowjob.kernels.counter_random import fill_words  # not in a program that only plans

    made = np.empty(len(rows), np.uint64)
    fill_words(rows, np.uint64(key), made)
    return made


def below(random: Words, bound: int | Integers) -> Integers:
    """int64[n] uniform in 0 … bound - 1, from the upper 32 bits; bounds are at most 2**31."""
    upper = random >> np.uint64(32)
    upper *= np.uint64(bound) if isinstance(bound, int) else bound.view(np.uint64)
    upper >>= np.uint64(32)
    return upper.view(np.int64)


def unit(random: Words) -> npt.NDArray[np.float64]:
    """float64[n] uniform in [0, 1), from the upper 53 bits."""
    found = (random >> np.uint64(11)).view(np.int64).astype(np.float64)
    found *= 2.0**-53
    return found


def odds(one_in: int) -> int:
    """What the lower 16 bits of a word are below with probability 1/one_in; `below` may use the same word."""
    return -(-0x10000 // one_in)


def chance(random: Words, one_in: int) -> npt.NDArray[np.bool_]:
    """bool[n], true with probability 1 - 1/one_in."""
    return (random & np.uint64(0xFFFF)) >= np.uint64(odds(one_in))
