"""When a window gives its result: built-in triggers and the base class of custom ones.

Built-in triggers are frozen declarations that the operators recognise and run vectorised where they
can; their methods are the reference meaning, used wherever an operator works row by row. Nothing
here knows operators."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Flag
from typing import Any

from flowjob.core.elements import MAX_TIME
from flowjob.watermarks import micros
from flowjob.windows import Domain, TimeDomain, Window, WindowAssigner, positive_int, told


class TriggerResult(Flag):
    """What a trigger decides. FIRE gives the window's result now; PURGE forgets its rows."""

    CONTINUE = 0
    FIRE = 1
    PURGE = 2
    FIRE_AND_PURGE = 3


CONTINUE = TriggerResult.CONTINUE
FIRE = TriggerResult.FIRE
PURGE = TriggerResult.PURGE
FIRE_AND_PURGE = TriggerResult.FIRE_AND_PURGE


class TriggerContext(ABC):
    """A trigger's view of one key and window. Times given may be aware datetimes or int µs UTC."""

    state: dict[str, Any]
    """The trigger's own memory for this key and window; gone when the window is cleared."""

    @property
    @abstractmethod
    def window(self) -> Window:
        """The window with its bounds and key."""

    @property
    @abstractmethod
    def window_end(self) -> int:
        """The window's end, µs UTC; MAX_TIME for a global window."""

    @property
    @abstractmethod
    def time(self) -> TimeDomain:
        """The clock that closes the window."""

    @property
    @abstractmethod
    def watermark(self) -> int:
        """Event time so far, µs UTC."""

    @property
    @abstractmethod
    def now(self) -> int:
        """Wall time, µs UTC."""

    @abstractmethod
    def set_event_timer(self, at: datetime | int) -> None:
        """Call `on_event_time` when the watermark reaches `at`; at once after this row if it
        has."""

    @abstractmethod
    def set_processing_timer(self, at: datetime | int) -> None:
        """Call `on_processing_time` when the wall clock reaches `at`."""

    @abstractmethod
    def delete_event_timer(self, at: datetime | int) -> None:
        """Undoes set_event_timer; nothing happens when there is none at `at`."""

    @abstractmethod
    def delete_processing_timer(self, at: datetime | int) -> None:
        """Undoes set_processing_timer; nothing happens when there is none at `at`."""


class Trigger(ABC):
    """Subclass it for a trigger of your own; it then sees every row, and the window runs row by
    row.

    One object serves all keys and windows: keep what you must remember in `ctx.state`."""

    @property
    def row_wise(self) -> bool:
        """True when windows with this trigger are computed row by row (explain says so)."""
        return True

    def __str__(self) -> str:
        return told(self)

    @abstractmethod
    def on_row(self, row: Any, at: int, ctx: TriggerContext) -> TriggerResult:
        """A row with event time `at` (µs UTC) has joined the window."""

    def on_event_time(self, at: int, ctx: TriggerContext) -> TriggerResult:
        """An event timer set for `at` is due."""
        return CONTINUE

    def on_processing_time(self, at: int, ctx: TriggerContext) -> TriggerResult:
        """A processing timer set for `at` is due."""
        return CONTINUE

    def on_merge(self, ctx: TriggerContext, merged: list[dict[str, Any]]) -> TriggerResult:
        """The window in `ctx` came from merging windows whose states are `merged`; set its timers
        anew."""
        raise NotImplementedError(
            f"{type(self).__name__} has no on_merge, so it cannot be used with session windows"
        )

    def clear(self, ctx: TriggerContext) -> None:
        """The window is dropped; its state and timers go by themselves."""


class _Builtin(Trigger):
    @property
    def row_wise(self) -> bool:
        return False


@dataclass(frozen=True)
class EventTimeTrigger(_Builtin):
    """Fires when the watermark passes the window's end, and again for each late row it allows."""

    def on_row(self, row: Any, at: int, ctx: TriggerContext) -> TriggerResult:
        return _register_end(ctx)

    def on_event_time(self, at: int, ctx: TriggerContext) -> TriggerResult:
        return FIRE if at == ctx.window_end - 1 else CONTINUE

    def on_merge(self, ctx: TriggerContext, merged: list[dict[str, Any]]) -> TriggerResult:
        _register_end(ctx)
        return CONTINUE

    def __str__(self) -> str:
        return "event_time()"


@dataclass(frozen=True)
class ProcessingTimeTrigger(_Builtin):
    """Fires when the wall clock passes the window's end."""

    def on_row(self, row: Any, at: int, ctx: TriggerContext) -> TriggerResult:
        ctx.set_processing_timer(ctx.window_end)
        return CONTINUE

    def on_processing_time(self, at: int, ctx: TriggerContext) -> TriggerResult:
        return FIRE

    def on_merge(self, ctx: TriggerContext, merged: list[dict[str, Any]]) -> TriggerResult:
        ctx.set_processing_timer(ctx.window_end)
        return CONTINUE

    def __str__(self) -> str:
        return "processing_time()"


@dataclass(frozen=True)
class CountTrigger(_Builtin):
    """Fires at each n-th row of a key and window, and at nothing else."""

    n: int

    def on_row(self, row: Any, at: int, ctx: TriggerContext) -> TriggerResult:
        ctx.state["rows"] = ctx.state.get("rows", 0) + 1
        return self._check(ctx)

    def on_merge(self, ctx: TriggerContext, merged: list[dict[str, Any]]) -> TriggerResult:
        ctx.state["rows"] = sum(state.get("rows", 0) for state in merged)
        return self._check(ctx)

    def _check(self, ctx: TriggerContext) -> TriggerResult:
        if ctx.state["rows"] < self.n:
            return CONTINUE
        del ctx.state["rows"]
        return FIRE

    def __str__(self) -> str:
        return f"count({self.n})"


@dataclass(frozen=True)
class ContinuousTrigger(_Builtin):
    """Fires at every multiple of `every` while the window lives; in event time also at its end."""

    every: timedelta
    domain: TimeDomain

    def on_row(self, row: Any, at: int, ctx: TriggerContext) -> TriggerResult:
        if self.domain is TimeDomain.EVENT:
            if _register_end(ctx) is FIRE:
                return FIRE
            if "next" not in ctx.state:
                self._schedule(ctx, at)
        elif "next" not in ctx.state:
            self._schedule(ctx, ctx.now)
        return CONTINUE

    def on_event_time(self, at: int, ctx: TriggerContext) -> TriggerResult:
        if at == ctx.window_end - 1:
            return FIRE
        return self._due(at, ctx)

    def on_processing_time(self, at: int, ctx: TriggerContext) -> TriggerResult:
        return self._due(at, ctx)

    def on_merge(self, ctx: TriggerContext, merged: list[dict[str, Any]]) -> TriggerResult:
        if self.domain is TimeDomain.EVENT:
            _register_end(ctx)
        planned = [state["next"] for state in merged if "next" in state]
        if planned:
            self._set(ctx, min(planned))
        return CONTINUE

    def _due(self, at: int, ctx: TriggerContext) -> TriggerResult:
        if at != ctx.state.get("next"):
            return CONTINUE
        self._schedule(ctx, at)
        return FIRE

    def _schedule(self, ctx: TriggerContext, after: int) -> None:
        every = micros(self.every)
        self._set(ctx, after - after % every + every)

    def _set(self, ctx: TriggerContext, at: int) -> None:
        ctx.state["next"] = at
        if self.domain is TimeDomain.PROCESSING:
            ctx.set_processing_timer(at)
        elif at < ctx.window_end:
            ctx.set_event_timer(at)

    def __str__(self) -> str:
        return f'continuous({self.every}, time="{self.domain.value}")'


@dataclass(frozen=True)
class EarlyTrigger(_Builtin):
    """Fires what there is after every `every` of wall time, if rows have come, and at the window's
    end."""

    every: timedelta

    def on_row(self, row: Any, at: int, ctx: TriggerContext) -> TriggerResult:
        if _register_end(ctx) is FIRE:
            return FIRE
        if "next" not in ctx.state:
            every = micros(self.every)
            ctx.state["next"] = ctx.now - ctx.now % every + every
            ctx.set_processing_timer(ctx.state["next"])
        return CONTINUE

    def on_event_time(self, at: int, ctx: TriggerContext) -> TriggerResult:
        if at != ctx.window_end - 1:
            return CONTINUE
        ctx.state.pop("next", None)  # nothing new to show until another row comes
        return FIRE

    def on_processing_time(self, at: int, ctx: TriggerContext) -> TriggerResult:
        if ctx.state.get("next") == at:
            del ctx.state["next"]
            return FIRE
        ended = ctx.time is TimeDomain.PROCESSING and at == ctx.window_end
        return FIRE if ended else CONTINUE

    def on_merge(self, ctx: TriggerContext, merged: list[dict[str, Any]]) -> TriggerResult:
        _register_end(ctx)
        planned = [state["next"] for state in merged if "next" in state]
        if planned:
            ctx.state["next"] = min(planned)
            ctx.set_processing_timer(ctx.state["next"])
        return CONTINUE

    def __str__(self) -> str:
        return f"early(every={self.every})"


@dataclass(frozen=True)
class NeverTrigger(_Builtin):
    """Never fires: what a global window has until it is given another trigger."""

    def on_row(self, row: Any, at: int, ctx: TriggerContext) -> TriggerResult:
        return CONTINUE

    def __str__(self) -> str:
        return "never()"


@dataclass(frozen=True)
class PurgingTrigger(Trigger):
    """Forgets the window's rows whenever `inner` fires."""

    inner: Trigger

    @property
    def row_wise(self) -> bool:
        return self.inner.row_wise

    def on_row(self, row: Any, at: int, ctx: TriggerContext) -> TriggerResult:
        return _purging(self.inner.on_row(row, at, ctx))

    def on_event_time(self, at: int, ctx: TriggerContext) -> TriggerResult:
        return _purging(self.inner.on_event_time(at, ctx))

    def on_processing_time(self, at: int, ctx: TriggerContext) -> TriggerResult:
        return _purging(self.inner.on_processing_time(at, ctx))

    def on_merge(self, ctx: TriggerContext, merged: list[dict[str, Any]]) -> TriggerResult:
        return _purging(self.inner.on_merge(ctx, merged))

    def clear(self, ctx: TriggerContext) -> None:
        self.inner.clear(ctx)

    def __str__(self) -> str:
        return f"purging({self.inner})"


# -- what users write -----------------------------------------------------------------------------


def event_time() -> EventTimeTrigger:
    """Fire once when the watermark passes the window's end: the default of event-time windows."""
    return EventTimeTrigger()


def processing_time() -> ProcessingTimeTrigger:
    """Fire once when the wall clock passes the window's end: the default of processing-time
    windows."""
    return ProcessingTimeTrigger()


def count(n: int) -> CountTrigger:
    """Fire at each n-th row of a key and window; the rows stay, unless `purging(count(n))`."""
    return CountTrigger(positive_int("triggers.count(n)", n))


def continuous(every: timedelta, time: Domain = "event") -> ContinuousTrigger:
    """Fire at every multiple of `every`; in event time also at the window's end."""
    if time not in ("event", "processing"):
        raise ValueError(f'continuous(time=…) is "event" or "processing", got {time!r}')
    return ContinuousTrigger(_interval("continuous(every=…)", every), TimeDomain(time))


def early(*, every: timedelta) -> EarlyTrigger:
    """Show what there is after every `every` of wall time, then the final result at the window's
    end."""
    return EarlyTrigger(_interval("early(every=…)", every))


def purging(trigger: Trigger) -> PurgingTrigger:
    """Forget a window's rows each time `trigger` fires."""
    if not isinstance(trigger, Trigger):
        raise TypeError(f"purging(trigger) takes a trigger, such as count(100); got {trigger!r}")
    return PurgingTrigger(trigger)


def default_trigger(assigner: WindowAssigner) -> Trigger:
    """What fires a window when no trigger is given. A global window has none: it would never
    fire."""
    if not assigner.bounded:
        return NeverTrigger()
    if assigner.time is TimeDomain.EVENT:
        return EventTimeTrigger()
    return ProcessingTimeTrigger()


def _register_end(ctx: TriggerContext) -> TriggerResult:
    if ctx.window_end == MAX_TIME:
        return CONTINUE
    if ctx.time is TimeDomain.PROCESSING:
        ctx.set_processing_timer(ctx.window_end)
        return CONTINUE
    if ctx.watermark >= ctx.window_end - 1:
        return FIRE  # late, but allowed
    ctx.set_event_timer(ctx.window_end - 1)
    return CONTINUE


def _purging(result: TriggerResult) -> TriggerResult:
    return FIRE_AND_PURGE if result & FIRE else result


def _interval(what: str, value: timedelta) -> timedelta:
    if not isinstance(value, timedelta):
        raise TypeError(f"{what} takes a timedelta, such as timedelta(minutes=1); got {value!r}")
    if value <= timedelta(0):
        raise ValueError(f"{what} must be longer than zero, got {value}")
    return value
