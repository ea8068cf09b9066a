"""Snapshots of windows that are kept row by row: bounds, the trigger's memory and timers beside the contents.

Timers are stored with the order in which they were set, because those of one time fire in it."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from flowjob import pickling
from flowjob.core.elements import MIN_TIME
from flowjob.errors import JobFailed
from flowjob.runtime.accumulators.base import PICKLED
from flowjob.runtime.batch import Int64s
from flowjob.runtime.operators.window_state import (
    ARRIVAL,
    END,
    START,
    WINDOWS,
    Reading,
    Writing,
    time_fields,
    times,
)
from flowjob.runtime.operators.window_timers import LiveWindow, TimerQueue
from flowjob.windows import GLOBAL_SPAN, WINDOW_TIME, Span

if TYPE_CHECKING:
    from flowjob.runtime.operators.row_wise_windows import RowWiseWindows

ROWS, LATEST, STATE = "rows_so_far", "__latest", "trigger_state"
TIMERS = ("event", "processing")
_TIMES = pa.list_(WINDOW_TIME)


def writing_for(operator: RowWiseWindows) -> Writing:
    """The section's columns."""
    own = [
        *time_fields(START, END),
        pa.field(ARRIVAL, pa.int64()),
        pa.field(ROWS, pa.int64()),
        *time_fields(LATEST),
        pa.field(STATE, pa.binary(), metadata=PICKLED),
    ]
    for name in TIMERS:
        own.append(pa.field(f"{name}_timers", pa.list_(WINDOW_TIME)))
        own.append(pa.field(f"__{name}_timer_order", pa.list_(pa.int64())))
    return Writing(WINDOWS, operator.parts.keys, own, operator.contents)


def write(operator: RowWiseWindows) -> Writing:
    """All live windows."""
    writing = writing_for(operator)
    windows = [w for live in operator.windows.values() for w in live.values()]
    keys = np.array([w.key for w in windows], np.int64)
    starts, ends = (_bounds(windows, at) for at in (0, 1))
    own = [
        starts,
        ends,
        pa.array([w.arrival for w in windows], pa.int64()),
        pa.array([w.rows for w in windows], pa.int64()),
        times(np.array([w.latest for w in windows], np.int64), MIN_TIME),
        pa.array([_pickled(operator, w.state) for w in windows], pa.binary()),
    ]
    for name in TIMERS:
        timers = [w.timers.get(name, {}) for w in windows]
        own.append(pa.array([list(t) for t in timers], pa.list_(pa.int64())).cast(_TIMES))
        own.append(pa.array([list(t.values()) for t in timers], pa.list_(pa.int64())))
    slots = np.array([w.slot for w in windows], np.int64)
    writing.add(operator.keys.take(keys), own, operator.contents, slots, operator.keys.hashes(keys))
    return writing


def read(operator: RowWiseWindows, reading: Reading, keys: Int64s) -> list[LiveWindow]:
    """The windows, with contents, in slots 0 …, and timers; `keys` are the slots of the rows' keys."""
    rows = len(reading)
    operator.contents.grow(rows)
    reading.load(operator.contents, np.arange(rows))
    columns = zip(
        keys.tolist(),
        _spans(reading),
        reading.arrivals().tolist(),
        reading.ints(ROWS, null=0).tolist(),
        reading.ints(LATEST).tolist(),
        reading.column(STATE).to_pylist(),
    )
    windows = []
    for slot, (key, span, arrival, count, latest, state) in enumerate(columns):
        memory = {} if state is None else pickle.loads(state)  # noqa: S301 - `_pickled` made it
        windows.append(LiveWindow(key, span, slot, arrival, count, latest, memory))
    for name, queue in zip(TIMERS, (operator.event_timers, operator.processing_timers)):
        _set(queue, windows, reading, name)
    return windows


def _set(queue: TimerQueue, windows: Sequence[LiveWindow], reading: Reading, name: str) -> None:
    for row, at, _ in sorted(_timers(reading, name), key=lambda timer: timer[2]):
        queue.set(windows[row], at)


def _timers(reading: Reading, name: str) -> Iterator[tuple[int, int, int]]:
    """(row, time, order) of each timer."""
    given = reading.column(f"{name}_timers").cast(pa.list_(pa.int64())).to_pylist()
    orders = reading.column(f"__{name}_timer_order").to_pylist()
    for row, (moments, numbers) in enumerate(zip(given, orders)):
        for at, number in zip(moments or (), numbers or range(len(moments or ()))):
            yield row, at, number


def _bounds(windows: Sequence[LiveWindow], which: int) -> pa.Array:
    spans = [None if w.span == GLOBAL_SPAN else w.span[which] for w in windows]
    return pa.array(spans, pa.int64()).view(WINDOW_TIME)


def _spans(reading: Reading) -> Iterator[Span]:
    bounds = [reading.column(name).view(pa.int64()).to_pylist() for name in (START, END)]
    for start, end in zip(*bounds):
        yield GLOBAL_SPAN if start is None or end is None else (start, end)


def _pickled(operator: RowWiseWindows, state: dict[str, Any]) -> bytes | None:
    if not state:
        return None
    try:
        return pickling.dumps(state)
    except Exception as error:
        raise JobFailed(
            f"operator `{operator.context.name}`: what the trigger {operator.trigger} keeps in `ctx.state` cannot be "
            f"pickled, so no snapshot can hold it ({error}); keep plain values there"
        ) from error
