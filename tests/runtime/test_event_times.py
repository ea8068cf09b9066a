"""Event times of columns, as µs since the epoch."""

from __future__ import annotations

import pyarrow as pa

from flowjob.runtime.event_times import timestamps_of


def test_the_hour_that_a_zone_has_twice_is_no_ambiguity() -> None:
    micros = 1_857_013_200_000_000  # 2028-11-05 01:00 in New York, the first time
    column = pa.array([micros * 1_000 + 1], pa.timestamp("ns", "America/New_York"))
    assert timestamps_of(column)[0].tolist() == [micros]
