"""Process functions, restored at another parallelism: state of every kind, timers, broadcast state, time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.aggregates import Aggregate
from flowjob.errors import StateMismatch
from flowjob.functions import BroadcastProcess, Context, CoProcess, KeyedCoProcess, KeyedProcess
from flowjob.plan.specs import ConnectedProcessSpec, KeyedProcessSpec
from flowjob.plan.stored_state import PICKLED, TIME
from flowjob.plan.types import OBJECTS, KeyField
from flowjob.runtime.batch import Batch
from flowjob.runtime.checkpoint.sections import Part, RestoredState
from flowjob.runtime.operators.connected_process import ConnectedProcessOperator
from flowjob.runtime.operators.keyed_process import KeyedProcessOperator
from flowjob.schema import Schema
from flowjob.state import aggregating_state, list_state, map_state, reducing_state, value_state
from tests.runtime.operators.harness import OperatorHarness
from tests.runtime.operators.rescaling import (
    End,
    EventTime,
    Feed,
    Fleet,
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
@settings(max_examples=40, deadline=None)
def test_a_function_goes_on_at_another_parallelism_as_if_nothing_had_happened(
    steps: list[Step], parallelism: int
) -> None:
    check_rescaling(
        everything,
        [*with_watermarks(steps), End()],
        key_of=lambda row: row[0],
        parallelism=parallelism,
    )


def test_nothing_is_lost_between_many_keys_and_parallelisms() -> None:
    rng = np.random.default_rng(5)
    steps: list[Step] = []
    for number, parallelism in enumerate((4, 1, 7, 2)):
        keys = [f"key {k}" for k in rng.integers(0, 300, 500)]
        rows = list(zip(keys, rng.integers(0, 9, 500).tolist()))
        steps += [Feed(readings(rows)), Rescale(parallelism), EventTime(number * 12 * SECOND)]
    check_rescaling(everything, [*steps, End()], key_of=lambda row: row[0])


# -- two inputs


class Pairing(KeyedCoProcess[Reading, Reading, Any]):
    """Counts the first stream, sets timers by it; the second one asks."""

    count = value_state(int, default=0)

    def on_first(self, row: Reading, ctx: Context) -> None:
        self.count.value += row.v
        ctx.set_timer(EPOCH + timedelta(seconds=row.v))

    def on_second(self, row: Reading, ctx: Context) -> None:
        ctx.emit((ctx.key, row.v, self.count.value))

    def on_timer(self, at: datetime, ctx: Context) -> None:
        ctx.emit((ctx.key, at, self.count.value))


class Rules(BroadcastProcess[Reading, Reading, Any]):
    """A keyed count, shown under the rules of the time."""

    count = value_state(int, default=0)
    rules = map_state(str, int)
    notes = map_state(object, object)

    def on_row(self, row: Reading, ctx: Context) -> None:
        self.count.value += 1
        ctx.emit((ctx.key, self.count.value, list(self.rules.items()), list(self.notes.items())))

    def on_broadcast(self, rule: Reading, ctx: Context) -> None:
        if rule.v == 0:
            self.rules.pop(str(rule.k), None)
        else:
            self.rules[str(rule.k)] = rule.v
            self.notes[rule.k] = {rule.v}


def connected(function: Any, *, keyed: bool = True, broadcast: bool = False) -> Callable[[], Any]:
    keys = (KeyField("k", "k", pa.string()),)
    spec = ConnectedProcessSpec(
        input=Reading.stream_type(),
        second_input=Reading.stream_type(),
        output=OBJECTS,
        keys=keys if keyed else (),
        second_keys=keys if keyed and not broadcast else (),
        broadcast=broadcast,
        function=function,
    )
    return lambda: ConnectedProcessOperator(spec)


@given(
    st.lists(
        st.one_of(
            st.tuples(ROWS, st.integers(0, 1)).map(lambda r: Feed(readings(r[0]), r[1])),
            st.sampled_from([1, 2, 5]).map(Rescale),
        ),
        max_size=8,
    )
)
@settings(max_examples=25, deadline=None)
def test_both_streams_of_a_function_share_state_across_a_restore(steps: list[Step]) -> None:
    check_rescaling(
        connected(Pairing()), [*with_watermarks(steps), End()], key_of=lambda row: row[0]
    )


@given(
    st.lists(
        st.one_of(
            ROWS.map(lambda rows: Feed(readings(rows))),
            ROWS.map(lambda rows: Feed(readings(rows), 1, keys=None)),
            st.sampled_from([1, 2, 5]).map(Rescale),
        ),
        max_size=8,
    ),
    st.integers(1, 3),
)
@settings(max_examples=25, deadline=None)
def test_broadcast_state_is_in_every_subtask_after_a_restore(
    steps: list[Step], parallelism: int
) -> None:
    check_rescaling(
        connected(Rules(), broadcast=True),
        steps,
        key_of=lambda row: row[0],
        parallelism=parallelism,
    )


class Both(CoProcess[Reading, Reading, Any]):
    def on_first(self, row: Reading, ctx: Context) -> None:
        ctx.emit((row.v, ctx.watermark))

    def on_second(self, row: Reading, ctx: Context) -> None:
        ctx.emit((row.v, ctx.watermark))


def test_a_stream_without_time_borrows_what_was_seen_before_the_restore() -> None:
    steps: list[Step] = [
        Feed(readings([("a", 1)]), keys=()),
        EventTime(5 * SECOND),
        Rescale(3),
        Rescale(1),
        Feed(readings([("a", 2)], timed=False), 1, keys=()),
    ]
    given_ = check_rescaling(connected(Both(), keyed=False), steps)
    assert given_[-1].row == (2, EPOCH + timedelta(seconds=5))
    assert given_[-1].time == 5 * SECOND + 1


def test_of_several_watermarks_the_earliest_is_promised() -> None:
    fleet = Fleet(everything, 2)
    fleet.subtasks[0].watermark(7)
    fleet.subtasks[1].watermark(9)
    fleet.take(Feed(readings([("a", 1)])))
    (harness,) = fleet.rescaled(1).subtasks
    sections = {section.name: section for section in harness.operator.snapshot()}
    assert sections[TIME].meta == {"watermark": 7, "largest": 0}


# -- what it looks like, and what is refused


def test_the_state_of_a_function_can_be_read_and_changed_by_hand() -> None:
    class Small(KeyedProcess[Reading, Any]):
        count = value_state(int, default=0)

        def on_row(self, row: Reading, ctx: Context) -> None:
            self.count.value += 1
            ctx.set_timer(EPOCH + timedelta(seconds=row.v))
            ctx.emit(self.count.value)

    spec = KeyedProcessSpec(
        input=Reading.stream_type(),
        output=OBJECTS,
        keys=(KeyField("k", "k", pa.string()),),
        function=Small(),
    )
    harness = OperatorHarness(KeyedProcessOperator(spec))
    harness.feed(readings([("a", 1), (None, 2), ("a", 3)]))
    sections = {section.name: section for section in harness.operator.snapshot()}
    assert list(sections) == ["state.count", "timers", "processing-timers", TIME]
    assert sections["state.count"].table.to_pylist() == [
        {"key.k": "a", "value": 2},
        {"key.k": None, "value": 1},
    ]
    assert sections["timers"].table.column("key.k").to_pylist() == ["a", None, "a"]
    by_hand = pa.table({"key.k": ["a", "b"], "value": pa.array([40, 50], pa.int32())})
    restarted = OperatorHarness(KeyedProcessOperator(spec))
    restarted.operator.restore(RestoredState({"state.count": [Part(by_hand, {})]}))
    restarted.feed(readings([("a", 1), ("b", 1), ("c", 1)]))
    assert restarted.rows == [41, 51, 1]


def test_an_older_key_type_is_followed_and_another_number_of_keys_refused() -> None:
    harness = OperatorHarness(everything())
    older = pa.table({"key.k": pa.array(["a"], pa.large_string()), "value": [4]})
    harness.operator.restore(RestoredState({"state.last": [Part(older, {})]}))
    harness.feed(readings([("a", 0)]))
    two = pa.table({"key.k": ["a"], "key.l": ["b"], "value": [4]})
    fresh = OperatorHarness(everything())
    with pytest.raises(StateMismatch, match=r"`state.last` of Everything .* 2 key columns"):
        fresh.operator.restore(RestoredState({"state.last": [Part(two, {})]}))


def test_a_pickled_value_whose_class_is_gone_says_what_to_do() -> None:
    lost = pa.table(
        {"key.k": ["a"], "value": [b"cnowhere_to_be_found\nThing\n."]},
        schema=pa.schema(
            [
                pa.field("key.k", pa.string()),
                pa.field("value", pa.binary(), metadata={PICKLED: b"1"}),
            ]
        ),
    )
    harness = OperatorHarness(everything())
    with pytest.raises(StateMismatch, match=r"state.whatever.*nowhere_to_be_found.*importable"):
        harness.operator.restore(RestoredState({"state.whatever": [Part(lost, {})]}))


def test_the_size_of_state_is_known_before_it_is_looked_at() -> None:
    harness = OperatorHarness(everything())
    empty = harness.operator.state_bytes
    harness.feed(readings([(f"key {i}", 5) for i in range(2_000)]))
    assert harness.operator.state_bytes > empty + 2_000 * 1_000
