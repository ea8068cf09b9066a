"""Rows to key groups and subtasks: the formula, the order, the refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.kernels.partitioning import (
    key_groups,
    partition,
    partition_by,
    subtasks_of_groups,
)

HASHES = st.lists(
    st.integers(0, (1 << 64) - 1) | st.sampled_from([0, (1 << 32) - 1, 1 << 32, (1 << 64) - 1]),
    max_size=50,
)


@given(HASHES, st.integers(1, 1 << 15))
@settings(deadline=None)
def test_the_key_group_is_the_low_half_of_the_hash_modulo_max_parallelism(hashes, groups):
    found = key_groups(np.array(hashes, np.uint64), groups)
    assert found.tolist() == [(h & 0xFFFFFFFF) % groups for h in hashes]
    assert found.dtype == np.int32


@given(HASHES, st.integers(1, 300), st.data())
@settings(deadline=None)
def test_rows_go_to_their_groups_subtask_in_their_order(hashes, groups, data):
    parallelism = data.draw(st.integers(1, groups))
    done = partition(np.array(hashes, np.uint64), groups, parallelism)
    targets = [(h & 0xFFFFFFFF) % groups * parallelism // groups for h in hashes]
    for target in range(parallelism):
        rows = done.order[done.offsets[target] : done.offsets[target + 1]].tolist()
        assert rows == [row for row, to in enumerate(targets) if to == target]
    assert done.offsets[0] == 0
    assert done.offsets[-1] == len(hashes)


def test_every_subtask_has_a_range_of_groups():
    assert subtasks_of_groups(7, 3).tolist() == [0, 0, 0, 1, 1, 2, 2]


@given(st.lists(st.integers(0, 4), max_size=40))
@settings(deadline=None)
def test_a_custom_partitioners_targets_are_followed_in_order(targets):
    done = partition_by(np.array(targets, np.int32), 5)
    assert done.order.tolist() == sorted(range(len(targets)), key=lambda row: targets[row])
    assert np.diff(done.offsets).tolist() == [targets.count(t) for t in range(5)]


@pytest.mark.parametrize("target", [-1, 3])
def test_a_target_that_is_no_subtask_is_refused_with_its_row(target):
    with pytest.raises(ValueError, match=f"row 1 is sent to subtask {target}"):
        partition_by(np.array([0, target], np.int32), 3)


@pytest.mark.parametrize(("groups", "parallelism"), [(4, 5), (4, 0), (1 << 16, 2)])
def test_an_impossible_parallelism_is_refused(groups, parallelism):
    with pytest.raises(ValueError, match="max parallelism"):
        partition(np.zeros(1, np.uint64), groups, parallelism)
