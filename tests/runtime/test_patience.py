"""Which barriers may overtake data: a task that is told so by one keeps what was overtaken, whatever its own limit."""

from __future__ import annotations

import pytest

from flowjob.core.elements import Barrier, Stop
from flowjob.runtime.patience import Patience


@pytest.mark.parametrize(
    ("barrier", "timeout", "covered"),
    [
        (Barrier(1), None, False),
        (Barrier(1), 0.5, True),
        (Barrier(1, unaligned=True), None, True),
        (Barrier(1, unaligned=True), 0.0, True),
        (Barrier(1, savepoint=True), 0.5, False),
        (Barrier(1, stop=Stop.DRAIN), 0.5, False),
    ],
)
def test_what_is_overtaken_is_kept_where_anything_may_be(
    barrier: Barrier, timeout: float | None, covered: bool
) -> None:
    assert Patience(timeout, lambda barrier: None).covers(barrier) is covered
