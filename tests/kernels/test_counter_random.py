"""Draws are what their formulas say, row by row, in Python's integers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.connectors.counter_random import words
from flowjob.kernels.counter_random import choose_recent, number_events, place_texts

MASK = (1 << 64) - 1
keys = st.integers(0, MASK)


def word(row: int, key: int) -> int:
    """splitmix64 as it is published."""
    z = (row * 0x9E3779B97F4A7C15 + key) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**63 - 1), max_size=20), keys)
def test_words_are_those_of_splitmix64(rows: list[int], key: int):
    assert words(np.array(rows, np.int64), key).tolist() == [word(r, key) for r in rows]


@settings(deadline=None)
@given(st.integers(0, 10**12), st.integers(0, 200), st.integers(1, 60), st.integers(0, 5))
def test_rows_take_the_same_places_in_every_round(first: int, count: int, share: int, place: int):
    length = share + place + 3
    events, rounds = np.empty(count, np.int64), np.empty(count, np.int64)
    number_events(first, share, place, length, events, rounds)
    rows = range(first, first + count)
    assert rounds.tolist() == [r // share for r in rows]
    assert events.tolist() == [r // share * length + place + r % share for r in rows]


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=30),
    keys,
    st.integers(1, 5),
    st.integers(1, 100),
    st.integers(0, 0xFFFF),
)
def test_what_is_chosen_lives_or_will_soon_or_is_hot(
    rounds: list[int], key: int, per_round: int, active: int, cold_below: int
):
    chosen = np.empty(len(rounds), np.int64)
    choose_recent(
        np.arange(len(rounds)), np.array(rounds), np.uint64(key), per_round, active, 10,
        100, 1, np.uint64(cold_below), chosen,
    )  # fmt: skip
    for row, (turn, got) in enumerate(zip(rounds, chosen.tolist())):
        drawn, newest = word(row, key), turn * per_round + per_round - 1
        living = min(active, newest + 1)
        cold = newest + 1 - living + ((drawn >> 32) * (living + 10) >> 32)
        hot = newest // 100 * 100 + 1
        assert got == (cold if drawn & 0xFFFF < cold_below else hot)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 99)), max_size=30), keys)
def test_texts_have_their_lengths_and_lie_in_the_pool(rows: list[tuple[int, int]], key: int):
    least, spans = (np.array(values, np.int64) for values in (zip(*rows) if rows else ([], [])))
    starts, lengths = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    place_texts(
        np.arange(len(rows)), np.uint64(key), least, spans, np.uint64(1023), 1000, starts, lengths
    )
    drawn = [word(row, key) for row in range(len(rows))]
    assert starts.tolist() == [(d & 1023) % 1000 for d in drawn]
    assert lengths.tolist() == [n + ((d >> 32) * s >> 32) for (n, s), d in zip(rows, drawn)]
