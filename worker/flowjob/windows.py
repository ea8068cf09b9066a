"""How rows fall into windows: declarations, and the arithmetic behind them.

Plain data, shared by the public API, the planner and the operators; `time` says whether a window
follows event time or the wall clock. It must not know operators, state or streams. Times inside are
int µs since the epoch, UTC; users meet datetimes and timedeltas."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from math import gcd
from typing import Any, Literal, cast

import pyarrow as pa

from flowjob.core.elements import MAX_TIME, MIN_TIME
from flowjob.watermarks import micros

WINDOW_TIME = pa.timestamp("us", tz="UTC")
"""The type of the columns `window_start` and `window_end`."""

WINDOW_COLUMNS = ("window_start", "window_end")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
_ZERO = timedelta(0)


class TimeDomain(Enum):
    """Which clock closes a window or fires a trigger."""

    EVENT = "event"
    PROCESSING = "processing"


Domain = Literal["event", "processing"]
Span = tuple[int, int]
"""A window as [start, end), µs UTC. The global window is (MIN_TIME, MAX_TIME)."""

GLOBAL_SPAN: Span = (MIN_TIME, MAX_TIME)


@dataclass(frozen=True, slots=True)
class Window:
    """The window a function is called for.

    start, end   [start, end); None in a global window, which has no bounds and hardly anybody who would ask for
                 them: their type leaves it out
    key          the key's value; a tuple when the key has several components, None without a key
    """

    start: datetime
    end: datetime
    key: Any = None

    @classmethod
    def of(cls, span: Span, key: Any) -> Window:
        if span == GLOBAL_SPAN:
            return cls(cast(Any, None), cast(Any, None), key)
        return cls(to_datetime(span[0]), to_datetime(span[1]), key)


WindowFunction = Callable[[Window, list[Any]], Any]
"""`fn(window, rows)` gives one row, an iterable of rows, or None for nothing. Rows come in arrival
order."""


def to_datetime(time: int) -> datetime:
    """µs UTC as an aware datetime; times beyond year 1 … 9999 give the nearest bound."""
    try:
        return EPOCH + timedelta(microseconds=time)
    except OverflowError:
        return LATEST if time > 0 else EARLIEST


class WindowAssigner(ABC):
    """Puts a row into windows by its time. Subclasses are frozen dataclasses.

    An assigner of your own implements `assign`; its windows are kept row by row, not vectorised."""

    @property
    def time(self) -> TimeDomain:
        return TimeDomain.EVENT

    @property
    def merging(self) -> bool:
        """Overlapping windows of a key become one (sessions)."""
        return False

    @property
    def bounded(self) -> bool:
        """False: windows never end by themselves, and a trigger must fire them."""
        return True

    @abstractmethod
    def assign(self, time: int) -> Sequence[Span]:
        """The windows of a row at `time`, by ascending end."""

    def __str__(self) -> str:
        return told(self)


def told(declaration: object) -> str:
    """A declaration of the user's own, as plans name it: the same text in every process, so never an address."""
    mine = type(declaration)
    return mine.__name__ if mine.__repr__ is object.__repr__ else repr(declaration)


@dataclass(frozen=True)
class Tumbling(WindowAssigner):
    """Windows of one size, side by side."""

    size: timedelta
    offset: timedelta
    domain: TimeDomain

    @property
    def time(self) -> TimeDomain:
        return self.domain

    def assign(self, time: int) -> Sequence[Span]:
        size = micros(self.size)
        start = floor_to(time, size, micros(self.offset))
        return ((start, start + size),)

    def __str__(self) -> str:
        return f"tumbling({self.size}{_options(self.offset, self.domain)})"


@dataclass(frozen=True)
class Sliding(WindowAssigner):
    """Windows of one size that start every `slide`; a row is in size / slide of them."""

    size: timedelta
    slide: timedelta
    offset: timedelta
    domain: TimeDomain

    @property
    def time(self) -> TimeDomain:
        return self.domain

    def assign(self, time: int) -> Sequence[Span]:
        size, slide = micros(self.size), micros(self.slide)
        last = floor_to(time, slide, micros(self.offset))
        starts = range(last, time - size, -slide)
        return tuple((start, start + size) for start in reversed(starts))

    def __str__(self) -> str:
        return f"sliding({self.size}, {self.slide}{_options(self.offset, self.domain)})"


@dataclass(frozen=True)
class Session(WindowAssigner):
    """Windows of activity: rows of a key closer than `gap` share one."""

    gap: timedelta
    domain: TimeDomain

    @property
    def time(self) -> TimeDomain:
        return self.domain

    @property
    def merging(self) -> bool:
        return True

    def assign(self, time: int) -> Sequence[Span]:
        return ((time, time + micros(self.gap)),)

    def __str__(self) -> str:
        return f"session({self.gap}{_options(_ZERO, self.domain)})"


@dataclass(frozen=True)
class Global(WindowAssigner):
    """One window per key, without end."""

    @property
    def bounded(self) -> bool:
        return False

    def assign(self, time: int) -> Sequence[Span]:
        return (GLOBAL_SPAN,)

    def __str__(self) -> str:
        return "global_window()"


@dataclass(frozen=True)
class CountWindow(WindowAssigner):
    """The last `size` rows of a key, given after every `slide` rows; `slide == size`: side by
    side."""

    size: int
    slide: int

    @property
    def bounded(self) -> bool:
        return False

    def assign(self, time: int) -> Sequence[Span]:
        return (GLOBAL_SPAN,)

    def __str__(self) -> str:
        return f"count_window({self.size}{'' if self.slide == self.size else f', {self.slide}'})"


# -- what users write -----------------------------------------------------------------------------


def tumbling(size: timedelta, offset: timedelta = _ZERO, *, time: Domain = "event") -> Tumbling:
    """Windows of `size`, side by side, aligned to the epoch plus `offset`.

    `time="processing"` takes the wall clock at arrival instead of event time."""
    size = _duration("tumbling(size=…)", size)
    return Tumbling(size, _offset("tumbling", offset, size), _domain("tumbling", time))


def sliding(
    size: timedelta, slide: timedelta, offset: timedelta = _ZERO, *, time: Domain = "event"
) -> Sliding:
    """Windows of `size` starting every `slide`, aligned to the epoch plus `offset`.

    A `slide` above `size` leaves gaps: rows in them belong to no window and are dropped."""
    size, slide = _duration("sliding(size=…)", size), _duration("sliding(slide=…)", slide)
    return Sliding(size, slide, _offset("sliding", offset, slide), _domain("sliding", time))


def session(*, gap: timedelta, time: Domain = "event") -> Session:
    """One window per stretch of activity of a key: it ends when `gap` passes without a row."""
    return Session(_duration("session(gap=…)", gap), _domain("session", time))


def global_window() -> Global:
    """One window per key that never ends: give `.window` a trigger, such as `count(n)`, to get
    results."""
    return Global()


def count_window(n: int, slide: int | None = None) -> CountWindow:
    """Windows of `n` rows per key; with `slide`, after every `slide` rows the last `n`."""
    size = positive_int("count_window(n)", n)
    return CountWindow(
        size, size if slide is None else positive_int("count_window(slide=…)", slide)
    )


# -- arithmetic the planner and the operators share
# --------------------------------------------------


def floor_to(time: int, size: int, offset: int) -> int:
    """The largest multiple of `size`, shifted by `offset`, not above `time`."""
    return time - (time - offset) % size


def pane_size(assigner: Tumbling | Sliding) -> int:
    """The longest span (µs) such that every window is made of whole panes."""
    if isinstance(assigner, Tumbling):
        return micros(assigner.size)
    return gcd(micros(assigner.size), micros(assigner.slide))


def window_fields() -> Iterable[pa.Field]:
    """The columns a window result has beside key and aggregates; null for windows without
    bounds."""
    return tuple(pa.field(name, WINDOW_TIME) for name in WINDOW_COLUMNS)


def _options(offset: timedelta, domain: TimeDomain) -> str:
    shown = f", offset={offset}" if offset else ""
    return shown + (', time="processing"' if domain is TimeDomain.PROCESSING else "")


def _duration(what: str, value: timedelta) -> timedelta:
    if not isinstance(value, timedelta):
        raise TypeError(f"{what} takes a timedelta, such as timedelta(minutes=5); got {value!r}")
    if value <= _ZERO:
        raise ValueError(f"{what} must be longer than zero, got {value}")
    return value


def _offset(what: str, value: timedelta, period: timedelta) -> timedelta:
    if not isinstance(value, timedelta):
        raise TypeError(f"{what}(offset=…) takes a timedelta, got {value!r}")
    if abs(value) >= period:
        raise ValueError(f"{what}(offset=…) must be shorter than {period}, got {value}")
    return value


def _domain(what: str, value: str) -> TimeDomain:
    try:
        return TimeDomain(value)
    except ValueError:
        raise ValueError(f'{what}(time=…) is "event" or "processing", got {value!r}') from None


def positive_int(what: str, value: int) -> int:
    """`value` if it counts something, else an error that names `what`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{what} takes a number of rows, got {value!r}")
    if value < 1:
        raise ValueError(f"{what} must be at least 1, got {value}")
    return value
