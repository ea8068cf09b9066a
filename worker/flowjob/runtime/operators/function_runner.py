"""Runs the callbacks of a process function: over rows, and over timers that are due.

What KeyedProcess, KeyedCoProcess, BroadcastProcess and Process have in common: a copy of the user's function bound to
its state, a context, an emission, pauses, and knowing which row failed. It must not know ports or key columns."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from flowjob.core.elements import MAX_TIME, MIN_TIME
from flowjob.errors import StateError
from flowjob.functions import RowFunction
from flowjob.plan.stored_state import INSTANT, TIME
from flowjob.plan.types import StreamType
from flowjob.runtime.batch import Int64s
from flowjob.runtime.checkpoint.sections import Distribution, RestoredState, Section
from flowjob.runtime.instants import datetime_of
from flowjob.runtime.operators.base import PAUSE, Emitted, OperatorContext
from flowjob.runtime.operators.emission import Emission
from flowjob.runtime.operators.failures import RowFailed, WrongResult
from flowjob.runtime.operators.function_context import FunctionContext
from flowjob.runtime.operators.pacing import Pacer
from flowjob.runtime.printing import shown
from flowjob.runtime.state.backend import KeyedTable
from flowjob.runtime.state.broadcast import BroadcastMap

BEFORE_ANY_EVENT = 0
"""The timestamp (µs) of what rows without event time give before any row has brought some: 1970-01-01."""

Callback = Callable[[Any, Any], object]


@dataclass(frozen=True, slots=True)
class Work:
    """Rows for one callback. `rows(start, stop)` converts some of them; `slots` are those of their keys, if any."""

    callback: str
    rows: Callable[[int, int], list[Any]]
    count: int
    times: Int64s | None
    slots: list[int] | None


@dataclass(frozen=True, slots=True)
class RunnerSpec:
    """`shared` are bound states that belong to no key (broadcast). `timed`: whether what is emitted carries
    timestamps; None: as the rows do."""

    function: RowFunction
    output: StreamType
    sides: Mapping[str, StreamType]
    table: KeyedTable | None = None
    shared: Mapping[str, BroadcastMap] | None = None
    timed: bool | None = None


class FunctionRunner:
    """One function in one subtask. The user's object is copied, so that two operators given one share no state."""

    def __init__(self, spec: RunnerSpec, context: OperatorContext) -> None:
        self.function = copy.copy(spec.function)
        self._label = type(spec.function).__qualname__.replace("<locals>.", "")
        self._table = spec.table
        self._shared = spec.shared or {}
        self._bound = {**({} if spec.table is None else spec.table.bound), **self._shared}
        # In the instance's own dict they hide the class's declarations: an access costs no more than an attribute.
        vars(self.function).update(self._bound)
        self._emission = Emission(
            self._label,
            spec.output,
            spec.sides,
            context.batch_rows,
            stamped=spec.timed is not False,
        )
        self._must_stamp = spec.timed is True
        self.context = FunctionContext(context, self._emission, spec.table)
        self._wall = context.env.clock.wall
        self._pacer = Pacer(context.env.clock)
        self._largest = MIN_TIME

    def open(self) -> None:
        """Calls the function's own `open`."""
        self._look_at_clock()
        self.function.open(self.context)
        self.context.start()

    def run(self, work: Work) -> Emitted:
        """Calls the callback for every row, in order; pauses every millisecond."""
        emission, pacer = self._emission, self._pacer
        callback = getattr(self.function, work.callback)
        times = self._times(work)
        start = 0
        pacer.restart()
        while start < work.count:
            stop = min(start + pacer.rows, work.count)
            rows = work.rows(start, stop)
            emission.begin(
                None if times is None else times[start:stop], borrowed=work.times is None
            )
            self._look_at_clock()
            try:
                if work.slots is None:
                    self._each(callback, rows)
                else:
                    self._each_keyed(callback, rows, work.slots[start:stop])
            except BaseException as cause:
                raise self._failed(work.callback, shown(rows[emission.current]), cause) from cause
            emission.settle(self._blame_row(work.callback, rows))
            yield from emission.full()
            if pacer.due(stop - start) and stop < work.count:
                yield PAUSE
                pacer.restart()
            start = stop
        yield from self._finish(work.count)

    def fire_event_timers(self, watermark: int) -> Emitted:
        """Event time has reached `watermark` (µs): calls on_timer for all that are due."""
        self.context.watermark_micros = max(watermark, self.context.watermark_micros)
        if self._table is not None:
            yield from self._fire("on_timer", self._table.timers.due(watermark), None)

    def fire_processing_timers(self, now: int) -> Emitted:
        """Wall time has reached `now` (µs). Their rows are stamped as `_stamp` says."""
        if self._table is not None:
            due = self._table.processing_timers.due(now)
            yield from self._fire("on_processing_timer", due, self._stamp())

    def next_timer(self) -> int | None:
        """The wall time of the earliest processing timer."""
        return None if self._table is None else self._table.processing_timers.next_time()

    @property
    def state_bytes(self) -> int:
        """About how much memory the function's state takes."""
        held = sum(shared.nbytes for shared in self._shared.values())
        return held if self._table is None else held + self._table.nbytes

    def snapshot(self) -> Iterator[Section]:
        """States, timers, and what was seen of event time."""
        keyed = self._table is not None
        if self._table is not None:
            yield from self._table.snapshot()
        for shared in self._shared.values():
            yield shared.snapshot()
        yield Section(
            TIME,
            Distribution.KEYED if keyed else Distribution.UNION,
            _NO_ROWS,
            np.empty(0, np.uint64) if keyed else None,
            {"watermark": self.context.watermark_micros, "largest": self._largest},
        )

    def restore(self, state: RestoredState) -> None:
        """Of several former subtasks the earliest watermark holds: what one of them has not been promised."""
        self._look_at_clock()
        if self._table is not None:
            self._table.restore(state)
        for shared in self._shared.values():
            shared.restore(state)
        seen = [part.meta for part in state.parts(TIME)]
        if seen:
            self.context.watermark_micros = min(m.get("watermark", MIN_TIME) for m in seen)
            self._largest = max(m.get("largest", MIN_TIME) for m in seen)

    def close(self) -> None:
        """Calls the function's own `close`."""
        self.function.close()

    # -- inside

    def _each(self, callback: Callback, rows: list[Any]) -> None:
        out, mark, context = self._emission.out, self._emission.marks.append, self.context
        for row in rows:
            mark(len(out))
            if callback(row, context) is not None:
                raise _returned_a_row()

    def _each_keyed(self, callback: Callback, rows: list[Any], slots: list[int]) -> None:
        assert self._table is not None
        out, mark, context = self._emission.out, self._emission.marks.append, self.context
        scope = self._table.scope
        try:
            for row, slot in zip(rows, slots):
                mark(len(out))
                scope.slot = slot
                if callback(row, context) is not None:
                    raise _returned_a_row()
        finally:
            scope.slot = None

    def _fire(self, name: str, due: Any, stamp: int | None) -> Emitted:
        """`stamp` replaces the timers' own times as timestamps of what they emit."""
        assert self._table is not None
        emission, pacer, scope = self._emission, self._pacer, self._table.scope
        callback, out = getattr(self.function, name), self._emission.out
        fired = 0
        pacer.restart()
        while True:
            times: list[int] = []
            stamps: list[int] = []
            slots: list[int] = []
            emission.begin(stamps if self._timed else None)
            self._look_at_clock()
            try:
                for time, slot in islice(due, pacer.rows):
                    emission.marks.append(len(out))
                    times.append(time)
                    stamps.append(time if stamp is None else stamp)
                    slots.append(slot)
                    scope.slot = slot
                    callback(datetime_of(time), self.context)
            except BaseException as cause:
                raise self._failed(name, self._timer(times[-1], slots[-1]), cause) from cause
            finally:
                scope.slot = None
            emission.settle(self._blame_timer(name, times, slots))
            yield from emission.full()
            fired += len(times)
            if len(times) < pacer.rows:
                break
            if pacer.due(len(times)):
                yield PAUSE
                pacer.restart()
        yield from self._finish(fired)

    def _finish(self, count: int) -> Emitted:
        yield from self._emission.rest()
        if self._table is not None:
            self._table.settle(count + _SWEEP)
        own = vars(self.function)
        for name, bound in self._bound.items():
            if own.get(name) is not bound:
                raise StateError(
                    f"{self._label} assigned to its state: `self.{name} = {shown(own.get(name))}`. "
                    f"Assign to `self.{name}.value`, or use the methods of the state"
                )

    def _look_at_clock(self) -> None:
        if self._table is not None:
            self._table.scope.now = self._wall()

    @property
    def _timed(self) -> bool:
        return self._largest != MIN_TIME

    def _times(self, work: Work) -> Int64s | None:
        """Timestamps for what the rows emit; rows without any (of a second stream) borrow the first stream's."""
        if work.times is None:
            stamp = self._stamp()
            if stamp is None and self._must_stamp:
                stamp = BEFORE_ANY_EVENT
            return None if stamp is None else np.full(work.count, stamp, np.int64)
        if work.count:
            self._largest = max(self._largest, int(work.times.max()))
        return work.times

    def _stamp(self) -> int | None:
        """For rows that come of no event: the latest event time seen, but not late."""
        watermark = self.context.watermark_micros
        if not self._timed or watermark == MAX_TIME:
            return None if not self._timed else self._largest
        return max(self._largest, watermark + 1)

    def _failed(self, callback: str, row: str, cause: BaseException) -> RowFailed:
        return RowFailed(f"`{self._label}.{callback}`", row, cause)

    def _blame_row(self, name: str, rows: list[Any]) -> Callable[[int, WrongResult], Exception]:
        return lambda event, complaint: self._failed(name, shown(rows[event]), complaint)

    def _blame_timer(
        self, name: str, times: list[int], slots: list[int]
    ) -> Callable[[int, WrongResult], Exception]:
        return lambda event, complaint: self._failed(
            name, self._timer(times[event], slots[event]), complaint
        )

    def _timer(self, time: int, slot: int) -> str:
        assert self._table is not None
        return f"timer at {datetime_of(time).isoformat()} of key {shown(self._table.key(slot))}"


def _returned_a_row() -> WrongResult:
    return WrongResult(
        "a callback returned a value, which nobody gets: give rows with `ctx.emit(row)`"
    )


_NO_ROWS = pa.table({"watermark": pa.array([], INSTANT)})

_SWEEP = 64
"""Slots looked at for expired entries after each piece of work, beside one for each of its rows."""
