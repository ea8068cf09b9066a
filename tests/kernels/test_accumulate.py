"""Accumulators and running aggregates against plain Python, row by row."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.kernels import accumulate, running
from flowjob.kernels.accumulate import MAX_IDENTITY, MIN_IDENTITY, SumOverflow

FLOATS = st.floats(-1e6, 1e6) | st.just(math.nan) | st.sampled_from([math.inf, -math.inf])
DTYPES = {
    np.int64: st.integers(-(1 << 40), 1 << 40),
    np.uint64: st.integers(0, 1 << 40),
    np.float64: FLOATS,
}
SLOTS = 5


def rank(value: float) -> tuple[bool, float]:
    """Orders numbers with NaN above all."""
    return (value != value, 0.0 if value != value else value)


FOLDS: dict[str, tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any], Any]] = {
    "add": (accumulate.add, running.running_add, lambda a, b: a + b, None),
    "minimum": (
        accumulate.minimum, running.running_minimum,
        lambda a, b: min(a, b, key=rank), MIN_IDENTITY,
    ),
    "maximum": (
        accumulate.maximum, running.running_maximum,
        lambda a, b: max(a, b, key=rank), MAX_IDENTITY,
    ),
}  # fmt: skip


@given(st.sampled_from(sorted(FOLDS)), st.sampled_from(list(DTYPES)), st.data())
@settings(deadline=None, max_examples=150)
def test_folding_by_slot_equals_folding_row_by_row(name, dtype, data):
    fold, running_fold, step, identities = FOLDS[name]
    rows = data.draw(st.lists(st.tuples(st.integers(0, SLOTS - 1), DTYPES[dtype], st.booleans())))
    nulls = data.draw(st.booleans())
    identity = dtype(0) if identities is None else identities[np.dtype(dtype)]
    acc = np.full(SLOTS, identity)
    expected, after = acc.tolist(), []
    for slot, value, valid in rows:
        if valid or not nulls:
            expected[slot] = step(expected[slot], value)
        after.append(expected[slot])
    slots = np.array([r[0] for r in rows], np.int64)
    values = np.array([r[1] for r in rows], dtype)
    valid = np.array([r[2] for r in rows], np.bool_) if nulls else accumulate.NONE_NULL
    for array in (slots, values, valid):
        array.flags.writeable = False
    following = acc.copy()
    fold(slots, values, acc, valid)
    np.testing.assert_array_equal(acc, np.array(expected, dtype))
    out = running_fold(slots, values, following, valid)
    np.testing.assert_array_equal(out, np.array(after, dtype))
    np.testing.assert_array_equal(following, acc)


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans())))
@settings(deadline=None)
def test_counts_and_running_counts_skip_nulls(rows):
    slots = np.array([r[0] for r in rows], np.int64)
    valid = np.array([r[1] for r in rows], np.bool_)
    acc, following = np.zeros(4, np.int64), np.zeros(4, np.int64)
    if rows:
        accumulate.count(slots, acc, valid)
        after = running.running_count(slots, following, valid)
        assert acc.tolist() == [sum(v for s, v in rows if s == slot) for slot in range(4)]
        assert after.tolist() == [
            sum(v for s, v in rows[: i + 1] if s == slot) for i, (slot, _) in enumerate(rows)
        ]
        assert following.tolist() == acc.tolist()
    accumulate.count(slots, acc := np.zeros(4, np.int64))
    assert acc.tolist() == [sum(s == slot for s, _ in rows) for slot in range(4)]


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (np.int64, [(1 << 63) - 1, 1]),
        (np.int64, [-(1 << 63), -1]),
        (np.uint64, [(1 << 64) - 1, 1]),
    ],
)
@pytest.mark.parametrize("fold", [accumulate.add, running.running_add])
def test_a_sum_that_wraps_is_an_error_naming_the_row(dtype, values, fold):
    acc = np.zeros(1, dtype)
    with pytest.raises(SumOverflow, match=f"{np.dtype(dtype)} at row 1"):
        fold(np.zeros(2, np.int64), np.array(values, dtype), acc)
    assert acc[0] == dtype(values[0])


def test_sums_up_to_the_last_number_do_not_overflow():
    acc = np.zeros(1, np.int64)
    accumulate.add(np.zeros(3, np.int64), np.array([1 << 62, (1 << 62) - 1, 0]), acc)
    assert acc[0] == (1 << 63) - 1


def test_merging_adds_sources_to_targets():
    acc = np.array([1, 2, 4, 8])
    accumulate.merge_counts(np.array([0, 0, 3]), np.array([1, 2, 1]), acc)
    assert acc.tolist() == [7, 2, 4, 10]
    low, high = np.array([5.0, 1.0, math.nan]), np.array([5.0, 1.0, math.nan])
    accumulate.merge_minima(np.array([0, 0]), np.array([1, 2]), low)
    accumulate.merge_maxima(np.array([0, 0]), np.array([1, 2]), high)
    assert low[0] == 1.0
    assert math.isnan(high[0])


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 9), min_size=4, max_size=4))
@settings(deadline=None)
def test_occurrences_number_the_rows_of_each_slot_from_where_they_were(slots, base):
    counts = np.array(base, np.int64)
    numbers = accumulate.occurrence(np.array(slots, np.int64), counts)
    assert numbers.tolist() == [base[s] + slots[: i + 1].count(s) for i, s in enumerate(slots)]
    assert counts.tolist() == [base[s] + slots.count(s) for s in range(4)]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(-3, 3), st.booleans())),
    st.lists(st.none() | st.integers(-3, 3), min_size=3, max_size=3),
)
@settings(deadline=None)
def test_a_running_best_is_the_first_row_with_the_least_key(rows, kept):
    n = len(rows)
    best = np.array([k or 0 for k in kept], np.int64)
    held = np.array([-1 if k is None else n + s for s, k in enumerate(kept)], np.int64)
    slots = np.array([r[0] for r in rows], np.int64)
    keys = np.array([r[1] for r in rows], np.int64)
    valid = np.array([r[2] for r in rows], np.bool_)
    after = running.running_best(slots, keys, best, held, valid) if n else np.empty(0, np.int64)
    for i, (slot, _, _) in enumerate(rows):
        seen = [] if kept[slot] is None else [(kept[slot], -1, n + slot)]
        seen += [(k, j, j) for j, (s, k, v) in enumerate(rows[: i + 1]) if s == slot and v]
        assert after[i] == (min(seen)[2] if seen else -1)
