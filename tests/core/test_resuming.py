"""TaskManagers that lose their connection for a moment."""

from __future__ import annotations

from flowjob.core.resuming import MOST, WITHIN, Resuming


def test_one_that_still_has_all_slots_of_the_job_keeps_them() -> None:
    resuming = Resuming()
    assert resuming.may([(0, 1), (1, 1)], [(1, 1), (0, 1), (5, 1)], 0.0)
    assert not resuming.may([(0, 1), (1, 1)], [(0, 1)], 0.0)
    assert not resuming.may([(0, 2)], [(0, 1)], 0.0)
    assert not resuming.may([], [(0, 1)], 0.0)


def test_a_connection_that_breaks_all_the_time_ends_it() -> None:
    resuming = Resuming()
    assert all(resuming.may([(0, 1)], [(0, 1)], float(at)) for at in range(MOST))
    assert not resuming.may([(0, 1)], [(0, 1)], float(MOST))
    assert resuming.may([(0, 1)], [(0, 1)], WITHIN)
