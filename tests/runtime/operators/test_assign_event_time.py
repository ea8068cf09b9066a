"""with_event_time: new timestamps and watermarks in mid-stream."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.core.elements import MAX_TIME, Watermark
from flowjob.plan.specs import AssignEventTimeSpec
from flowjob.plan.types import StreamType
from flowjob.runtime.batch import Batch
from flowjob.runtime.operators.assign_event_time import AssignEventTime
from flowjob.runtime.operators.failures import RowFailed
from flowjob.watermarks import EventTime
from tests.runtime.operators.harness import OperatorHarness, batch

SCHEMA = pa.schema([pa.field("at", pa.timestamp("us", "UTC")), pa.field("n", pa.int64())])


def harness_of(*, delay: int = 0, every: int | None = None) -> OperatorHarness:
    time = EventTime("at", timedelta(microseconds=delay), watermark_every=every)
    type = StreamType(SCHEMA)
    return OperatorHarness(
        AssignEventTime(AssignEventTimeSpec(input=type, output=type, event_time=time))
    )


def rows(*times: int | None) -> Batch:
    return batch(
        pa.RecordBatch.from_arrays(
            [pa.array(times, SCHEMA.field(0).type), pa.array(range(len(times)))], schema=SCHEMA
        ),
        timestamps=[0] * len(times),
    )


def test_rows_are_stamped_and_followed_by_a_watermark_behind_the_largest() -> None:
    harness = harness_of(delay=10)
    data, watermark = harness.feed(rows(100, 150, 120))
    assert data.timestamps.tolist() == [100, 150, 120]
    assert watermark == Watermark(139)


def test_a_row_as_old_as_the_disorder_allows_is_not_late() -> None:
    assert harness_of(delay=10).feed(rows(100))[-1].time < 100 - 10


def test_watermarks_never_go_back() -> None:
    harness = harness_of()
    harness.feed(rows(100))
    assert [type(o) for o in harness.feed(rows(50, 100))] == [Batch]
    assert harness.feed(rows(101))[-1] == Watermark(100)


def test_watermarks_from_before_are_dropped_but_for_the_last() -> None:
    harness = harness_of()
    assert harness.watermark(500) == []
    assert harness.watermark(MAX_TIME) == [Watermark(MAX_TIME)]


def test_a_null_time_is_an_error_that_shows_the_row() -> None:
    with pytest.raises(RowFailed) as caught:
        harness_of().feed(rows(1, None, 3))
    assert "event time `at` is null: filter such rows out" in str(caught.value.__cause__)
    assert "'n': 1" in caught.value.row


@given(st.lists(st.integers(0, 50), max_size=30), st.sampled_from([1, 7, 30]))
@settings(max_examples=50)
def test_watermark_every_pins_positions_at_any_batch_size(times: list[int], size: int) -> None:
    cut, whole = harness_of(delay=3, every=4), harness_of(delay=3, every=4)
    for start in range(0, len(times), size):
        cut.feed(rows(*times[start : start + size]))
    whole.feed(rows(*times))

    def flat(harness: OperatorHarness) -> list[object]:
        return [
            x
            for o in harness.outputs
            for x in ([o] if isinstance(o, Watermark) else o.timestamps.tolist())
        ]

    assert flat(cut) == flat(whole)
