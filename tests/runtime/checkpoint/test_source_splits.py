"""The splits of a source come out of a snapshot as they went in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.core.elements import MIN_TIME
from flowjob.errors import PlanError
from flowjob.runtime.checkpoint.sections import Distribution
from flowjob.runtime.checkpoint.source_splits import read_splits, splits_section
from flowjob.runtime.messages import SplitProgress, WireSplit

times = st.integers(MIN_TIME, 2**63 - 1)
data = st.dictionaries(st.text(max_size=3), st.integers(0, 9) | st.binary(max_size=3), max_size=2)
splits = st.builds(
    WireSplit,
    st.text(st.characters(codec="utf-8"), max_size=5),
    data,
    st.none() | data,
    st.none() | st.builds(SplitProgress, times, st.integers(0, 99), st.none() | times),
)


@settings(deadline=None)
@given(st.lists(splits, max_size=4), st.lists(st.text(st.characters(codec="utf-8")), max_size=4))
def test_splits_keep_their_position_and_progress(
    unfinished: list[WireSplit], finished: list[str]
) -> None:
    section = splits_section(unfinished, finished)
    assert section.distribution is Distribution.SPLIT
    restored = read_splits([section.table])
    assert (restored.unfinished, restored.finished) == (unfinished, finished)


def test_a_position_that_cannot_be_stored_is_the_connector_s_mistake() -> None:
    split = WireSplit("one", {}, {"at": object()})
    with pytest.raises(
        PlanError, match=r"split `one`: its position, .* cannot be stored: .*object"
    ):
        splits_section([split], [])


def test_the_splits_of_all_subtasks_are_read_together() -> None:
    tables = [splits_section([WireSplit(str(i), {})], [f"old {i}"]).table for i in range(3)]
    restored = read_splits(tables)
    assert [s.id for s in restored.unfinished] == ["0", "1", "2"]
    assert restored.finished == ["old 0", "old 1", "old 2"]
