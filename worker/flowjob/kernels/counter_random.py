"""Random numbers that are functions of row and field, and what generators draw by them, in one pass over the rows.

The words are those of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). What
seeds and fields are is connectors/counter_random.py's; every result here is part of data that must stay as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types

from flowjob.kernels.compile import I64S, I64S_OUT, U64S_OUT, helper, kernel

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_27, _30, _31, _32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)
_LOW_16 = np.uint64(0xFFFF)


@helper
def word_of(row: Any, key: Any) -> Any:
    """64 random bits for a row and a field's key."""
    mixed = np.uint64(row) * _STEP + key
    mixed = (mixed ^ (mixed >> _30)) * _FIRST
    mixed = (mixed ^ (mixed >> _27)) * _SECOND
    return mixed ^ (mixed >> _31)


@helper
def scaled(word: Any, bound: Any) -> Any:
    """0 … bound - 1 from the upper 32 bits."""
    return np.int64(((word >> _32) * np.uint64(bound)) >> _32)


@kernel(types.void(I64S, types.uint64, U64S_OUT))
def fill_words(rows: Any, key: Any, out: Any) -> None:
    """A word for each row number."""
    for i in range(rows.shape[0]):
        out[i] = word_of(rows[i], key)


@kernel(types.void(types.int64, types.int64, types.int64, types.int64, I64S_OUT, I64S_OUT))
def number_events(
    first_row: Any, share: Any, place: Any, length: Any, events: Any, rounds: Any
) -> None:
    """Numbers of consecutive rows among all events, and their rounds.

    Events come in rounds of `length`, of which those from `place` to `place + share` are rows, numbered from 0."""
    turn = first_row // share
    at = first_row - turn * share
    event = turn * length + place + at
    for i in range(events.shape[0]):
        events[i] = event
        rounds[i] = turn
        at += 1
        event += 1
        if at == share:
            at = 0
            turn += 1
            event += length - share


@kernel(
    types.void(
        I64S, I64S, types.uint64, types.int64, types.int64, types.int64,
        types.int64, types.int64, types.uint64, I64S_OUT,
    )
)  # fmt: skip
def choose_recent(
    rows: Any, rounds: Any, key: Any, per_round: Any, active: Any, ahead: Any,
    hot_every: Any, hot_offset: Any, cold_below: Any, out: Any,
) -> None:  # fmt: skip
    """One of the things that exist by a row's round, `per_round` in each: among the last `active` and the next
    `ahead`, or the hot one: the last whose number is a multiple of `hot_every`, plus `hot_offset`.

    It is a hot one where the word's low 16 bits are not below `cold_below`."""
    known = np.int64(-1)
    oldest = span = hot = np.int64(0)
    for i in range(rows.shape[0]):
        if rounds[i] != known:
            known = rounds[i]
            newest = known * per_round + per_round - 1
            living = min(newest + 1, active)
            oldest = newest + 1 - living
            span = living + ahead
            hot = newest // hot_every * hot_every + hot_offset
        word = word_of(rows[i], key)
        cold = oldest + scaled(word, span)
        out[i] = cold if (word & _LOW_16) < cold_below else hot


@kernel(types.void(I64S, types.uint64, I64S, I64S, types.uint64, types.int64, I64S_OUT, I64S_OUT))
def place_texts(
    rows: Any, key: Any, least: Any, spans: Any, mask: Any, room: Any, starts: Any, lengths: Any
) -> None:
    """A place in a pool for each row's text, and its length: least + 0 … span - 1.

    Starts are the word's bits in `mask`, modulo `room`, which is more than half of it."""
    for i in range(rows.shape[0]):
        word = word_of(rows[i], key)
        lengths[i] = least[i] + scaled(word, spans[i])
        start = np.int64(word & mask)
        starts[i] = start - room if start >= room else start
