"""SessionStore against sessions kept as plain lists, row by row, with lateness, closing and restoring."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.kernels import accumulate
from flowjob.kernels.sessions import SessionStore

KEYS = 3
Open = list[tuple[int, int, int]]  # start, end, rows


def take(sessions: Open, at: int, gap: int, horizon: int) -> bool:
    """Add one row to a key's sessions; False when it is too late."""
    touching = [s for s in sessions if s[0] <= at + gap and s[1] >= at]
    if not touching and at + gap - 1 <= horizon:
        return False
    for session in touching:
        sessions.remove(session)
    start = min([at, *(s[0] for s in touching)])
    end = max([at + gap, *(s[1] for s in touching)])
    sessions.append((start, end, 1 + sum(s[2] for s in touching)))
    return True


class Counted:
    """A store with a row count per session: what an operator does with an Assignment."""

    def __init__(self, gap: int) -> None:
        self.store = SessionStore(gap)
        self.counts = np.zeros(0, np.int64)

    def assign(self, slots: list[int], times: list[int], horizon: int) -> np.ndarray:
        done = self.store.assign(
            np.array(slots, np.int64), np.array(times, np.int64), KEYS, horizon
        )
        self.counts.resize(self.store.id_limit, refcheck=False)
        self.counts[done.new_sessions] = 0
        accumulate.merge_counts(done.targets, done.sources, self.counts)
        kept = done.sessions[done.sessions >= 0]
        accumulate.count(kept, self.counts)
        return done.sessions

    def sessions(self, ids: np.ndarray) -> list[tuple[int, int, int, int]]:
        columns = (
            self.store.slots(ids),
            self.store.starts(ids),
            self.store.ends(ids),
            self.counts[ids],
        )
        return list(zip(*(c.tolist() for c in columns)))


BATCHES = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, KEYS - 1), st.integers(-60, 60)), max_size=25),
        st.integers(0, 40),
    ),
    max_size=6,
)


@given(BATCHES, st.integers(1, 12))
@settings(deadline=None, max_examples=300)
def test_sessions_equal_those_of_rows_taken_one_by_one(batches, gap):
    counted, model = Counted(gap), [[] for _ in range(KEYS)]
    watermark = -100
    for rows, advance in batches:
        expected = [take(model[key], at, gap, watermark) for key, at in rows]
        of_row = counted.assign([r[0] for r in rows], [r[1] for r in rows], watermark)
        assert (of_row >= 0).tolist() == expected
        for session, (key, at) in zip(of_row.tolist(), rows):
            if session >= 0:
                assert counted.store.slots(np.array([session]))[0] == key
                assert counted.store.starts(np.array([session]))[0] <= at
        held = Counter((key, *s) for key in range(KEYS) for s in model[key])
        assert Counter(counted.sessions(counted.store.open())) == held
        assert len(counted.store) == held.total()
        watermark += advance
        due = counted.store.due(watermark)
        closed = sorted(
            (s[1], key, s[0], s[2])
            for key in range(KEYS)
            for s in model[key]
            if s[1] - 1 <= watermark
        )
        assert [(e, k, s, n) for k, s, e, n in counted.sessions(due)] == closed
        before = [bool(sessions) for sessions in model]
        model = [[s for s in sessions if s[1] - 1 > watermark] for sessions in model]
        idle = counted.store.remove(due)
        assert sorted(idle.tolist()) == [k for k in range(KEYS) if before[k] and not model[k]]


def test_a_row_exactly_one_gap_later_is_in_the_session_and_one_microsecond_more_is_not():
    store = SessionStore(10)
    done = store.assign(np.array([0, 0, 0]), np.array([0, 10, 21]), 1)
    assert done.sessions.tolist() == [0, 0, 1]


def test_a_late_row_that_touches_an_open_session_is_in_it_and_one_that_does_not_is_dropped():
    store = SessionStore(10)
    store.assign(np.array([0]), np.array([100]), 1)
    done = store.assign(np.array([0, 0]), np.array([95, 50]), 1, horizon=105)
    assert done.sessions.tolist() == [0, -1]


def test_a_bridge_merges_two_sessions_into_the_earlier_one():
    store = SessionStore(10)
    store.assign(np.array([0, 0]), np.array([0, 20]), 1)
    done = store.assign(np.array([0]), np.array([10]), 1)
    assert (done.targets.tolist(), done.sources.tolist()) == ([0], [1])
    assert done.sessions.tolist() == [0]
    assert (store.starts(np.array([0]))[0], store.ends(np.array([0]))[0]) == (0, 30)


def test_an_id_merged_away_is_not_given_again_in_the_same_batch():
    store = SessionStore(10)
    store.assign(np.array([0, 0]), np.array([0, 20]), 1)
    done = store.assign(np.array([0, 1]), np.array([10, 10]), 2)
    assert done.sources.tolist() == [1]
    assert done.new_sessions.tolist() == [2]
    assert store.assign(np.array([2]), np.array([10]), 3).new_sessions.tolist() == [1]


def test_restored_sessions_go_on_where_they_were():
    store = SessionStore(10)
    ids = store.insert(np.array([0, 0, 1]), np.array([0, 50, 5]), np.array([12, 60, 15]), 2)
    done = store.assign(np.array([0, 1, 0]), np.array([12, 7, 45]), 2)
    assert done.sessions.tolist() == [ids[0], ids[2], ids[1]]
    assert len(done.new_sessions) == 0


def test_a_session_without_a_gap_is_refused():
    with pytest.raises(ValueError, match="positive"):
        SessionStore(0)
