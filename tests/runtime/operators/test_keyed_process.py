"""process on a keyed stream: state, timers, side outputs, times, and what mistakes say."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.errors import StateError
from flowjob.functions import Context, KeyedProcess, side_output
from flowjob.plan.specs import KeyedProcessSpec
from flowjob.plan.types import OBJECTS, KeyField, StreamType
from flowjob.runtime.batch import Batch
from flowjob.runtime.operators.base import PAUSE
from flowjob.runtime.operators.failures import RowFailed
from flowjob.runtime.operators.keyed_process import KeyedProcessOperator
from flowjob.schema import Schema
from flowjob.state import list_state, value_state
from tests.runtime.operators.harness import START, MockClock, OperatorHarness

SECOND = 1_000_000
T0 = datetime(2026, 1, 1, tzinfo=UTC)
BASE = int(T0.timestamp()) * SECOND


class Payment(Schema):
    account: str
    amount: float
    at: datetime


class Alert(Schema):
    account: str
    amount: float


def operator(function: Any, output: StreamType = OBJECTS, **sides: StreamType) -> Any:
    return KeyedProcessOperator(
        KeyedProcessSpec(
            input=Payment.stream_type(),
            output=output,
            keys=(KeyField("account", "account", pa.string()),),
            function=function,
            side_types=tuple(sides.items()),
        )
    )


def payments(*rows: tuple[str, float, int], timed: bool = True) -> Batch:
    """(account, amount, seconds after T0)."""
    times = np.array([BASE + int(s * SECOND) for _, _, s in rows], np.int64)
    columns = pa.RecordBatch.from_arrays(
        [
            pa.array([a for a, _, _ in rows], pa.string()),
            pa.array([float(x) for _, x, _ in rows], pa.float64()),
            pa.array(times, pa.timestamp("us", "UTC")),
        ],
        schema=Payment.arrow_schema(),
    )
    return Batch(columns, times if timed else None)


class SmallThenLarge(KeyedProcess[Payment, Alert]):
    small = value_state(bool, default=False, ttl=timedelta(hours=1))
    alert_log = side_output("alert_log", str)

    def on_row(self, row: Payment, ctx: Context) -> None:
        if self.small.value and row.amount > 500:
            ctx.emit(Alert(row.account, row.amount))
            ctx.emit_to(self.alert_log, f"{row.account} {row.amount}")
        self.small.value = row.amount < 1
        if self.small.value:
            ctx.set_timer(row.at + timedelta(minutes=1))

    def on_timer(self, at: datetime, ctx: Context) -> None:
        self.small.clear()


def fraud() -> OperatorHarness:
    return OperatorHarness(operator(SmallThenLarge(), Alert.stream_type(), alert_log=OBJECTS))


def test_state_belongs_to_the_key_of_the_row() -> None:
    harness = fraud()
    harness.feed(payments(("a", 0.5, 0), ("b", 900, 1), ("a", 900, 2), ("a", 900, 3)))
    assert harness.rows == [Alert("a", 900)]
    assert harness.timestamps == [BASE + 2 * SECOND]
    assert harness.side("alert_log") == ["a 900.0"]


def test_a_timer_fires_when_the_watermark_reaches_it_and_not_before() -> None:
    harness = fraud()
    harness.feed(payments(("a", 0.5, 0), ("b", 0.5, 1)))
    harness.watermark(BASE + 60 * SECOND)
    harness.feed(payments(("a", 900, 61), ("b", 900, 61)))
    assert harness.rows == [Alert("b", 900)]


def test_state_with_a_ttl_is_gone_by_the_wall_clock() -> None:
    harness = fraud()
    harness.feed(payments(("a", 0.5, 0)))
    harness.advance(START + 3_600 * SECOND)
    harness.feed(payments(("a", 900, 30)))
    assert harness.rows == []


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_results_do_not_depend_on_batch_sizes(size: int) -> None:
    rng = np.random.default_rng(7)
    rows = [("abcde"[rng.integers(5)], [0.5, 900.0][rng.integers(2)], i) for i in range(300)]
    harness, whole = fraud(), fraud()
    for start in range(0, 300, 100):
        part = rows[start : start + 100]
        whole.feed(payments(*part))
        for first in range(0, 100, size):
            harness.feed(payments(*part[first : first + size]))
        for one in (harness, whole):
            one.watermark(BASE + (start + 50) * SECOND)
    assert harness.rows == whole.rows
    assert harness.timestamps == whole.timestamps
    assert harness.side("alert_log") == whole.side("alert_log")
    assert len(whole.rows) > 10


# -- timers


class Recorder(KeyedProcess[Payment, Any]):
    """Sets a timer at amount seconds after T0, deletes it when negative; tells what fires."""

    def on_row(self, row: Payment, ctx: Context) -> None:
        at = T0 + timedelta(seconds=abs(row.amount))
        (ctx.set_timer if row.amount > 0 else ctx.delete_timer)(at)

    def on_timer(self, at: datetime, ctx: Context) -> None:
        assert ctx.timestamp == at
        ctx.emit((ctx.key, (at - T0).seconds))


def test_timers_fire_in_order_of_time_then_registration_once_each() -> None:
    harness = OperatorHarness(operator(Recorder()))
    harness.feed(
        payments(("b", 9, 0), ("a", 5, 0), ("c", 9, 0), ("b", 9, 0), ("a", 9, 0), ("d", 99, 0))
    )
    harness.watermark(BASE + 10 * SECOND)
    assert harness.rows == [("a", 5), ("b", 9), ("c", 9), ("a", 9)]
    assert harness.timestamps == [BASE + s * SECOND for s in (5, 9, 9, 9)]


def test_a_deleted_timer_does_not_fire() -> None:
    harness = OperatorHarness(operator(Recorder()))
    harness.feed(payments(("a", 5, 0), ("b", 5, 0), ("a", -5, 0), ("b", -6, 0)))
    harness.watermark(BASE + 10 * SECOND)
    assert harness.rows == [("b", 5)]


def test_timers_fire_before_the_watermark_goes_on_and_all_of_them_at_the_end() -> None:
    harness = OperatorHarness(operator(Recorder()))
    harness.feed(payments(("a", 5, 0)))
    outputs = harness.end()
    assert len(outputs) == 2
    assert list(outputs[0].values) == [("a", 5)]


def test_a_timer_set_by_a_timer_for_a_passed_time_fires_in_the_same_pass() -> None:
    class Chained(Recorder):
        def on_timer(self, at: datetime, ctx: Context) -> None:
            super().on_timer(at, ctx)
            if at < T0 + timedelta(seconds=8):
                ctx.set_timer(at + timedelta(seconds=1))

    harness = OperatorHarness(operator(Chained()))
    harness.feed(payments(("a", 5, 0), ("b", 7, 0)))
    harness.watermark(BASE + 7 * SECOND)
    assert harness.rows == [("a", 5), ("a", 6), ("b", 7), ("a", 7)]
    harness.watermark(BASE + 20 * SECOND)
    assert harness.rows[4:] == [("b", 8), ("a", 8)]


def test_a_naive_datetime_is_utc_and_another_zone_is_converted() -> None:
    class Naive(Recorder):
        def on_row(self, row: Payment, ctx: Context) -> None:
            ctx.set_timer(row.at.replace(tzinfo=None))

    harness = OperatorHarness(operator(Naive()))
    harness.feed(payments(("a", 0, 3)))
    harness.watermark(BASE + 3 * SECOND)
    assert harness.rows == [("a", 3)]


class Waiting(KeyedProcess[Payment, Any]):
    def on_row(self, row: Payment, ctx: Context) -> None:
        ctx.set_processing_timer(ctx.now + timedelta(seconds=row.amount))

    def on_processing_timer(self, at: datetime, ctx: Context) -> None:
        ctx.emit((ctx.key, at, ctx.now))


def test_a_processing_timer_fires_by_the_wall_clock() -> None:
    harness = OperatorHarness(operator(Waiting()))
    assert harness.operator.next_timer() is None
    harness.feed(payments(("a", 5, 0), ("b", 3, 1)))
    start = datetime.fromtimestamp(START / 1e6, UTC)
    assert harness.operator.next_timer() == START + 3 * SECOND
    harness.advance(START + 4 * SECOND)
    later = start + timedelta(seconds=3)
    assert harness.rows == [("b", later, later)]
    assert harness.operator.next_timer() == START + 5 * SECOND


def test_processing_timers_that_are_not_due_are_dropped_when_the_input_ends() -> None:
    harness = OperatorHarness(operator(Waiting()))
    harness.feed(payments(("a", 5, 0), ("b", 3, 1)))
    harness.advance(START + 4 * SECOND)
    harness.end()
    assert [key for key, _, _ in harness.rows] == ["b"]


def test_rows_of_processing_timers_carry_the_latest_event_time_and_are_not_late() -> None:
    harness = OperatorHarness(operator(Waiting()))
    harness.feed(payments(("a", 5, 7), ("b", 9, 1)))
    harness.advance(START + 6 * SECOND)
    harness.watermark(BASE + 20 * SECOND)
    harness.advance(START + 10 * SECOND)
    assert harness.timestamps == [BASE + 7 * SECOND, BASE + 20 * SECOND + 1]


def test_a_processing_timer_without_a_callback_of_its_own_calls_on_timer() -> None:
    class Both(KeyedProcess[Payment, Any]):
        def on_row(self, row: Payment, ctx: Context) -> None:
            ctx.set_processing_timer(ctx.now)

        def on_timer(self, at: datetime, ctx: Context) -> None:
            ctx.emit(ctx.key)

    harness = OperatorHarness(operator(Both()))
    harness.feed(payments(("a", 5, 0), timed=False))
    harness.advance(START + 1)
    assert harness.rows == ["a"]
    assert harness.timestamps == [None]


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(-6, 6).filter(bool), st.booleans()),
        max_size=40,
    )
)
@settings(max_examples=60)
def test_timers_are_those_a_sorted_set_would_fire(steps: list[tuple[str, int, bool]]) -> None:
    harness = OperatorHarness(operator(Recorder()))
    model: dict[tuple[int, str], int] = {}
    expected: list[tuple[str, int]] = []
    watermark = 0
    for number, (key, amount, advance) in enumerate(steps):
        harness.feed(payments((key, amount, 0)))
        if amount > 0:
            model.setdefault((amount, key), number)
        else:
            model.pop((-amount, key), None)
        if advance:
            watermark += 1
            harness.watermark(BASE + watermark * SECOND)
            due = sorted((t, n, k) for (t, k), n in model.items() if t <= watermark)
            expected += [(k, t) for t, _, k in due]
            for t, _, k in due:
                del model[t, k]
    assert harness.rows == expected


# -- the context


def test_a_callback_learns_its_time_key_and_place() -> None:
    seen = []

    class Curious(KeyedProcess[Payment, Any]):
        def open(self, ctx: Context) -> None:
            seen.append((ctx.subtask, ctx.parallelism, ctx.watermark))

        def on_row(self, row: Payment, ctx: Context) -> None:
            seen.append((ctx.key, ctx.timestamp, ctx.watermark))
            ctx.logger.debug("seen")

    harness = OperatorHarness(operator(Curious()), subtask=1, parallelism=2)
    harness.feed(payments(("a", 1, 5)))
    harness.watermark(BASE)
    harness.feed(payments(("b", 1, 6), ("a", 1, 7)))
    at = [T0 + timedelta(seconds=s) for s in (5, 6, 7)]
    assert seen == [(1, 2, None), ("a", at[0], None), ("b", at[1], T0), ("a", at[2], T0)]


def test_without_event_time_there_is_no_timestamp() -> None:
    class Stamps(KeyedProcess[Payment, Any]):
        def on_row(self, row: Payment, ctx: Context) -> None:
            ctx.emit(ctx.timestamp)

    harness = OperatorHarness(operator(Stamps()))
    harness.feed(payments(("a", 1, 5), timed=False))
    assert harness.rows == [None]
    assert harness.timestamps == [None]


def test_keys_of_objects_travel_beside_them() -> None:
    from flowjob.plan.types import OBJECT_COLUMN
    from flowjob.runtime.rows import RowCodec

    class Count(KeyedProcess[Any, Any]):
        seen = value_state(int, default=0)

        def on_row(self, row: Any, ctx: Context) -> None:
            self.seen.value += 1
            ctx.emit((row, ctx.key, self.seen.value))

    columns = RowCodec(OBJECTS).columns([{"x": 1}, "two", None])
    full = columns.append_column("__key0", pa.array([1, 2, 1]))
    spec = KeyedProcessSpec(
        input=StreamType(full.schema),
        output=OBJECTS,
        keys=(KeyField("__key0", "key", pa.int64()),),
        function=Count(),
    )
    assert OBJECT_COLUMN in full.schema.names
    harness = OperatorHarness(KeyedProcessOperator(spec))
    harness.feed(Batch(full))
    assert harness.rows == [({"x": 1}, 1, 1), ("two", 2, 1), (None, 1, 2)]


# -- life


def test_two_operators_given_one_function_share_no_state() -> None:
    class Count(KeyedProcess[Payment, Any]):
        seen = value_state(int, default=0)

        def on_row(self, row: Payment, ctx: Context) -> None:
            self.seen.value += 1
            ctx.emit(self.seen.value)

    function = Count()
    first, second = OperatorHarness(operator(function)), OperatorHarness(operator(function))
    for harness in (first, second):
        harness.feed(payments(("a", 1, 0), ("a", 1, 0)))
        assert harness.rows == [1, 2]
    assert "seen" not in vars(function)


def test_open_and_close_are_called_once_around_everything() -> None:
    calls = []

    class Lived(KeyedProcess[Payment, Any]):
        def open(self, ctx: Context) -> None:
            calls.append("open")

        def on_row(self, row: Payment, ctx: Context) -> None:
            calls.append("row")

        def close(self) -> None:
            calls.append("close")

    never = operator(Lived())
    asyncio.run(never.close())
    assert calls == []
    harness = OperatorHarness(operator(Lived()))
    harness.feed(payments(("a", 1, 0)))
    harness.close()
    assert calls == ["open", "row", "close"]


def test_a_key_without_state_and_timers_leaves_nothing_behind() -> None:
    harness = OperatorHarness(operator(Recorder()))
    harness.feed(payments(*[(f"k{i}", 5, 0) for i in range(50)]))
    table = harness.operator._table
    assert len(table) == 50
    harness.watermark(BASE + 10 * SECOND)
    assert len(table) == 0


def test_a_slow_function_pauses_and_still_gives_one_batch() -> None:
    clock = MockClock()

    class Slow(KeyedProcess[Payment, Any]):
        def on_row(self, row: Payment, ctx: Context) -> None:
            clock.set(clock.wall() + 300)
            ctx.emit(row.account)

    slow = operator(Slow())
    harness = OperatorHarness(slow, clock=clock)
    outputs = list(slow.process(payments(*[("a", 1, 0)] * 100), 0))
    assert outputs.count(PAUSE) > 15
    assert [len(o) for o in outputs if o is not PAUSE] == [100]
    assert harness.rows == []


def test_a_kept_emit_still_works_in_the_next_batch() -> None:
    class Keeps(KeyedProcess[Payment, Any]):
        def on_row(self, row: Payment, ctx: Context) -> None:
            self.emit = getattr(self, "emit", ctx.emit)
            self.emit(row.account)

    harness = OperatorHarness(operator(Keeps()))
    harness.feed(payments(("a", 1, 0)))
    harness.feed(payments(("b", 1, 1)))
    assert harness.rows == ["a", "b"]
    assert harness.timestamps == [BASE, BASE + SECOND]


@pytest.mark.parametrize("limit", [1, 7])
def test_output_batches_have_at_most_batch_rows_rows(limit: int) -> None:
    class Many(KeyedProcess[Payment, Any]):
        def on_row(self, row: Payment, ctx: Context) -> None:
            for i in range(int(row.amount)):
                ctx.emit(i)
                ctx.emit_to("log", i)

    harness = OperatorHarness(operator(Many(), log=OBJECTS), batch_rows=limit)
    harness.feed(payments(("a", 10, 1), ("a", 0, 2), ("b", 5, 3)))
    assert harness.rows == [*range(10), *range(5)]
    assert harness.side("log") == harness.rows
    assert harness.timestamps == [BASE + SECOND] * 10 + [BASE + 3 * SECOND] * 5
    assert all(len(getattr(o, "data", o)) <= limit for o in harness.outputs)


# -- mistakes


def failure(function: Any, output: StreamType = OBJECTS, **sides: StreamType) -> RowFailed:
    harness = OperatorHarness(operator(function, output, **sides))
    batch = payments(("a", 1, 0), ("b", 2, 0), ("c", 3, 0))
    with pytest.raises(RowFailed) as caught:
        harness.watermark(BASE + len(harness.feed(batch)) + 100 * SECOND)
    return caught.value


def test_a_failing_row_is_named_with_the_function() -> None:
    class Breaks(KeyedProcess[Payment, Any]):
        def on_row(self, row: Payment, ctx: Context) -> None:
            ctx.emit(1 / (row.amount - 2))

    error = failure(Breaks())
    assert "Breaks.on_row" in error.function
    assert "account='b'" in error.row
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_a_failing_timer_is_named_with_its_key_and_time() -> None:
    class Breaks(Recorder):
        def on_timer(self, at: datetime, ctx: Context) -> None:
            if ctx.key == "b":
                raise ValueError("no")

    error = failure(Breaks())
    assert "Breaks.on_timer" in error.function
    assert error.row == "timer at 2026-01-01T00:00:02+00:00 of key 'b'"


def test_a_timer_without_on_timer_says_what_is_missing() -> None:
    class Forgot(KeyedProcess[Payment, Any]):
        def on_row(self, row: Payment, ctx: Context) -> None:
            ctx.set_timer(row.at)

    assert "Forgot sets timers but has no on_timer" in str(failure(Forgot()).__cause__)


def test_an_emitted_row_of_another_type_names_row_and_both_types() -> None:
    class Wrong(KeyedProcess[Payment, Alert]):
        def on_row(self, row: Payment, ctx: Context) -> None:
            ctx.emit(Alert(row.account, row.amount))
            if row.account == "b":
                ctx.emit("alert!")

    error = failure(Wrong(), Alert.stream_type())
    assert "account='b'" in error.row
    for part in ("Wrong", "Alert", "emitted str: 'alert!'"):
        assert part in str(error.__cause__)


def test_a_side_output_is_typed_and_must_be_declared() -> None:
    class Wrong(KeyedProcess[Payment, Any]):
        def __init__(self, tag: str) -> None:
            self.tag = tag

        def on_row(self, row: Payment, ctx: Context) -> None:
            ctx.emit_to(self.tag, Alert("x", 1) if row.account == "a" else row.account)

    typed = failure(Wrong("log"), log=Alert.stream_type())
    assert "account='b'" in typed.row
    assert "emitted to `log` str: 'b'" in str(typed.__cause__)
    unknown = failure(Wrong("lgo"), log=Alert.stream_type())
    assert "no side output `lgo` (it declares: `log`)" in str(unknown.__cause__)


def test_assigning_to_a_state_instead_of_its_value_is_caught() -> None:
    class Assigns(KeyedProcess[Payment, Any]):
        small = value_state(bool, default=False)

        def on_row(self, row: Payment, ctx: Context) -> None:
            self.small = True  # type: ignore[assignment]

    harness = OperatorHarness(operator(Assigns()))
    with pytest.raises(StateError, match=r"`self.small = True`. Assign to `self.small.value`"):
        harness.feed(payments(("a", 1, 0)))


def test_state_timers_and_emit_in_open_say_that_there_is_no_row_yet() -> None:
    class Early(KeyedProcess[Payment, Any]):
        seen = list_state(int)

        def __init__(self, action: Any) -> None:
            self.action = action

        def open(self, ctx: Context) -> None:
            self.action(self, ctx)

        def on_row(self, row: Payment, ctx: Context) -> None: ...

    for action in (
        lambda self, ctx: self.seen.append(1),
        lambda self, ctx: ctx.set_timer(T0),
        lambda self, ctx: ctx.key,
        lambda self, ctx: ctx.emit(1),
        lambda self, ctx: ctx.emit_to("log", 1),
    ):
        with pytest.raises(StateError):
            OperatorHarness(operator(Early(action), log=OBJECTS))


def test_a_timer_must_be_a_datetime() -> None:
    class Numbers(KeyedProcess[Payment, Any]):
        def on_row(self, row: Payment, ctx: Context) -> None:
            ctx.set_timer(5)  # type: ignore[arg-type]

    assert "must be a datetime, got int: 5" in str(failure(Numbers()).__cause__)
