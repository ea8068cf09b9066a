"""Texts cut from a buffer are its bytes, wherever they begin and however long they are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.connectors.text_pool import TextPool
from flowjob.kernels.text_slices import BLOCK, slice_bounds

TEXT = bytes(np.random.default_rng(1).choice(np.frombuffer(b"ab ", np.uint8), 4 * BLOCK))
POOL = TextPool(pa.py_buffer(TEXT))

slices = st.lists(
    st.tuples(st.integers(0, len(TEXT)), st.integers(0, 2 * BLOCK)).map(
        lambda s: (s[0], min(s[1], len(TEXT) - s[0]))
    ),
    max_size=40,
)


def columns(places: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.array(places, np.int64).reshape(-1, 2)
    return pairs[:, 0].copy(), pairs[:, 1].copy()


@settings(max_examples=60, deadline=None)
@given(slices)
def test_texts_are_the_bytes_between_their_bounds(places: list[tuple[int, int]]):
    cut = POOL.slices(*columns(places))
    cut.validate(full=True)
    assert cut.to_pylist() == [TEXT[s : s + n].decode() for s, n in places]


@settings(max_examples=60, deadline=None)
@given(slices)
def test_trimmed_texts_have_no_blanks_at_their_ends(places: list[tuple[int, int]]):
    starts, lengths = columns(places)
    POOL.trim(starts, lengths)
    expected = [TEXT[s : s + n].decode().strip(" ") for s, n in places]
    assert POOL.slices(starts, lengths).to_pylist() == expected


def test_more_text_than_an_arrow_array_holds_is_refused():
    lengths = np.full(3, 1 << 30, np.int64)
    assert slice_bounds(lengths, np.empty(4, np.int32)) == -1
    with pytest.raises(ValueError, match="fewer rows"):
        POOL.slices(np.zeros(3, np.int64), lengths)
