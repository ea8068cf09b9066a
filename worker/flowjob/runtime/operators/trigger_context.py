"""A trigger's view of one window of the row-wise operator.

The only thing of the runtime that a user's trigger touches."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from flowjob.runtime.operators.window_timers import LiveWindow
from flowjob.triggers import TriggerContext
from flowjob.watermarks import micros
from flowjob.windows import EPOCH, TimeDomain, Window

if TYPE_CHECKING:
    from flowjob.runtime.operators.row_wise_windows import RowWiseWindows


class BoundContext(TriggerContext):
    """Made for each call: cheap, and the key's value is looked up only when asked for."""

    __slots__ = ("_operator", "_window", "state")

    def __init__(self, operator: RowWiseWindows, window: LiveWindow) -> None:
        self._operator = operator
        self._window = window
        self.state = window.state

    @property
    def window(self) -> Window:
        return Window.of(self._window.span, self._operator.key_value(self._window.key))

    @property
    def window_end(self) -> int:
        return self._window.span[1]

    @property
    def time(self) -> TimeDomain:
        return self._operator.parts.domain

    @property
    def watermark(self) -> int:
        return self._operator.watermark

    @property
    def now(self) -> int:
        return self._operator.now

    def set_event_timer(self, at: datetime | int) -> None:
        self._operator.event_timers.set(self._window, as_micros(at))

    def set_processing_timer(self, at: datetime | int) -> None:
        self._operator.processing_timers.set(self._window, as_micros(at))

    def delete_event_timer(self, at: datetime | int) -> None:
        self._operator.event_timers.delete(self._window, as_micros(at))

    def delete_processing_timer(self, at: datetime | int) -> None:
        self._operator.processing_timers.delete(self._window, as_micros(at))


def as_micros(at: datetime | int) -> int:
    """A time a trigger gave, as µs UTC."""
    if isinstance(at, int):
        return at
    if at.tzinfo is None:
        raise ValueError(f"a timer needs a time with a zone, such as datetime.now(UTC); got {at!r}")
    return micros(at - EPOCH)
