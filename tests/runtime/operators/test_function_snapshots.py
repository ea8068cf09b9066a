"""Process functions, restored at another parallelism: state of every kind, timers, broadcast state, time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.aggregates import Aggregate
from flowjob.functions import Context, KeyedProcess
from flowjob.plan.specs import KeyedProcessSpec
from flowjob.plan.types import OBJECTS, KeyField
from flowjob.runtime.batch import Batch
from flowjob.runtime.operators.keyed_process import KeyedProcessOperator
from flowjob.schema import Schema
from flowjob.state import aggregating_state, list_state, map_state, reducing_state, value_state
from tests.runtime.operators.rescaling import (
    End,
    EventTime,
    Feed,
    Rescale,
    Step,
    WallTime,
    check_rescaling,
)

SECOND = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Reading(Schema):
    k: str | None
    v: int


class Total(Aggregate[int, list[int], int]):
    def create(self) -> list[int]:
        return []

    def add(self, acc: list[int], value: int) -> list[int]:
        return [*acc, value]

    def result(self, acc: list[int]) -> int:
        return sum(acc)


class Odd(Aggregate[int, Any, int]):
    """Its accumulators are sets: stored pickled."""

    def create(self) -> set[int]:
        return set()

    def add(self, acc: set[int], value: int) -> set[int]:
        return acc | {value}

    def result(self, acc: set[int]) -> int:
        return len(acc)


class Everything(KeyedProcess[Reading, Any]):
    """Uses each kind of state, and timers of both domains; tells all it knows at each row and timer."""

    last = value_state(int)
    row = value_state(Reading)
    whatever = value_state(object)
    seen = list_state(int)
    recent = list_state(int, ttl=timedelta(seconds=20))
    counts = map_state(int, int)
    brief = map_state(str, Reading, ttl=timedelta(seconds=10))
    most = reducing_state(int, max)
    total = aggregating_state(Total("v"))
    distinct = aggregating_state(Odd("v"), ttl=timedelta(seconds=30))

    def on_row(self, row: Reading, ctx: Context) -> None:
        if row.v == 0:
            self.seen.clear()
            self.last.clear()
        else:
            self.seen.append(row.v)
            self.last.value = row.v if row.v > 1 else None
        self.recent.append(row.v)
        self.row.value = row
        self.whatever.value = {row.v, "x"}
        self.counts[row.v] = self.counts.get(row.v, 0) + 1
        if row.v == 3:
            self.counts.pop(2, None)
        self.brief[str(row.v)] = row
        for state in (self.most, self.total, self.distinct):
            state.add(row.v)
        if row.v % 2:
            ctx.set_timer(EPOCH + timedelta(seconds=5 * row.v))
            ctx.set_processing_timer(ctx.now + timedelta(seconds=row.v))
        self._tell("row", ctx)

    def on_timer(self, at: datetime, ctx: Context) -> None:
        self._tell(f"timer {at}", ctx)

    def on_processing_timer(self, at: datetime, ctx: Context) -> None:
        self._tell("processing timer", ctx)

    def _tell(self, what: str, ctx: Context) -> None:
        ctx.emit(
            (
                ctx.key,
                what,
                self.last.value,
                self.row.value,
                self.whatever.value and len(self.whatever.value),
                list(self.seen),
                list(self.recent),
                list(self.counts.items()),
                list(self.brief.items()),
                (self.most.value, self.total.value, self.distinct.value),
                ctx.watermark,
            )
        )


def everything() -> KeyedProcessOperator:
    return KeyedProcessOperator(
        KeyedProcessSpec(
            input=Reading.stream_type(),
            output=OBJECTS,
            keys=(KeyField("k", "k", pa.string()),),
            function=Everything(),
        )
    )


def readings(rows: list[tuple[str | None, int]], *, timed: bool = True) -> Batch:
    """All at one time: what processing timers emit is stamped by what a subtask has seen of it."""
    columns = pa.RecordBatch.from_pylist(
        [{"k": k, "v": v} for k, v in rows], Reading.arrow_schema()
    )
    times = np.zeros(len(rows), np.int64)
    return Batch(columns, times if timed else None)


KEYS = st.sampled_from([None, "", "a", "b", "c", "d", "é"])
ROWS = st.lists(st.tuples(KEYS, st.integers(0, 9)), min_size=1, max_size=8)
STEPS = st.lists(
    st.one_of(
        ROWS.map(lambda rows: Feed(readings(rows))),
        st.integers(1, 8).map(lambda s: WallTime(s * SECOND)),
        st.sampled_from([1, 2, 3, 5]).map(Rescale),
    ),
    max_size=12,
)


def with_watermarks(steps: list[Step]) -> list[Step]:
    """A watermark behind every other step, so that timers fire all the way."""
    made: list[Step] = []
    for number, step in enumerate(steps):
        made += [step] if number % 2 else [step, EventTime(number * 5 * SECOND)]
    return made


@given(STEPS, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_a_function_goes_on_at_another_parallelism_as_if_nothing_had_happened(
    steps: list[Step], parallelism: int
) -> None:
    check_rescaling(
        everything,
        [*with_watermarks(steps), End()],
        key_of=lambda row: row[0],
        parallelism=parallelism,
    )
