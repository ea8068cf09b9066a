"""Any assigner with any trigger, one row at a time: the general operator behind custom and rarer
triggers.

Decisions are made per row in Python; what the windows hold is still kept in columns, and updates
are put off until a result is asked for. Explain says when a window runs this way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from flowjob.core.elements import MAX_TIME
from flowjob.plan.types import StreamType
from flowjob.runtime.batch import Batch, Data
from flowjob.runtime.checkpoint.sections import RestoredState, Section
from flowjob.runtime.operators import row_wise_state
from flowjob.runtime.operators.base import Emitted, OperatorContext
from flowjob.runtime.operators.firing_log import FiringLog
from flowjob.runtime.operators.key_store import KeyStore
from flowjob.runtime.operators.trigger_context import BoundContext
from flowjob.runtime.operators.window_base import WindowOperator, WindowParts, key_types
from flowjob.runtime.operators.window_contents import Inputs, take_inputs
from flowjob.runtime.operators.window_state import WINDOWS, Reading
from flowjob.runtime.operators.window_timers import LiveWindow, TimerQueue
from flowjob.runtime.rows import RowCodec
from flowjob.triggers import FIRE, PURGE, CountTrigger, PurgingTrigger, Trigger, TriggerResult
from flowjob.windows import Span, WindowAssigner

_WINDOW_BYTES = 512
"""About what the objects of a window take."""


class RowWiseWindows(WindowOperator):
    """`windows[key slot]` are the live windows of a key, by span."""

    def __init__(
        self, parts: WindowParts, assigner: WindowAssigner, trigger: Trigger, input: StreamType
    ) -> None:
        super().__init__(parts)
        self.assigner = assigner
        self.trigger = trigger
        self.sections = (WINDOWS,)
        self._codec = RowCodec(input) if trigger.row_wise else None

    def open(self, context: OperatorContext) -> None:
        super().open(context)
        self.watermark = self.passed
        self.keys = KeyStore(key_types(self.parts.keys))
        self.contents = self.parts.contents.fresh()
        self.windows: dict[int, dict[Span, LiveWindow]] = {}
        self.event_timers = TimerQueue("event")
        self.processing_timers = TimerQueue("processing")
        self._expiry = TimerQueue("expiry")
        self._fired = FiringLog(self.parts.contents)
        self._free: list[int] = []
        self._idle_keys: set[int] = set()
        self._slots = 0
        self._timed = True
        self._inputs: Inputs = []
        self._rows: list[int] = []
        self._row_slots: list[int] = []

    @property
    def now(self) -> int:
        return self.context.env.clock.wall()

    # -- rows -------------------------------------------------------------------------------------

    def process(self, data: Data, port: int) -> Emitted:
        assert isinstance(data, Batch)
        if len(data) == 0:
            return
        self._timed = data.timestamps is not None
        by_time = self.assigner.bounded or self._timed
        times = self.times_of(data).tolist() if by_time else [self.now] * len(data)
        arrivals = self.arrivals(len(data))
        keys = self.keys.slots(self.key_columns(data.columns), len(data)).tolist()
        self._inputs = self.parts.contents.read(data.columns, arrivals)
        values = [None] * len(data) if self._codec is None else self._codec.rows(data.columns)
        late = np.zeros(len(data), np.bool_)
        for row, (key, time, value) in enumerate(zip(keys, times, values)):
            late[row] = not self._add(row, key, time, value, int(arrivals[row]))
            self._run_due()
        self._update()
        if late.any():
            yield from self.late(data, late)
        yield from self._results()
        self._inputs = []

    def _add(self, row: int, key: int, time: int, value: Any, arrival: int) -> bool:
        """The row joins its windows; False when it is too late for all of them."""
        spans = self.assigner.assign(time)
        live = self.windows.setdefault(key, {})
        joined = not spans
        for span in spans:
            window = self._join_window(live, key, span, arrival)
            if window is None:
                continue
            joined = True
            if self._fired.holds(window.slot):
                self._settle()
            window.rows += 1
            window.latest = max(window.latest, time)
            self._rows.append(row)
            self._row_slots.append(window.slot)
            result = self.trigger.on_row(value, time, BoundContext(self, window))
            self._decide(window, result)
        if not live:
            self._idle_keys.add(key)
        return joined

    def _join_window(
        self, live: dict[Span, LiveWindow], key: int, span: Span, arrival: int
    ) -> LiveWindow | None:
        """The live window for `span`, made or merged as needed; None when it is over."""
        touching: list[LiveWindow] = []
        if self.assigner.merging:
            touching = [w for s, w in live.items() if s[0] <= span[1] and span[0] <= s[1]]
            span = (
                min([span[0], *(w.span[0] for w in touching)]),
                max([span[1], *(w.span[1] for w in touching)]),
            )
        if self.assigner.bounded and span[1] - 1 + self.parts.lateness <= self.passed:
            return None
        if span in live:
            return live[span]
        if touching:
            window = self._merge(live, span, touching)
        else:
            window = live[span] = LiveWindow(key, span, self._take_slot(), arrival)
        if self.assigner.bounded:
            self._expiry.set(window, span[1] - 1 + self.parts.lateness)
        return window

    def _merge(
        self, live: dict[Span, LiveWindow], span: Span, parts: list[LiveWindow]
    ) -> LiveWindow:
        """The windows `parts` become one that spans `span`: the first of them goes on as it."""
        parts.sort(key=lambda w: w.span)
        window, *others = parts
        merged = [part.state for part in parts]
        for part in parts:
            del live[part.span]
        live[span] = window
        window.span, window.state, window.timers = span, {}, {}
        if others:
            self._settle()
            sources = np.array([w.slot for w in others], np.int64)
            self.contents.merge_within(np.full(len(others), window.slot, np.int64), sources)
            window.arrival = min(w.arrival for w in parts)
            window.rows = sum(w.rows for w in parts)
            window.latest = max(w.latest for w in parts)
        for part in others:
            part.dead = True
            self._free.append(part.slot)
        self._decide(window, self.trigger.on_merge(BoundContext(self, window), merged))
        return window

    # -- firing -----------------------------------------------------------------------------------

    def _decide(self, window: LiveWindow, result: TriggerResult) -> None:
        purge = bool(result & PURGE)
        if result & FIRE and window.rows:
            if self._fired.holds(window.slot):
                self._settle()
            self._fired.add(window, purge=purge)
        elif purge and window.rows:
            self._settle()
            self.contents.reset(np.array([window.slot], np.int64))
        if purge:
            window.rows = 0
            idle = not window.state and not any(window.timers.values())
            if idle and not self.assigner.bounded:
                self._drop(window)

    def _update(self) -> None:
        """The rows put off join their windows' contents."""
        if self._rows:
            rows = np.array(self._rows, np.int64)
            slots = np.array(self._row_slots, np.int64)
            self._rows, self._row_slots = [], []
            self.contents.update(slots, take_inputs(self._inputs, rows))

    def _settle(self) -> None:
        self._update()
        self._fired.settle(self.contents)

    def _results(self) -> Emitted:
        self._settle()
        if self._fired:
            firing = self._fired.take(
                self.keys.take, bounded=self.assigner.bounded, timed=self._timed
            )
            yield from self.emit(firing)
        self._forget_idle_keys()

    # -- time -------------------------------------------------------------------------------------

    def on_watermark(self, watermark: int) -> Emitted:
        self.watermark = max(self.watermark, watermark)
        if self.event_time:
            self.passed = self.watermark
        self._run_due()
        self._expire()
        yield from self._results()

    def next_timer(self) -> int | None:
        waits = [self.processing_timers.peek()]
        if not self.event_time:
            waits.append(self.next_end())
        return min((at for at in waits if at is not None), default=None)

    def next_end(self) -> int | None:
        over = self._expiry.peek()
        return None if over is None else over + 1

    def on_time(self, now: int) -> Emitted:
        while (at := self.processing_timers.peek()) is not None and at <= now:
            at, _, window = self.processing_timers.pop()
            context = BoundContext(self, window)
            self._decide(window, self.trigger.on_processing_time(at, context))
        if not self.event_time:
            self.passed = max(self.passed, now - 1)
            self._expire()
        yield from self._results()

    def on_end(self) -> Emitted:
        # The wall clock will not close what is left; a bounded input must not lose it. But what
        # only a count fires, no end of time would have fired.
        by_count = isinstance(without_purging(self.trigger), CountTrigger)
        if not self.event_time and self.assigner.bounded and not by_count:
            left = [w for live in self.windows.values() for w in live.values()]
            for window in sorted(left, key=lambda w: (w.span[1], w.arrival)):
                self._decide(window, FIRE)
        yield from self._results()

    def _run_due(self) -> None:
        newest = self.event_timers.registered
        while (at := self.event_timers.peek()) is not None and at <= self.watermark:
            at, number, window = self.event_timers.pop()
            if self.watermark == MAX_TIME and number > newest and not self.assigner.bounded:
                continue  # a window without end would fire for ever after the end of input
            self._decide(window, self.trigger.on_event_time(at, BoundContext(self, window)))

    def _expire(self) -> None:
        while (at := self._expiry.peek()) is not None and at <= self.passed:
            _, _, window = self._expiry.pop()
            self._drop(window)

    def _drop(self, window: LiveWindow) -> None:
        self._settle()
        self.trigger.clear(BoundContext(self, window))
        window.dead = True
        live = self.windows[window.key]
        del live[window.span]
        self.contents.reset(np.array([window.slot], np.int64))
        self._free.append(window.slot)
        if not live:
            self._idle_keys.add(window.key)

    def _forget_idle_keys(self) -> None:
        # Not when their last window goes: firings not yet given out, and rows of the batch, need
        # them.
        idle = [key for key in self._idle_keys if not self.windows.get(key)]
        self._idle_keys.clear()
        for key in idle:
            self.windows.pop(key, None)
        self.keys.release(np.array(idle, np.int64))

    def _take_slot(self) -> int:
        if self._free:
            return self._free.pop()
        self._slots += 1
        self.contents.grow(self._slots)
        return self._slots - 1

    # -- snapshots --------------------------------------------------------------------------------

    @property
    def state_bytes(self) -> int:
        return self.keys.nbytes + self.contents.nbytes + _WINDOW_BYTES * self._slots

    @property
    def meta(self) -> dict[str, Any]:
        return {**super().meta, "watermark": self.watermark, "timed": self._timed}

    def take_snapshot(self) -> Iterator[Section]:
        yield row_wise_state.write(self).section(self.meta)

    def adopt(self, state: RestoredState, meta: Mapping[str, Any]) -> None:
        self.adopt_meta(meta)
        self.passed = meta.get("passed", self.passed)
        self.watermark = meta.get("watermark", self.passed)
        self._timed = meta.get("timed", True)
        reading = Reading(state.parts(WINDOWS), row_wise_state.writing_for(self).schema)
        self.arrived(reading.arrivals())
        keys = self.keys.slots(reading.keys(), len(reading))
        windows = row_wise_state.read(self, reading, keys)
        self._slots = len(windows)
        for window in sorted(windows, key=lambda w: w.arrival):
            self.windows.setdefault(window.key, {})[window.span] = window
            if self.assigner.bounded:
                self._expiry.set(window, window.span[1] - 1 + self.parts.lateness)

    def key_value(self, key: int) -> Any:
        """A key as Python: a value, a tuple of several, None without keys."""
        parts = [column[0].as_py() for column in self.keys.take(np.array([key], np.int64))]
        return None if not parts else parts[0] if len(parts) == 1 else tuple(parts)


def without_purging(trigger: Trigger) -> Trigger:
    return trigger.inner if isinstance(trigger, PurgingTrigger) else trigger
