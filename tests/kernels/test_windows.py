"""Panes: rounding on both sides of the epoch, and batches split by pane."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.kernels.windows import pane_starts, split_by_pane

TIMES = st.integers(-(1 << 60), 1 << 60) | st.integers(-20, 20)


@given(st.lists(TIMES), st.integers(1, 1 << 40) | st.integers(1, 7), st.integers(-100, 100))
@settings(deadline=None)
def test_a_pane_starts_at_the_greatest_multiple_not_above_the_time(times, size, offset):
    starts = pane_starts(np.array(times, np.int64), size, offset)
    assert starts.tolist() == [(t - offset) // size * size + offset for t in times]


def test_a_pane_without_width_is_refused():
    with pytest.raises(ValueError, match="positive"):
        pane_starts(np.zeros(1, np.int64), 0)


@given(st.lists(st.integers(-3, 3)) | st.lists(st.integers(-500, 500), min_size=100, max_size=300))
@settings(deadline=None)
def test_splitting_gives_each_panes_rows_in_order(panes):
    split = split_by_pane(np.array(panes, np.int64))
    assert split.panes.tolist() == sorted(set(panes))
    order = list(range(len(panes))) if split.order is None else split.order.tolist()
    for i, pane in enumerate(split.panes.tolist()):
        rows = order[split.offsets[i] : split.offsets[i + 1]]
        assert rows == [row for row, of in enumerate(panes) if of == pane]


def test_one_pane_needs_no_order():
    split = split_by_pane(np.full(5, 7))
    assert split.order is None
    assert split.offsets.tolist() == [0, 5]
    assert split_by_pane(np.empty(0, np.int64)).offsets.tolist() == [0]
