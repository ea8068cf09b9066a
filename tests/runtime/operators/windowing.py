"""Builds window operators over a small schema and runs event lists through them, for comparison
with the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from flowjob import aggregates as agg
from flowjob.plan.specs import AggregateCall, WindowAggregateSpec
from flowjob.plan.types import KeyField, StreamType
from flowjob.runtime.operators.window_aggregate import window_aggregate
from flowjob.triggers import Trigger
from flowjob.windows import WindowAssigner, window_fields
from tests.reference_model import Event, canonical
from tests.runtime.operators.harness import OperatorHarness, batch

MICRO = timedelta(microseconds=1)
SECOND = 1_000_000
INT64 = pa.int64()

KEY_TYPES: dict[str, tuple[pa.DataType, Sequence[Any]]] = {
    "ints": (pa.int64(), [None, -1, 0, 1, 2**62]),
    "strings": (pa.string(), [None, "", "a", "é", "日本", "a\x00"]),
    "floats": (pa.float64(), [math.nan, -0.0, 0.0, 1.5, None]),
    "decimals": (pa.decimal128(10, 2), [Decimal("1.00"), Decimal("-2.50"), None]),
    "bools": (pa.bool_(), [True, False, None]),
}


def schema(key: pa.DataType, value: pa.DataType = INT64) -> pa.Schema:
    return pa.schema([("k", key), ("v", value)])


def spec(
    assigner: WindowAssigner,
    aggregates: dict[str, agg.Aggregation],
    *,
    key: pa.DataType | None = INT64,
    value: pa.DataType = INT64,
    trigger: Trigger | None = None,
    lateness: int = 0,
) -> WindowAggregateSpec:
    """A window over columns k and v; `key=None` for a non-keyed one."""
    given = schema(key or pa.int64(), value)
    calls = tuple(
        AggregateCall(n, a, tuple(str(i) for i in a.inputs)) for n, a in aggregates.items()
    )
    keys = () if key is None else (KeyField("k", "k", key),)
    results = [
        pa.field(c.name, c.aggregate.result_type([given.field(i).type for i in c.inputs]))
        for c in calls
    ]
    fields = [pa.field(k.name, k.type) for k in keys] + [*window_fields(), *results]
    return WindowAggregateSpec(
        input=StreamType(given),
        output=StreamType(pa.schema(fields)),
        keys=keys,
        assigner=assigner,
        trigger=trigger,
        allowed_lateness=MICRO * lateness,
        calls=calls,
    )


def run(
    declared: WindowAggregateSpec,
    events: Sequence[Event],
    *,
    batch_size: int | None,
    harness: OperatorHarness | None = None,
) -> OperatorHarness:
    """Feeds the events, rows in batches of at most `batch_size` that never cross a watermark."""
    harness = harness or OperatorHarness(window_aggregate(declared))
    rows: list[Event] = []

    def flush() -> None:
        size = batch_size or max(len(rows), 1)
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            columns = pa.RecordBatch.from_arrays(
                [
                    pa.array([r[1] for r in some], declared.input.schema.field("k").type),
                    pa.array([r[3] for r in some], declared.input.schema.field("v").type),
                ],
                schema=declared.input.schema,
            )
            harness.feed(batch(columns, timestamps=[r[2] for r in some]))
        rows.clear()

    for event in events:
        if event[0] == "row":
            rows.append(event)
        else:
            flush()
            harness.watermark(event[1])
    flush()
    return harness


def fired(harness: OperatorHarness, *columns: str) -> list[tuple[Any, int, int, Any]]:
    """(canonical key, start, end, values) per result row, in order."""
    found = []
    for row in harness.rows:
        start, end = (_micros(row[name]) for name in ("window_start", "window_end"))
        found.append((canonical(row.get("k")), start, end, tuple(row[c] for c in columns)))
    return found


def _micros(value: Any) -> Any:
    return None if value is None else int(pa.scalar(value, pa.timestamp("us", tz="UTC")).value)


@st.composite
def event_lists(
    draw: st.DrawFn, keys: Sequence[Any], values: st.SearchStrategy[Any]
) -> list[Event]:
    """Rows with disorder, and watermarks that make some of them late."""
    row = st.tuples(st.just("row"), st.sampled_from(keys), st.integers(-30, 120), values)
    mark = st.tuples(st.just("watermark"), st.integers(-40, 130))
    return draw(st.lists(st.one_of(row, row, row, mark), max_size=40))
