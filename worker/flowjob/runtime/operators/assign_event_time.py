"""with_event_time: timestamps from a column and watermarks of its own, in mid-stream.

What came before about time is forgotten, but for its end: watermarks from upstream belong to other timestamps. They are
bounded by disorder as a source's are; idleness is passed on as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pyarrow as pa

from flowjob.core.elements import MAX_TIME, MIN_TIME, Watermark
from flowjob.plan.specs import AssignEventTimeSpec
from flowjob.runtime.batch import Batch, Data
from flowjob.runtime.checkpoint.sections import Distribution, RestoredState, Section
from flowjob.runtime.event_times import timestamps_of
from flowjob.runtime.operators.base import Emitted, Form, Operator, OperatorContext
from flowjob.runtime.operators.failures import RowFailed
from flowjob.runtime.printing import shown
from flowjob.watermarks import micros

EVENT_TIME = "event-time"
"""The section: no rows; the largest timestamp in its meta."""

_NO_ROWS = pa.table({"largest": pa.array([], pa.timestamp("us", tz="UTC"))})


class AssignEventTime(Operator):
    """The watermark is the largest timestamp - max_delay - 1 µs: one as large as it may still follow."""

    takes = Form.COLUMNS
    gives = Form.COLUMNS
    makes_watermarks = True

    def __init__(self, spec: AssignEventTimeSpec) -> None:
        if spec.event_time.column is None:
            raise ValueError("event time in mid-stream needs a column")
        self._column: str = spec.event_time.column
        self._shown = spec.input.columns
        self._behind = micros(spec.event_time.max_delay) + 1
        self._every = spec.event_time.watermark_every
        self._since = 0  # rows since the last position where a watermark is due
        self._largest = MIN_TIME
        self._watermark = MIN_TIME

    def open(self, context: OperatorContext) -> None:
        self._place = (context.subtask, context.parallelism)

    def process(self, data: Data, port: int) -> Emitted:
        batch = cast(Batch, data)
        times, nulls = timestamps_of(batch.columns.column(self._column))
        if nulls is not None:
            row = batch.columns.slice(int(nulls.argmax()), 1).to_pylist()[0]
            row = {name: row[name] for name in self._shown}
            missing = ValueError(
                f"event time `{self._column}` is null: filter such rows out before with_event_time, or give them a time"
            )
            raise RowFailed("with_event_time", shown(row), missing)
        stamped = Batch(batch.columns, times, batch.kinds)
        start = 0
        while start < len(stamped):
            left = len(stamped) - start
            length = left if self._every is None else min(left, self._every - self._since)
            piece = stamped.slice(start, length)
            yield piece
            start += length
            self._since += length
            if self._every is None or self._since == self._every:
                self._since = 0
            largest = int(times[start - length : start].max())
            self._largest = max(self._largest, largest)
            if self._since == 0:
                yield from self._advance()

    def on_watermark(self, watermark: int) -> Emitted:
        if watermark == MAX_TIME:
            self._watermark = MAX_TIME
            yield Watermark(MAX_TIME)

    def snapshot(self) -> Iterator[Section]:
        subtask, parallelism = self._place
        meta = {
            "largest": self._largest,
            "rows": self._since,
            "subtask": subtask,
            "parallelism": parallelism,
        }
        yield Section(EVENT_TIME, Distribution.UNION, _NO_ROWS, meta=meta)

    def restore(self, state: RestoredState) -> None:
        """Splits are dealt anew, so only what all subtasks had seen has been seen of each: the least of them, which is
        what the next operators' watermark was made of."""
        seen = [part.meta for part in state.parts(EVENT_TIME)]
        if seen:
            self._largest = min(int(meta["largest"]) for meta in seen)
        for meta in seen:
            if (meta["subtask"], meta["parallelism"]) == self._place and self._every is not None:
                self._since = int(meta["rows"]) % self._every

    def _advance(self) -> Emitted:
        time = max(MIN_TIME, self._largest - self._behind)
        if time > self._watermark:
            self._watermark = time
            yield Watermark(time)
