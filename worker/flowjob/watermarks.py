"""How a source's rows get event time, and how far behind them its watermark stays.

Event time belongs to the source: it is declared once, where rows are read. Plain data; the bookkeeping per split is
core/split_watermarks.py."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

MICROSECOND = timedelta(microseconds=1)


def micros(duration: timedelta) -> int:
    """A duration in whole microseconds."""
    return duration // MICROSECOND


@dataclass(frozen=True, slots=True)
class EventTime:
    """Event time of a source: the column, its disorder, and when silence counts as idleness.

    column           a timestamp or date column of the source's schema (or an integer of µs UTC); None when the
                     connector itself stamps rows
    max_delay        how much later than a newer row an older one may come; the watermark stays this far behind
    idle_after       a split silent for so long no longer holds time back; None: it always does
    watermark_every  emit a watermark after each n rows of a split, cutting batches there, instead of after
                     each batch: pins positions exactly (tests use it)
    """

    column: str | None
    max_delay: timedelta = timedelta(0)
    idle_after: timedelta | None = timedelta(seconds=30)
    watermark_every: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_delay", "idle_after"):
            value = getattr(self, name)
            if not isinstance(value, timedelta) and (name == "max_delay" or value is not None):
                raise TypeError(
                    f"{name} takes a timedelta, such as timedelta(minutes=5); got {value!r}"
                )
        if self.max_delay < timedelta(0):
            raise ValueError(f"max_delay must not be negative, got {self.max_delay}")
        if self.idle_after is not None and self.idle_after <= timedelta(0):
            raise ValueError(f"idle_after must be positive or None, got {self.idle_after}")
        if self.watermark_every is not None and self.watermark_every < 1:
            raise ValueError(f"watermark_every counts rows, from 1; got {self.watermark_every}")
