"""Whether state is described in line or in a frozen copy: by what either has cost."""

from __future__ import annotations

import pytest

from flowjob.core.snapshot_pace import IN_LINE, TRIED, WORDS, SnapshotPace

MEGA = 1_000_000


def test_what_state_costs_is_unknown_at_first_so_a_copy_is_made() -> None:
    assert not SnapshotPace().in_line(1)


@pytest.mark.parametrize(("seconds", "tried"), [(TRIED * 0.9, True), (TRIED * 1.1, False)])
def test_behind_a_quick_copy_it_is_tried_in_line(seconds: float, tried: bool) -> None:
    pace = SnapshotPace()
    pace.took(seconds, MEGA, in_line=False)
    assert pace.in_line(MEGA) is tried


def test_what_it_costs_in_line_decides_as_soon_as_it_is_known() -> None:
    pace = SnapshotPace()
    pace.took(TRIED / 10, MEGA, in_line=False)
    pace.took(IN_LINE, MEGA, in_line=True)
    assert pace.in_line(MEGA)
    assert not pace.in_line(2 * MEGA)


def test_state_that_grows_goes_back_to_copies_and_returns_when_it_has_shrunk() -> None:
    pace = SnapshotPace()
    pace.took(IN_LINE / 2, MEGA, in_line=True)
    assert not pace.in_line(3 * MEGA)
    pace.took(5.0, 3 * MEGA, in_line=False)
    assert pace.in_line(MEGA)


def test_a_busy_machine_is_not_taken_for_expensive_state() -> None:
    pace = SnapshotPace()
    pace.took(IN_LINE / 2, MEGA, in_line=True)
    pace.took(IN_LINE * 4, MEGA, in_line=True)
    assert pace.in_line(MEGA)


def test_no_state_at_all_is_nothing_special() -> None:
    pace = SnapshotPace()
    pace.took(0.001, 0, in_line=False)
    assert pace.in_line(0)


def test_columns_of_fixed_width_are_supposed_to_be_quick_until_it_is_known() -> None:
    pace = SnapshotPace()
    small, large = int(IN_LINE / WORDS * 0.9), int(IN_LINE / WORDS * 1.1)
    assert pace.in_line(small, words=True)
    assert not pace.in_line(large, words=True)
    assert not pace.in_line(small, words=False)
    pace.took(IN_LINE * 2, small, in_line=True)
    assert not pace.in_line(small, words=True)
