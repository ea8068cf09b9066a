"""What a snapshot of windows looks like, to whoever reads, writes or refuses it."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flowjob import aggregates as agg
from flowjob import triggers
from flowjob.errors import JobFailed, StateMismatch
from flowjob.kernels.keys import encode_keys
from flowjob.plan.specs import LocalWindowAggregateSpec
from flowjob.plan.types import StreamType
from flowjob.runtime.accumulators.base import PICKLED
from flowjob.runtime.batch import Batch
from flowjob.runtime.checkpoint.sections import Distribution, Part, RestoredState, Rows, Section
from flowjob.runtime.operators.local_window_aggregate import LocalWindowAggregate
from flowjob.runtime.operators.window_aggregate import window_aggregate
from flowjob.triggers import Trigger, TriggerContext, TriggerResult
from flowjob.windows import (
    WindowAssigner,
    count_window,
    global_window,
    session,
    sliding,
    tumbling,
)
from tests.runtime.operators.harness import OperatorHarness, batch
from tests.runtime.operators.windowing import MICRO, schema, spec

COUNT = {"n": agg.count()}
ROWS = [{"k": 1, "v": 5}, {"k": 2, "v": None}, {"k": 1, "v": 3}]


def started(
    assigner: WindowAssigner, trigger: Trigger | None = None, aggregates: Any = COUNT, **more: Any
) -> OperatorHarness:
    return OperatorHarness(window_aggregate(spec(assigner, aggregates, trigger=trigger, **more)))


def fed(harness: OperatorHarness, times: Iterable[int] = (1, 12, 14)) -> OperatorHarness:
    harness.feed(batch(ROWS, schema(pa.int64()), timestamps=list(times)))
    return harness


def sections(harness: OperatorHarness) -> dict[str, Section]:
    return {s.name: s for s in harness.operator.snapshot()}


def at(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def restored(harness: OperatorHarness, taken: dict[str, Section]) -> OperatorHarness:
    parts = {n: [Part(s.table, s.meta, range(128))] for n, s in taken.items()}
    harness.operator.restore(RestoredState(parts))
    return harness


def test_a_window_is_a_row_with_its_key_its_bounds_and_its_aggregates() -> None:
    aggregates = {"n": agg.count(), "s": agg.sum("v"), "hi": agg.max("v"), "l": agg.last("v")}
    harness = fed(started(tumbling(MICRO * 10), aggregates=aggregates))
    harness.watermark(4)
    taken = sections(harness)
    section = taken["windows"]
    assert list(taken) == ["windows"]
    assert section.distribution is Distribution.KEYED
    assert section.table.to_pylist() == [
        {"key.k": 1, "window_start": at(0), "window_end": at(10), "__arrival": 0}
        | {"n": 1, "s": 5, "s.count": 1, "hi": 5, "l": 5, "l.arrival": 0},
        {"key.k": 2, "window_start": at(10), "window_end": at(20), "__arrival": 1}
        | {"n": 1, "s": None, "s.count": 0, "hi": None, "l": None, "l.arrival": None},
        {"key.k": 1, "window_start": at(10), "window_end": at(20), "__arrival": 2}
        | {"n": 1, "s": 3, "s.count": 1, "hi": 3, "l": 3, "l.arrival": 2},
    ]
    want = encode_keys([section.table["key.k"].combine_chunks()]).hashes
    assert section.hashes is not None
    assert section.hashes.tolist() == want.tolist()
    assert section.meta == {"passed": 4, "arrived": 3, "early_at": None, "shape": [10, 10, 0]}


@pytest.mark.parametrize(
    ("assigner", "trigger", "want"),
    [
        (tumbling(MICRO * 10), None, {"windows": 3}),
        (sliding(MICRO * 20, MICRO * 10), None, {"panes": 3}),
        (session(gap=MICRO * 5), None, {"sessions": 3}),
        (count_window(4, 2), None, {"keys": 2, "panes": 2}),
        (count_window(3), None, {"windows": 2}),
        (global_window(), triggers.count(5), {"windows": 2}),
        (sliding(MICRO * 20, MICRO * 10), triggers.count(5), {"windows": 5}),
        (session(gap=MICRO * 5), triggers.count(5), {"windows": 3}),
    ],
    ids=str,
)
def test_each_way_of_keeping_windows_has_its_sections(
    assigner: Any, trigger: Any, want: dict[str, int]
) -> None:
    harness = fed(started(assigner, trigger))
    taken = sections(harness)
    assert {name: s.table.num_rows for name, s in taken.items()} == want
    assert harness.operator.state_bytes > 0
    for section in taken.values():
        assert section.table.schema.names[0] == "key.k"
        assert section.meta["passed"] == -(2**63)


@pytest.mark.parametrize(
    ("assigner", "trigger"),
    [
        (tumbling(MICRO * 10), None),
        (sliding(MICRO * 20, MICRO * 10), triggers.count(2)),
        (session(gap=MICRO * 5), None),
        (session(gap=MICRO * 5), triggers.count(2)),
    ],
    ids=str,
)
def test_what_has_fired_and_gone_is_in_no_snapshot_and_does_not_come_again(
    assigner: Any, trigger: Any
) -> None:
    harness = fed(started(assigner, trigger))
    harness.watermark(1000)
    taken = sections(harness)
    assert [s.table.num_rows for s in taken.values()] == [0] * len(taken)
    again = restored(started(assigner, trigger), taken)
    fed(again)
    assert len(again.side("late")) == 3
    assert again.rows == []


def test_windows_without_a_key_are_all_of_one_key_group() -> None:
    (section,) = sections(fed(started(tumbling(MICRO * 10), key=None))).values()
    assert section.hashes is not None
    assert len(set(section.hashes.tolist())) == 1
    assert section.table.column_names[0] == "window_start"


def test_a_snapshot_written_by_hand_needs_no_hidden_columns_and_no_meta() -> None:
    table = pa.table(
        {
            "key.k": pa.array([7, 8], pa.int32()),
            "window_start": pa.array([at(0), at(10)]),
            "window_end": pa.array([at(10), at(20)]),
            "n": pa.array([100, 200], pa.int64()),
        }
    )
    harness = started(tumbling(MICRO * 10))
    harness.operator.restore(RestoredState({"windows": [Part(table, {}, range(128))]}))
    fed(harness)
    harness.end()
    assert [(row["k"], row["n"]) for row in harness.rows] == [
        (7, 100),
        (1, 1),
        (8, 200),
        (2, 1),
        (1, 1),
    ]


def test_large_contents_are_made_columns_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    aggregates = {"c": agg.collect("v"), "n": agg.count()}
    harness = started(tumbling(MICRO * 10), aggregates=aggregates)
    rows = [{"k": i % 50, "v": i} for i in range(500)]
    harness.feed(batch(rows, schema(pa.int64()), timestamps=[1] * 500))
    windows = sections(harness)["windows"]
    whole = windows.table
    monkeypatch.setattr("flowjob.runtime.checkpoint.sections.MADE_AT_ONCE", 7)
    assert windows.table.column("c").num_chunks > 5
    assert windows.table.equals(whole)
    again = restored(started(tumbling(MICRO * 10), aggregates=aggregates), {"windows": windows})
    again.end()
    harness.end()
    assert again.rows == harness.rows


@pytest.mark.parametrize("times", [(1, 2, 3), (1, 12, 14), (1, 500, 900)], ids=str)
def test_windows_are_made_rows_in_whatever_order_they_are_asked_for(times: tuple[int, ...]) -> None:
    taken = sections(fed(started(tumbling(MICRO * 10)), times))["windows"]
    assert isinstance(taken.rows, Rows)
    backwards = np.arange(taken.rows.count)[::-1]
    for numbers in (backwards, backwards[::2], backwards[:0]):
        expected = taken.table.take(pa.array(numbers))
        assert taken.rows.take(numbers).to_pylist() == expected.to_pylist()


@pytest.mark.parametrize(
    "assigner",
    [tumbling(MICRO * 100), sliding(MICRO * 200, MICRO * 200), session(gap=MICRO * 50)],
    ids=str,
)
def test_windows_fired_early_know_after_a_restore_what_has_changed_since(assigner: Any) -> None:
    declared = assigner, triggers.early(every=timedelta(seconds=1))
    harness = fed(started(*declared))
    harness.advance(harness.clock.wall() + 1_000_000)
    assert len(harness.rows) == 2
    harness.feed(batch([{"k": 2, "v": 1}], schema(pa.int64()), timestamps=[3]))
    again = restored(started(*declared), sections(harness))
    again.advance(harness.clock.wall() + 2_000_000)
    assert [(row["k"], row["n"]) for row in again.rows] == [(2, 2)]


def test_another_trigger_may_go_on_with_the_same_windows() -> None:
    harness = fed(started(tumbling(MICRO * 10)))
    again = restored(started(tumbling(MICRO * 10), triggers.early(every=MICRO)), sections(harness))
    again.end()
    harness.end()
    assert again.rows == harness.rows


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ((tumbling(MICRO * 10),), (tumbling(MICRO * 20),), "another size, slide or offset"),
        ((tumbling(MICRO * 10),), (tumbling(MICRO * 10, MICRO),), "another size, slide or offset"),
        ((tumbling(MICRO * 10),), (sliding(MICRO * 20, MICRO * 10),), "as windows, the job as panes"),
        ((session(gap=MICRO),), (session(gap=MICRO), triggers.count(2)), "as sessions, the job as windows"),
        ((count_window(4, 2),), (count_window(6, 2),), "another size, slide or offset"),
        (
            (sliding(MICRO * 20, MICRO * 10),),
            (sliding(MICRO * 30, MICRO * 10),),
            "another size, slide or offset",
        ),
        ((tumbling(MICRO * 10),), (tumbling(MICRO * 10), triggers.count(2)), "no column `rows_so_far`"),
        (
            (tumbling(MICRO * 10),),
            (tumbling(MICRO * 10), None, {"n": agg.count(), "s": agg.sum("v")}),
            "no column `s` of the windows' state; it has key.k, window_start",
        ),
        (
            (tumbling(MICRO * 10), None, {"n": agg.max("v")}),
            (tumbling(MICRO * 10), None, {"n": agg.collect("v")}),
            "`n` of the windows' state has type int64",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_the_reason(
    before: Any, after: Any, complaint: str
) -> None:
    taken = sections(fed(started(*before)))
    with pytest.raises(StateMismatch, match=complaint):
        restored(started(*after), taken)


def test_a_snapshot_without_the_operator_restores_nothing() -> None:
    harness = started(tumbling(MICRO * 10))
    harness.operator.restore(RestoredState({}))
    fed(harness)
    harness.end()
    assert len(harness.rows) == 3


class Remembering(Trigger):
    def __init__(self, memory: Any) -> None:
        self.memory = memory

    def on_row(self, row: Any, at: int, ctx: TriggerContext) -> TriggerResult:
        ctx.state["memory"] = self.memory
        ctx.set_event_timer(99)
        return triggers.CONTINUE

    def __str__(self) -> str:
        return "remembering"


def test_a_triggers_memory_and_timers_are_columns() -> None:
    harness = fed(started(global_window(), Remembering({"x": 1})))
    (section,) = sections(harness).values()
    table = section.table
    assert table.schema.field("trigger_state").metadata == PICKLED
    assert [pickle.loads(s) for s in table["trigger_state"].to_pylist()] == [
        {"memory": {"x": 1}}
    ] * 2
    assert table["event_timers"].to_pylist() == [[at(99)]] * 2
    assert table["processing_timers"].to_pylist() == [[]] * 2
    assert table["window_start"].null_count == 2
    assert table["rows_so_far"].to_pylist() == [2, 1]


def test_a_triggers_memory_that_cannot_be_pickled_is_named() -> None:
    harness = fed(started(global_window(), Remembering(i for i in range(3))))
    with pytest.raises(
        JobFailed, match=r"trigger remembering keeps in `ctx.state` cannot be pickled"
    ):
        sections(harness)


def test_what_senders_aggregate_is_flushed_before_a_snapshot_and_has_no_state() -> None:
    declared = spec(tumbling(MICRO * 10), COUNT)
    out = pa.schema([("k", pa.int64()), ("__pane", pa.int64()), ("__p0", pa.int64())])
    harness = OperatorHarness(
        LocalWindowAggregate(
            LocalWindowAggregateSpec(
                input=declared.input,
                output=StreamType(out),
                keys=declared.keys,
                assigner=declared.assigner,
                calls=declared.calls,
            )
        )
    )
    fed(harness)
    with pytest.raises(AssertionError, match="flush before a snapshot"):
        list(harness.operator.snapshot())
    assert sum(len(b) for b in harness.flush() if isinstance(b, Batch)) == 3
    assert list(harness.operator.snapshot()) == []
    assert harness.operator.state_bytes == 0
