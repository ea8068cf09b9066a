"""What all window operators share: reading keys and inputs, the two clocks, late rows, and
emission.

A subclass says what joins which window and what fires. Whether a row is late, and when a window is
due, is judged against `now_passed`: the watermark, or the microsecond before the wall clock for
processing-time windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from flowjob.aggregates import plain
from flowjob.core.elements import MIN_TIME
from flowjob.plan.specs import WindowAggregateSpec, WindowApplySpec
from flowjob.plan.types import HIDDEN_PREFIX, OBJECT_COLUMN, KeyField
from flowjob.runtime.batch import Batch, Int64s
from flowjob.runtime.checkpoint.sections import RestoredState, Section
from flowjob.runtime.operators.base import Emitted, Form, Operator, OperatorContext, Output, Side
from flowjob.runtime.operators.window_contents import Contents, decoded
from flowjob.runtime.operators.window_results import Firing, Results
from flowjob.watermarks import micros
from flowjob.windows import TimeDomain

LATE = "late"
MAX_FIRING = 2**63 - 1

WindowSpec = WindowAggregateSpec | WindowApplySpec


@dataclass(frozen=True, slots=True)
class WindowParts:
    """A window operator's declaration, resolved: what is kept per window and how it comes out."""

    keys: tuple[KeyField, ...]
    contents: Contents
    results: Results
    gives: Form
    lateness: int
    domain: TimeDomain
    partials: bool = False
    early: int = 0
    """µs of wall time between early firings; 0: none."""


class WindowOperator(Operator):
    """Base of the window operators. Snapshots and restores them: windows.py."""

    sections: tuple[str, ...]
    """The sections of its snapshots, each with `meta`."""

    shape: Sequence[int] = ()
    """What windows must have in common to go on with those of a snapshot: size, slide, …"""

    def __init__(self, parts: WindowParts) -> None:
        self.parts = parts
        self.gives = parts.gives

    def open(self, context: OperatorContext) -> None:
        self.context = context
        self.passed = MIN_TIME
        """Time up to and including which everything due has fired."""
        self._arrived = 0
        self._flushed = self.passed + 1
        self._early_at: int | None = None

    # -- time -------------------------------------------------------------------------------------

    @property
    def event_time(self) -> bool:
        return self.parts.domain is TimeDomain.EVENT

    def on_watermark(self, watermark: int) -> Emitted:
        if self.event_time and watermark > self.passed:
            yield from self.advance(watermark)

    def next_timer(self) -> int | None:
        over = None if self.event_time else self.next_end()
        waits = [at for at in (over, self._early_at) if at is not None]
        return min(waits, default=None)

    def on_time(self, now: int) -> Emitted:
        while (at := self._early_at) is not None and at <= now:
            self._early_at = None
            yield from self.before_early(at)
            yield from self.fire_early(at)
        if not self.event_time and now - 1 > self.passed:
            yield from self.advance(now - 1)

    def on_end(self) -> Emitted:
        # A bounded input must not lose the windows that the wall clock has not closed yet.
        if not self.event_time:
            yield from self.advance(MAX_FIRING)

    def flush(self) -> Emitted:
        # What a snapshot says of the clock: a frozen copy of the process would see a later time.
        if not self.event_time:
            self._flushed = self.context.env.clock.wall()
        yield from ()

    def next_end(self) -> int | None:
        """When the next window ends that has not fired (asked of processing-time windows only)."""
        return None

    def before_early(self, at: int) -> Emitted:
        """Windows that end by `at` come before those that fire early then."""
        if not self.event_time and at - 1 > self.passed:
            yield from self.advance(at - 1)

    def fire_early(self, at: int) -> Emitted:
        """Wall time `at`: fires the windows that rows have joined since they last fired, in order
        of their ends and then of their first rows."""
        yield from ()

    def expect_early(self) -> None:
        """Rows have joined windows: there is something to show at the next multiple of `early`."""
        if self.parts.early and self._early_at is None:
            self.expect_early_after(self.context.env.clock.wall())

    def expect_early_after(self, now: int) -> None:
        self._early_at = now - now % self.parts.early + self.parts.early

    def advance(self, passed: int) -> Emitted:
        """Fires what is due when `passed` is over, drops what has expired; sets `self.passed`."""
        raise NotImplementedError

    # -- rows -------------------------------------------------------------------------------------

    def times_of(self, batch: Batch) -> Int64s:
        """The time of each row that decides its window."""
        if self.event_time:
            assert batch.timestamps is not None, "the planner requires event time"
            return batch.timestamps
        now = max(self.context.env.clock.wall(), self.passed + 1)
        return np.full(len(batch), now, np.int64)

    def arrivals(self, rows: int) -> Int64s:
        """The next arrival numbers."""
        first = self._arrived
        self._arrived += rows
        return np.arange(first, first + rows, dtype=np.int64)

    def arrived(self, arrivals: Int64s) -> None:
        """Rows of a snapshot have these arrival numbers: later ones are greater."""
        self._arrived = max(self._arrived, int(arrivals.max(initial=-1)) + 1)

    def key_columns(self, batch: pa.RecordBatch) -> list[pa.Array]:
        return [decoded(batch.column(key.column)) for key in self.parts.keys]

    def late(self, batch: Batch, rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Emitted:
        """Sends the rows where `rows` is true to the side output of late ones."""
        count = int(np.count_nonzero(rows))
        self.context.metrics.late_rows += count
        if not self.parts.partials:
            yield Side(LATE, visible(batch.filter(rows)))

    # -- snapshots --------------------------------------------------------------------------------

    def take_snapshot(self) -> Iterable[Section]:
        """All sections, also those without rows."""
        raise NotImplementedError

    def adopt(self, state: RestoredState, meta: Mapping[str, Any]) -> None:
        """Takes over windows, after `open` and before any data. `meta` holds for all of them."""
        raise NotImplementedError

    @property
    def meta(self) -> dict[str, Any]:
        """What holds for all windows of this subtask."""
        found = {
            "passed": self.passed,
            "arrived": self._arrived,
            "early_at": self._early_at,
            "shape": list(self.shape),
        }
        if not self.event_time:
            # An idle subtask takes no notice of the clock: it has come as far as nothing is due. A busy one may have
            # come to the barrier before it came to a window that was over: that has not fired.
            found["due"] = due = self.next_end()
            now = self._flushed if due is None else min(self._flushed, due - 1)
            found["passed"] = max(self.passed, now - 1)
        return found

    def adopt_meta(self, meta: Mapping[str, Any]) -> None:
        """The part of `adopt` that is not about windows. `passed` is for the subclass to set."""
        self._arrived = max(self._arrived, meta.get("arrived", 0))
        self._early_at = meta.get("early_at")

    # -- results ----------------------------------------------------------------------------------

    def emit(self, firing: Firing) -> Iterator[Output]:
        if len(firing.slots):
            yield from self.parts.results.emit(firing, self.context.batch_rows)


def visible(batch: Batch) -> Batch:
    """The batch without hidden columns (but with the one that carries objects)."""
    names = batch.columns.schema.names
    kept = [n for n in names if not n.startswith(HIDDEN_PREFIX) or n == OBJECT_COLUMN]
    if len(kept) == len(names):
        return batch
    return batch.with_columns(batch.columns.select(kept))


def key_types(keys: Sequence[KeyField]) -> list[pa.DataType]:
    """The types in which key values are kept."""
    return [plain(key.type) for key in keys]


def lateness_of(spec: WindowSpec) -> int:
    """µs a window stays after its end; nothing is late by the wall clock."""
    return micros(spec.allowed_lateness) if spec.assigner.time is TimeDomain.EVENT else 0
