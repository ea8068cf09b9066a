"""How the values of a generated column are made: a sequence, random numbers, words, times.

Each is plain data with one method, from row numbers to an array; the same seed and row always give the same value (but
for `now`). It must not know sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowjob.connectors.counter_random import Integers, Words, unit, words
from flowjob.connectors.text_pool import TextPool
from flowjob.watermarks import micros

UTC_TIMESTAMP = pa.timestamp("us", "UTC")
_POOL_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Making:
    """Rows to make a column for: their numbers, the column's key, and the wall time in µs."""

    rows: Integers
    key: int
    now: int

    def words(self, draw: int = 0) -> Words:
        """Random words; `draw` tells several draws for one column apart."""
        return words(self.rows, self.key + draw)


class Values(Protocol):
    """Makes a column."""

    @property
    def type(self) -> pa.DataType: ...

    def make(self, making: Making) -> pa.Array: ...


@dataclass(frozen=True)
class Sequential:
    start: int = 0
    step: int = 1
    type: ClassVar[pa.DataType] = pa.int64()

    def make(self, making: Making) -> pa.Array:
        return pa.array(making.rows * self.step + self.start)


@dataclass(frozen=True)
class Integer:
    """Uniform in low … high, both included."""

    low: int
    high: int
    type: ClassVar[pa.DataType] = pa.int64()

    def __post_init__(self) -> None:
        if not -(2**62) <= self.low <= self.high <= 2**62:
            raise ValueError(f"wanted low <= high within 2**62, got {self.low} and {self.high}")

    def make(self, making: Making) -> pa.Array:
        return pa.array(_within(making.words(), self.high - self.low + 1) + self.low)


def _within(random: Words, bound: int) -> Integers:
    """int64[n] in 0 … bound - 1; the bias of the remainder is below bound / 2**64."""
    return (random % np.uint64(bound)).view(np.int64)


@dataclass(frozen=True)
class Real:
    low: float
    high: float
    type: ClassVar[pa.DataType] = pa.float64()

    def make(self, making: Making) -> pa.Array:
        return pa.array(unit(making.words()) * (self.high - self.low) + self.low)


@dataclass(frozen=True)
class Flag:
    probability: float
    type: ClassVar[pa.DataType] = pa.bool_()

    def make(self, making: Making) -> pa.Array:
        return pa.array(unit(making.words()) < self.probability)


@dataclass(frozen=True)
class Text:
    """Lower-case letters, `shortest` to `longest` of them."""

    shortest: int
    longest: int
    type: ClassVar[pa.DataType] = pa.string()

    def __post_init__(self) -> None:
        if not 0 <= self.shortest <= self.longest <= 1000:
            raise ValueError(f"lengths are 0 to 1000, got {self.shortest} to {self.longest}")

    @cached_property
    def _pool(self) -> TextPool:
        letters = words(np.arange(_POOL_BYTES, dtype=np.int64), 1) % np.uint64(26)
        return TextPool(pa.py_buffer((letters + np.uint64(ord("a"))).astype(np.uint8).tobytes()))

    def make(self, making: Making) -> pa.Array:
        lengths = self.shortest + _within(making.words(), self.longest - self.shortest + 1)
        offsets = _within(making.words(1), _POOL_BYTES - 1024)
        return self._pool.slices(offsets, lengths)


@dataclass(frozen=True)
class Choice:
    """One of `values`, as likely as its weight."""

    values: tuple[Any, ...]
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("there is nothing to choose from")
        if self.weights is not None and (
            len(self.weights) != len(self.values) or min(self.weights) < 0 or not sum(self.weights)
        ):
            raise ValueError("weights are as many as the values, not negative, and not all zero")

    @cached_property
    def _array(self) -> pa.Array:
        return pa.array(list(self.values))

    @property
    def type(self) -> pa.DataType:
        return self._array.type

    def make(self, making: Making) -> pa.Array:
        if self.weights is None:
            chosen = _within(making.words(), len(self.values))
        else:
            bounds = np.cumsum(self.weights) / sum(self.weights)
            chosen = np.searchsorted(bounds[:-1], unit(making.words()), side="right")
        return self._array.take(pa.array(chosen))


@dataclass(frozen=True)
class Time:
    """`start` plus `step` for each row, moved back by up to `jitter`; µs."""

    start: int
    step: float
    jitter: int
    type: ClassVar[pa.DataType] = UTC_TIMESTAMP

    def make(self, making: Making) -> pa.Array:
        times = self.start + (making.rows * self.step).astype(np.int64)
        if self.jitter:
            times -= _within(making.words(), self.jitter + 1)
        return pa.array(times).view(UTC_TIMESTAMP)


@dataclass(frozen=True)
class Now:
    type: ClassVar[pa.DataType] = UTC_TIMESTAMP

    def make(self, making: Making) -> pa.Array:
        return pa.array(np.full(len(making.rows), making.now)).view(UTC_TIMESTAMP)


@dataclass(frozen=True)
class Sometimes:
    """Nothing, with a probability, else a value."""

    values: Values
    null_probability: float

    @property
    def type(self) -> pa.DataType:
        return self.values.type

    def make(self, making: Making) -> pa.Array:
        made = self.values.make(making)
        absent = unit(making.words(2)) < self.null_probability
        return pc.if_else(pa.array(absent), None, made)


# -- the words for them


def sequence(start: int = 0, step: int = 1) -> Values:
    """start, start + step, …: each row's number, as it were."""
    return Sequential(start, step)


def ints(low: int, high: int) -> Values:
    """Whole numbers from `low` to `high`, both included."""
    return Integer(low, high)


def floats(low: float = 0.0, high: float = 1.0) -> Values:
    """Numbers from `low` up to, not including, `high`."""
    return Real(low, high)


def booleans(probability: float = 0.5) -> Values:
    """True with a probability."""
    return Flag(probability)


def strings(length: int | tuple[int, int] = 8) -> Values:
    """Random letters; `length` may be a shortest and a longest."""
    shortest, longest = (length, length) if isinstance(length, int) else length
    return Text(shortest, longest)


def choice(*values: Any, weights: Sequence[float] | None = None) -> Values:
    """One of the values, all equally likely or by weight."""
    return Choice(values, None if weights is None else tuple(weights))


def timestamps(
    start: datetime | None = None,
    step: timedelta = timedelta(milliseconds=1),
    *,
    jitter: timedelta = timedelta(0),
) -> Values:
    """`step` apart from `start` on (2024-01-01 UTC), each up to `jitter` earlier: declare that as max_delay."""
    begin = start or datetime(2024, 1, 1, tzinfo=UTC)
    if begin.tzinfo is None:
        raise ValueError("start needs a time zone: datetime(…, tzinfo=timezone.utc)")
    return Time(micros(begin - datetime(1970, 1, 1, tzinfo=UTC)), micros(step), micros(jitter))


def now() -> Values:
    """The wall time at which the row is made: for measuring latency. The one column that differs each time."""
    return Now()


def nullable(values: Values, probability: float = 0.1) -> Values:
    """Nothing, with a probability, else one of `values`."""
    return Sometimes(values, probability)


def default_for(kind: pa.DataType) -> Values | None:
    """What a column of this type is filled with when nothing is said; None when there is no natural choice."""
    types = pa.types
    if types.is_integer(kind):
        return ints(0, min(2 ** (kind.bit_width - 1) - 1, 2**31 - 1))
    if types.is_floating(kind):
        return floats()
    if types.is_boolean(kind):
        return booleans()
    if types.is_string(kind) or types.is_large_string(kind):
        return strings()
    if types.is_timestamp(kind):
        return timestamps()
    return None
