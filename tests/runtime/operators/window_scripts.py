"""Windows of every kind, and scripts of rows, time and rescaling to run them through.

Shared by the tests of windows in snapshots; it must not know what is asserted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from flowjob import aggregates as agg
from flowjob import triggers
from flowjob.plan.specs import AggregateCall, WindowAggregateSpec
from flowjob.plan.types import KeyField, StreamType
from flowjob.runtime.batch import Batch
from flowjob.triggers import Trigger, TriggerContext, TriggerResult
from flowjob.windows import (
    WindowAssigner,
    count_window,
    global_window,
    session,
    sliding,
    tumbling,
    window_fields,
)
from tests.runtime.accumulators.test_accumulators import Median
from tests.runtime.operators.rescaling import (
    End,
    EventTime,
    Feed,
    Rescale,
    Step,
    WallTime,
)

MICRO = timedelta(microseconds=1)
VALUES = [None, -3, 0, 5, 7]
KEYS: dict[str, tuple[list[pa.DataType], Sequence[tuple[Any, ...]]]] = {
    "ints": ([pa.int64()], [(None,), (-1,), (0,), (1,), (2**62,), (7,), (8,)]),
    "strings": ([pa.string()], [(None,), ("",), ("a",), ("é",), ("日本",), ("a\x00",)]),
    "floats": ([pa.float64()], [(math.nan,), (-0.0,), (1.5,), (None,), (-math.inf,)]),
    "two": (
        [pa.string(), pa.float64()],
        [("a", None), (None, 1.0), (None, None), ("", math.nan), ("é", -0.0)],
    ),
    "none": ([], [()]),
}
AGGREGATES: dict[str, dict[str, agg.Aggregation]] = {
    "numbers": {
        "n": agg.count(),
        "s": agg.sum("v"),
        "s.count": agg.count("v"),
        "hi": agg.max("v"),
    },
    "order": {"f": agg.first("v"), "l": agg.last("v"), "b": agg.min_by("v", "w")},
    "many": {"d": agg.count_distinct("w"), "c": agg.collect("v"), "lo": agg.min("w")},
    "user": {"m": Median("v")},
}


class Spread(Trigger):
    """Fires when the values of a window have spread; looks again some time after each row."""

    def on_row(self, row: Any, at: int, ctx: TriggerContext) -> TriggerResult:
        low, high = ctx.state.get("range", (row.v, row.v))
        if row.v is not None:
            low = row.v if low is None else min(low, row.v)
            high = row.v if high is None else max(high, row.v)
        ctx.state["range"] = low, high
        ctx.set_event_timer(at + 9)
        ctx.set_processing_timer(ctx.now + 20)
        return triggers.FIRE if low is not None and high - low > 7 else triggers.CONTINUE

    def on_event_time(self, at: int, ctx: TriggerContext) -> TriggerResult:
        return triggers.FIRE

    def on_processing_time(self, at: int, ctx: TriggerContext) -> TriggerResult:
        return triggers.FIRE_AND_PURGE

    def on_merge(self, ctx: TriggerContext, merged: list[dict[str, Any]]) -> TriggerResult:
        ctx.set_event_timer(ctx.window_end - 1)
        return triggers.CONTINUE


@dataclass(frozen=True)
class Kind:
    """A sort of window; `late`: what lateness may be tried with it."""

    assigner: WindowAssigner
    trigger: Trigger | None = None
    late: Sequence[int] = field(default=(0, 25))


def wall(assigner: Callable[..., WindowAssigner], *args: Any, **kwargs: Any) -> WindowAssigner:
    return assigner(*args, **kwargs, time="processing")


KINDS = {
    "tumbling": Kind(tumbling(MICRO * 10, MICRO * 3)),
    "tumbling, early": Kind(tumbling(MICRO * 10), triggers.early(every=MICRO * 10)),
    "tumbling, by the wall clock": Kind(wall(tumbling, MICRO * 25), None, (0,)),
    "sliding": Kind(sliding(MICRO * 20, MICRO * 5)),
    "sliding, uneven": Kind(sliding(MICRO * 15, MICRO * 10)),
    "sliding, with gaps": Kind(sliding(MICRO * 5, MICRO * 8)),
    "sliding, early": Kind(sliding(MICRO * 20, MICRO * 10), triggers.early(every=MICRO * 10)),
    "sliding, by the wall clock": Kind(wall(sliding, MICRO * 30, MICRO * 10), None, (0,)),
    "sessions": Kind(session(gap=MICRO * 10)),
    "sessions, early": Kind(session(gap=MICRO * 10), triggers.early(every=MICRO * 10)),
    "sessions, by the wall clock": Kind(wall(session, gap=MICRO * 20), None, (0,)),
    "sessions, counted": Kind(session(gap=MICRO * 10), triggers.count(2)),
    "counts": Kind(count_window(3), None, (0,)),
    "counts, sliding": Kind(count_window(4, 2), None, (0,)),
    "counts, with gaps": Kind(count_window(2, 3), None, (0,)),
    "global, counted": Kind(global_window(), triggers.count(3), (0,)),
    "global, early": Kind(global_window(), triggers.early(every=MICRO * 10), (0,)),
    "global, continuous": Kind(global_window(), triggers.continuous(MICRO * 10), (0,)),
    "sliding, counted": Kind(sliding(MICRO * 20, MICRO * 10), triggers.count(2)),
    "tumbling, counted and purging": Kind(
        tumbling(MICRO * 20), triggers.purging(triggers.count(3))
    ),
    "tumbling, continuous": Kind(tumbling(MICRO * 30), triggers.continuous(MICRO * 7)),
    "tumbling, continuous by the wall clock": Kind(
        tumbling(MICRO * 30), triggers.continuous(MICRO * 10, time="processing")
    ),
    "tumbling, custom": Kind(tumbling(MICRO * 20), Spread()),
    "sessions, custom": Kind(session(gap=MICRO * 10), Spread()),
    "global, custom": Kind(global_window(), Spread(), (0,)),
    "tumbling by the wall clock, custom": Kind(wall(tumbling, MICRO * 40), Spread(), (0,)),
}


def key_names(keys: str) -> list[str]:
    return [f"k{i}" for i in range(len(KEYS[keys][0]))]


def schema(keys: str) -> pa.Schema:
    key = [pa.field(n, t) for n, t in zip(key_names(keys), KEYS[keys][0])]
    return pa.schema([*key, ("v", pa.int64()), ("w", pa.string())])


def declared(kind: Kind, keys: str, aggregates: str, lateness: int) -> WindowAggregateSpec:
    given = schema(keys)
    calls = tuple(
        AggregateCall(n, a, tuple(str(i) for i in a.inputs))
        for n, a in AGGREGATES[aggregates].items()
    )
    results = [
        pa.field(c.name, c.aggregate.result_type([given.field(i).type for i in c.inputs]))
        for c in calls
    ]
    fields = [given.field(n) for n in key_names(keys)]
    return WindowAggregateSpec(
        input=StreamType(given),
        output=StreamType(pa.schema([*fields, *window_fields(), *results])),
        keys=tuple(KeyField(n, n, given.field(n).type) for n in key_names(keys)),
        assigner=kind.assigner,
        trigger=kind.trigger,
        allowed_lateness=MICRO * lateness,
        calls=calls,
    )


def rows(keys: str, some: Sequence[tuple[tuple[Any, ...], int, Any, Any]]) -> Feed:
    given = schema(keys)
    columns = [*zip(*(r[0] for r in some)), [r[2] for r in some], [r[3] for r in some]]
    arrays = [pa.array(list(c), f.type) for c, f in zip(columns, given)]
    data = Batch(
        pa.RecordBatch.from_arrays(arrays, schema=given), np.array([r[1] for r in some], np.int64)
    )
    return Feed(data, keys=key_names(keys))


@st.composite
def scripts(draw: st.DrawFn, keys: str, widths: Sequence[int]) -> list[Step]:
    """Rows, time and rescaling in any order."""
    row = st.tuples(
        st.sampled_from(KEYS[keys][1]),
        st.integers(-20, 90),
        st.sampled_from(VALUES),
        st.sampled_from([None, "x", "y"]),
    )
    step = st.one_of(
        st.lists(row, min_size=1, max_size=8).map(lambda some: rows(keys, some)),
        st.lists(row, min_size=1, max_size=8).map(lambda some: rows(keys, some)),
        st.integers(-30, 100).map(EventTime),
        st.integers(1, 30).map(WallTime),
        st.sampled_from(widths).map(Rescale),
    )
    time = -(2**62)
    found: list[Step] = []
    for each in [*draw(st.lists(step, max_size=14)), draw(st.sampled_from(widths).map(Rescale))]:
        if isinstance(each, EventTime):
            if each.watermark <= time:
                continue
            time = each.watermark
        found.append(each)
    last = draw(st.lists(step.filter(lambda s: isinstance(s, Feed)), max_size=2))
    return [*found, *last, End()]


def key_of(keys: str) -> Callable[[Any], Any]:
    return lambda row: tuple(repr(row[name]) for name in key_names(keys))
