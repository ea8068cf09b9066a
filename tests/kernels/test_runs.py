"""Runs of n rows of a slot."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.kernels.runs import Runs


@given(st.integers(1, 4), st.lists(st.lists(st.integers(0, 3)), max_size=5))
@settings(deadline=None)
def test_each_run_of_n_rows_of_a_slot_has_a_place_to_itself_until_it_is_released(n, batches):
    runs = Runs(n)
    counts = [0] * 4
    open_places = {}
    for slots in batches:
        places, ends = runs.join(np.array(slots, np.int64), 4)
        busy = set(open_places.values())
        ended = []
        for i, (slot, place) in enumerate(zip(slots, places.tolist())):
            assert 0 <= place < runs.limit
            if slot in open_places:
                assert place == open_places[slot]
            else:
                assert place not in busy
                busy.add(place)
                open_places[slot] = place
            counts[slot] += 1
            if counts[slot] % n == 0:
                ended.append(i)
                del open_places[slot]
        assert ends.tolist() == ended
        runs.release(places[ends])


def test_released_places_are_given_again():
    runs = Runs(2)
    for _ in range(100):
        places, ends = runs.join(np.array([0, 1, 0, 1]), 2)
        runs.release(places[ends])
    assert runs.limit == 2
